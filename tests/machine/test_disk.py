"""File systems: room for this user, kind, limits, what shares what."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest

from setup_manager.machine.facts import Disk
from setup_manager.machine.probe.cgroup import parse_mounts
from setup_manager.machine.probe.disk import (
    Room,
    find_mount,
    is_rotational,
    measure_writing,
    nearest_existing,
    read_disks,
    read_room,
)
from setup_manager.machine.probe.quota import Quota, free_within, read_quota
from setup_manager.machine.probe.system import LocalCommands, System
from setup_manager.platforms import this_platform
from tests.machine import recorded

MOUNTS = """\
1 0 8:2 / / rw,relatime - ext4 /dev/sda2 rw
2 1 0:40 / /mnt/share rw - cifs //server/models rw,username=somebody
3 1 8:17 / /mnt/stick rw - vfat /dev/sdb1 rw
4 1 8:33 / /mnt/locked ro - ext4 /dev/sdc1 ro
5 1 0:33 / /tmp rw - tmpfs tmpfs rw
6 1 8:49 / /home/x\\040y rw - btrfs /dev/sdd1 rw
"""
ROOM = Room(5_000, 10_000, writable=True)


def disks(folder: Path, places: Mapping[str, str], files: Mapping[str, str]) -> tuple[Disk, ...]:
    recording = {
        "files": {"/proc/self/mountinfo": MOUNTS, **files},
        "os": "linux",
        "arch": "x86_64",
        "version": "",
    }
    system = recorded.build(recording, folder)
    paths = {purpose: Path(path) for purpose, path in places.items()}
    return read_disks(system, paths, lambda path: ROOM)


def test_deepest_mount_holds_a_path(tmp_path: Path) -> None:
    (disk,) = disks(tmp_path, {"models": "/mnt/stick/models"}, {})
    assert (disk.filesystem, disk.device) == ("vfat", "/dev/sdb1")
    assert disk.file_size_limit_bytes == 4 * 1024**3 - 1
    assert (disk.free_bytes, disk.total_bytes, disk.purpose) == (5_000, 10_000, "models")


def test_name_that_only_begins_like_a_mount_is_not_in_it() -> None:
    mount = find_mount(parse_mounts(MOUNTS), PurePosixPath("/mnt/stick2"))
    assert mount is not None
    assert mount.point == "/"


def test_path_with_a_space(tmp_path: Path) -> None:
    (disk,) = disks(tmp_path, {"models": "/home/x y/models"}, {})
    assert disk.filesystem == "btrfs"


def test_network_mount_names_no_server(tmp_path: Path) -> None:
    (disk,) = disks(tmp_path, {"models": "/mnt/share"}, {})
    assert disk.network
    assert "server" not in disk.device
    assert disk.device == "0:40"


def test_read_only_mount_is_not_writable(tmp_path: Path) -> None:
    (disk,) = disks(tmp_path, {"models": "/mnt/locked"}, {})
    assert not disk.writable


def test_folders_of_one_file_system_have_one_device(tmp_path: Path) -> None:
    places = {"models": "/home/a", "ollama": "/usr/share/ollama", "temporary": "/tmp/x"}
    found = {disk.purpose: disk.device for disk in disks(tmp_path, places, {})}
    assert found["models"] == found["ollama"] != found["temporary"]


@pytest.mark.parametrize(("text", "spins"), [("1\n", True), ("0\n", False), ("", None)])
def test_partition_asks_its_disk(tmp_path: Path, text: str, spins: bool | None) -> None:
    recording = {"files": {}, "os": "linux", "arch": "x86_64", "version": ""}
    system = recorded.build(recording, tmp_path)
    place = tmp_path / "sys/devices/pci/block/sda"
    (place / "sda2").mkdir(parents=True)
    (place / "queue").mkdir()
    (place / "queue/rotational").write_text(text)
    block = tmp_path / "sys/dev/block"
    block.mkdir(parents=True)
    (block / "8:2").symlink_to("../../devices/pci/block/sda/sda2")
    assert is_rotational(system, "8:2") is spins


def test_virtual_disk_does_not_know_whether_it_spins(tmp_path: Path) -> None:
    recording = {"files": {}, "os": "linux", "arch": "x86_64", "version": ""}
    system = recorded.build(recording, tmp_path)
    place = tmp_path / "sys/devices/virtio0/block/vda"
    (place / "queue").mkdir(parents=True)
    (place / "queue/rotational").write_text("1\n")
    block = tmp_path / "sys/dev/block"
    block.mkdir(parents=True)
    (block / "254:0").symlink_to("../../devices/virtio0/block/vda")
    assert is_rotational(system, "254:0") is None


def test_folder_that_has_yet_to_be_made_is_judged_by_its_parent(tmp_path: Path) -> None:
    assert nearest_existing(tmp_path / "a/b/c") == tmp_path
    room = read_room(tmp_path / "a/b/c")
    assert room is not None
    assert room.writable
    assert 0 < room.free_bytes <= room.total_bytes


def test_free_room_is_what_this_user_may_take(tmp_path: Path) -> None:
    room = read_room(tmp_path)
    stat = os.statvfs(tmp_path)
    assert room is not None
    assert abs(room.free_bytes - stat.f_bavail * stat.f_frsize) < 10**9


def test_disks_of_this_machine(tmp_path: Path) -> None:
    system = System(Path("/"), LocalCommands(), this_platform())
    places = {"models": tmp_path / "not/yet", "temporary": Path("/")}
    models, _ = read_disks(system, places)
    assert models.path == str(tmp_path / "not/yet")
    assert models.filesystem not in ("", "unknown")


@pytest.mark.parametrize(
    ("quota", "free"),
    [
        (None, 100),
        (Quota(0, 0, 50), 100),
        (Quota(120, 0, 50), 70),
        (Quota(120, 80, 50), 30),
        (Quota(40, 0, 50), 0),
        (Quota(900, 0, 50), 100),
    ],
)
def test_quota_bounds_what_is_free(quota: Quota | None, free: int) -> None:
    assert free_within(quota, 100) == free


def test_device_without_quotas_has_none() -> None:
    assert read_quota("/dev/null") is None
    assert read_quota("tmpfs") is None


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can be another user")
def test_kernel_is_asked_for_another_user_too() -> None:
    program = (
        "import os\n"
        "from setup_manager.machine.probe.quota import read_quota\n"
        "os.setuid(65534)\n"
        "print(read_quota('/dev/null'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr


def test_write_speed_is_measured_and_the_file_removed(tmp_path: Path) -> None:
    assert measure_writing(tmp_path, 8 * 1024 * 1024) > 1e5
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder_is_an_error_and_no_leftover(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        measure_writing(tmp_path / "missing")
