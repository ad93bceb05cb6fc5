"""Control groups: the lowest limit of all ancestors, the cache given back; v1, v2 and for real."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from setup_manager.machine.facts import Memory
from setup_manager.machine.probe.cgroup import (
    find_groups,
    parse_cpu_max,
    parse_limit,
    parse_membership,
    parse_mounts,
    read_cpu_quota,
    read_memory_groups,
    reclaimable_bytes,
)
from setup_manager.machine.probe.memory import read_memory
from setup_manager.machine.probe.system import System
from tests.machine import recorded
from tests.support.waiting import wait_until

MIB = 1024**2
GIB = 1024**3
V2_MOUNT = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1_MOUNT = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
UNLIMITED_V1 = "9223372036854771712\n"


def system(folder: Path, files: Mapping[str, str]) -> System:
    return recorded.build({"files": files, "os": "linux", "arch": "x86_64", "version": ""}, folder)


def memory(folder: Path, files: Mapping[str, str]) -> Memory:
    meminfo = {"/proc/meminfo": f"MemTotal: {32 * MIB} kB\nMemAvailable: {20 * MIB} kB\n"}
    return read_memory(system(folder, {**meminfo, **files}))


def v2(
    folder: str, limit: str = "max", usage: int = 0, cache: int = 0, high: str = "max"
) -> dict[str, str]:
    return {
        f"{folder}/memory.max": f"{limit}\n",
        f"{folder}/memory.high": f"{high}\n",
        f"{folder}/memory.current": f"{usage}\n",
        f"{folder}/memory.stat": f"inactive_file {cache}\nactive_file 0\n",
    }


def test_lowest_limit_of_all_ancestors_counts(tmp_path: Path) -> None:
    found = memory(
        tmp_path,
        {
            "/proc/self/mountinfo": V2_MOUNT,
            "/proc/self/cgroup": "0::/a/b/c\n",
            **v2("/sys/fs/cgroup/a", str(8 * GIB), 2 * GIB),
            **v2("/sys/fs/cgroup/a/b", str(4 * GIB), 1 * GIB),
            **v2("/sys/fs/cgroup/a/b/c", "max", 1 * GIB),
        },
    )
    assert found.limit_bytes == 4 * GIB
    assert found.available_bytes == 3 * GIB
    assert found.source == "cgroup v2 memory.max"


def test_ancestor_that_siblings_have_filled_bounds_what_is_available(tmp_path: Path) -> None:
    found = memory(
        tmp_path,
        {
            "/proc/self/mountinfo": V2_MOUNT,
            "/proc/self/cgroup": "0::/a/b\n",
            **v2("/sys/fs/cgroup/a", str(8 * GIB), 7 * GIB),
            **v2("/sys/fs/cgroup/a/b", str(4 * GIB), 1 * GIB),
        },
    )
    assert found.limit_bytes == 4 * GIB
    assert found.available_bytes == 1 * GIB


def test_page_cache_is_given_back(tmp_path: Path) -> None:
    files = {
        "/proc/self/mountinfo": V2_MOUNT,
        "/proc/self/cgroup": "0::/a\n",
        **v2("/sys/fs/cgroup/a", str(8 * GIB), 6 * GIB, cache=5 * GIB),
    }
    assert memory(tmp_path, files).available_bytes == 7 * GIB


def test_high_mark_is_a_limit_too(tmp_path: Path) -> None:
    found = memory(
        tmp_path,
        {
            "/proc/self/mountinfo": V2_MOUNT,
            "/proc/self/cgroup": "0::/a\n",
            **v2("/sys/fs/cgroup/a", str(8 * GIB), 0, high=str(6 * GIB)),
        },
    )
    assert found.limit_bytes == 6 * GIB
    assert found.source == "cgroup v2 memory.high"


def test_limit_above_the_machine_is_none(tmp_path: Path) -> None:
    found = memory(
        tmp_path,
        {
            "/proc/self/mountinfo": V2_MOUNT,
            "/proc/self/cgroup": "0::/a\n",
            **v2("/sys/fs/cgroup/a", str(64 * GIB)),
        },
    )
    assert found.limit_bytes is None
    assert found.available_bytes == 20 * GIB


def test_host_with_less_than_the_limit_bounds(tmp_path: Path) -> None:
    found = memory(
        tmp_path,
        {
            "/proc/self/mountinfo": V2_MOUNT,
            "/proc/self/cgroup": "0::/a\n",
            **v2("/sys/fs/cgroup/a", str(31 * GIB)),
        },
    )
    assert found.limit_bytes == 31 * GIB
    assert found.available_bytes == 20 * GIB
    assert found.source == "/proc/meminfo MemAvailable"


def test_version_1_unlimited_is_no_limit_and_hidden_ancestors_are_told_by_stat(
    tmp_path: Path,
) -> None:
    group = "/sys/fs/cgroup/memory"
    found = memory(
        tmp_path,
        {
            "/proc/self/mountinfo": V1_MOUNT,
            "/proc/self/cgroup": "4:memory:/\n",
            f"{group}/memory.limit_in_bytes": UNLIMITED_V1,
            f"{group}/memory.usage_in_bytes": f"{2 * GIB}\n",
            f"{group}/memory.stat": (
                f"cache 1\ninactive_file 1\nhierarchical_memory_limit {4 * GIB}\n"
                f"total_active_file {GIB // 2}\ntotal_inactive_file {GIB}\ntotal_dirty {GIB // 2}\n"
            ),
        },
    )
    assert found.limit_bytes == 4 * GIB
    assert found.available_bytes == 3 * GIB
    assert found.source == "cgroup v1 memory.limit_in_bytes"


def test_hybrid_system_asks_version_1_for_the_controller_that_it_holds(tmp_path: Path) -> None:
    files = {
        "/proc/self/mountinfo": V1_MOUNT
        + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 c rw\n",
        "/proc/self/cgroup": "4:memory:/a\n0::/\n",
        "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": f"{GIB}\n",
    }
    groups = find_groups(system(tmp_path, files), "memory")
    assert [group.folder for group in groups] == [
        "/sys/fs/cgroup/memory/a",
        "/sys/fs/cgroup/memory",
    ]
    assert {group.version for group in groups} == {1}


def test_container_sees_its_part_of_the_tree_at_the_mount_point(tmp_path: Path) -> None:
    files = {
        "/proc/self/mountinfo": (
            "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        ),
        "/proc/self/cgroup": "4:memory:/docker/abc/inner\n",
        "/sys/fs/cgroup/memory/inner/memory.limit_in_bytes": f"{GIB}\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GIB}\n",
    }
    groups = read_memory_groups(system(tmp_path, files))
    assert [group.limit_bytes for group in groups] == [GIB, 2 * GIB]


def test_path_from_outside_of_the_namespace_falls_back_to_the_mount_point(tmp_path: Path) -> None:
    files = {
        "/proc/self/mountinfo": V2_MOUNT,
        "/proc/self/cgroup": "0::/../../elsewhere\n",
        **v2("/sys/fs/cgroup", str(GIB)),
    }
    assert [group.limit_bytes for group in read_memory_groups(system(tmp_path, files))] == [GIB]


def test_no_groups_at_all(tmp_path: Path) -> None:
    assert memory(tmp_path, {}).limit_bytes is None


def test_cpu_quota_is_the_lowest_of_all_ancestors(tmp_path: Path) -> None:
    files = {
        "/proc/self/mountinfo": V2_MOUNT,
        "/proc/self/cgroup": "0::/a/b\n",
        "/sys/fs/cgroup/a/cpu.max": "150000 100000\n",
        "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
    }
    assert read_cpu_quota(system(tmp_path, files)) == 1.5


def test_version_1_cpu_quota(tmp_path: Path) -> None:
    files = {
        "/proc/self/mountinfo": "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
        "/proc/self/cgroup": "1:cpu:/a\n",
        "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "50000\n",
        "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    assert read_cpu_quota(system(tmp_path, files)) == 0.5


@pytest.mark.parametrize("text", ["max 100000", "-1 100000", "", "0 100000", "5 0", "rubbish"])
def test_no_quota(text: str) -> None:
    assert parse_cpu_max(text) is None


@pytest.mark.parametrize("text", [None, "max", "", "-1", "9223372036854771712", "x"])
def test_no_limit(text: str | None) -> None:
    assert parse_limit(text) is None


def test_mount_with_a_space_in_its_name() -> None:
    (mount,) = parse_mounts("1 2 8:1 / /media/my\\040disk rw,relatime - ext4 /dev/sda1 rw\n")
    assert mount.point == "/media/my disk"
    assert (mount.device, mount.filesystem, mount.source) == ("8:1", "ext4", "/dev/sda1")


def test_membership_of_joined_controllers() -> None:
    found = parse_membership("3:cpu,cpuacct:/a\n0::/b:c\nrubbish\n")
    assert found == {"cpu": "/a", "cpuacct": "/a", "": "/b:c"}


def test_dirty_pages_are_not_reclaimable_yet() -> None:
    stat = {"active_file": 10, "inactive_file": 20, "slab_reclaimable": 5, "file_dirty": 8}
    assert reclaimable_bytes(stat, 2) == 27
    assert reclaimable_bytes({"file_dirty": 8}, 2) == 0


# --- for real --------------------------------------------------------------------------------

ROOT = Path("/sys/fs/cgroup")
Groups = Callable[..., Path]


def memory_root() -> tuple[Path, int] | None:
    for folder, version in ((ROOT / "memory", 1), (ROOT, 2)):
        if (folder / ("memory.limit_in_bytes" if version == 1 else "cgroup.controllers")).exists():
            return folder, version
    return None


@pytest.fixture
def limited_group() -> Iterator[Groups]:
    """Make real groups, nested ones too; they are removed again."""
    place = memory_root()
    if place is None or not os.access(place[0], os.W_OK):
        pytest.skip("no memory controller that this user may write to")
    root, version = place
    made: list[Path] = []

    def make(name: str, limit: int, inside: Path | None = None) -> Path:
        group = (inside or root) / f"gemma-setup-test-{os.getpid()}-{name}"
        try:
            group.mkdir()
            made.append(group)
            file = "memory.limit_in_bytes" if version == 1 else "memory.max"
            (group / file).write_text(str(limit))
        except OSError as error:
            pytest.skip(f"groups cannot be made here: {error}")
        return group

    yield make
    for group in reversed(made):
        wait_until(partial(removed, group), 5, f"{group} can be removed")


def removed(group: Path) -> bool:
    """Try to remove a group; the kernel refuses while a process of it is still ending."""
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


CHILD = """
import json, os, sys
from pathlib import Path
group, scratch = Path(sys.argv[1]), Path(sys.argv[2])
cache, held = int(sys.argv[3]), int(sys.argv[4])
(group / "cgroup.procs").write_text(str(os.getpid()))
block = os.urandom(1 << 20)
if cache:
    with scratch.open("wb") as file:
        for _ in range(cache):
            file.write(block)
        os.fsync(file.fileno())
anonymous = bytearray(os.urandom(1 << 20) * held)
from setup_manager.machine.probe.machine import read_machine
memory = read_machine(meter=None).memory
names = ("memory.usage_in_bytes", "memory.current")
usage = next(group / name for name in names if (group / name).exists())
print(json.dumps({"limit": memory.limit_bytes, "available": memory.available_bytes,
    "source": memory.source, "total": memory.total_bytes, "usage": int(usage.read_text())}))
"""


def run_in(group: Path, scratch: Path, *, cache_mib: int = 0, held_mib: int = 0) -> dict[str, int]:
    arguments = [str(group), str(scratch), str(cache_mib), str(held_mib)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    answer: dict[str, int] = json.loads(done.stdout)
    return answer


def test_real_group_limits_and_its_page_cache_is_given_back(
    limited_group: Groups, tmp_path: Path
) -> None:
    group = limited_group("cache", 256 * MIB)
    answer = run_in(group, tmp_path / "file", cache_mib=120)
    assert answer["limit"] == 256 * MIB
    assert answer["total"] > 256 * MIB
    assert answer["usage"] > 120 * MIB
    # What a count of usage alone would leave is far too little.
    naive = 256 * MIB - answer["usage"]
    assert answer["available"] > naive + 100 * MIB
    assert answer["available"] < 256 * MIB
    assert str(answer["source"]).startswith("cgroup v")


def test_real_memory_that_is_held_is_not_given_back(limited_group: Groups, tmp_path: Path) -> None:
    group = limited_group("held", 256 * MIB)
    answer = run_in(group, tmp_path / "file", held_mib=100)
    assert answer["available"] < 156 * MIB


def test_real_nested_groups_give_the_lowest_limit(limited_group: Groups, tmp_path: Path) -> None:
    outer = limited_group("outer", 128 * MIB)
    inner = limited_group("inner", 512 * MIB, inside=outer)
    answer = run_in(inner, tmp_path / "file")
    assert answer["limit"] == 128 * MIB
    assert answer["available"] < 128 * MIB
