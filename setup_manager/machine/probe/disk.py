"""The file systems under the paths that matter."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from setup_manager.machine.facts import Disk
from setup_manager.machine.probe.cgroup import Mount, parse_mounts
from setup_manager.machine.probe.quota import free_within, read_quota
from setup_manager.machine.probe.system import System

NETWORK_FILESYSTEMS = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "fuse.glusterfs", "lustre",
    "fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "webdav", "fuse.davfs", "davfs",
    "afpfs", "ncpfs", "beegfs", "gpfs",
})  # fmt: skip

FILE_SIZE_LIMITS = {"vfat": (1 << 32) - 1, "msdos": (1 << 32) - 1, "fat32": (1 << 32) - 1}
"""FAT keeps a file's length in 32 bits."""


@dataclass(frozen=True, slots=True)
class Room:
    """Room in a file system.

    Attributes:
        free_bytes: Free for this user, reserved blocks left out.
        total_bytes: Size.
        writable: Whether this user may write there.
    """

    free_bytes: int
    total_bytes: int
    writable: bool


RoomReader = Callable[[Path], Room | None]


def read_room(path: Path) -> Room | None:
    """Ask the system about the nearest folder above `path` that exists."""
    folder = nearest_existing(path)
    try:
        usage = shutil.disk_usage(folder)
        return Room(usage.free, usage.total, os.access(folder, os.W_OK))
    except OSError:
        return None


def nearest_existing(path: Path) -> Path:
    """Find the nearest folder above a path that is there (it may have yet to be made)."""
    for folder in (path, *path.parents):
        try:
            if folder.exists():
                return folder
        except OSError:
            continue
    return Path(path.anchor or "/")


def find_mount(mounts: Iterable[Mount], path: PurePath) -> Mount | None:
    """Find the mount that a path lies in: the deepest one, and of several there the last."""
    best: Mount | None = None
    for mount in mounts:
        if path.is_relative_to(mount.point) and (
            best is None or len(mount.point) >= len(best.point)
        ):
            best = mount
    return best


def is_rotational(system: System, device: str) -> bool | None:
    """Whether a block device ``major:minor`` spins; a partition asks its disk.

    Virtual disks say that they spin because nobody told them better: they stay unknown.
    """
    target = system.link_target(f"/sys/dev/block/{device}")
    if re.search(r"/block/(?:x?vd[a-z]|loop|ram|nbd)", target):
        return None
    folder = f"/sys/dev/block/{device}"
    for place in (f"{folder}/queue/rotational", f"{folder}/../queue/rotational"):
        answer = system.read_word(place)
        if answer in ("0", "1"):
            return answer == "1"
    return None


def describe(purpose: str, path: Path, room: Room, mount: Mount | None, system: System) -> Disk:
    """Put together what is known of the file system under a path."""
    filesystem = mount.filesystem if mount else "unknown"
    network = filesystem in NETWORK_FILESYSTEMS
    source = mount.source if mount and mount.source.startswith("/dev/") else ""
    return Disk(
        path=str(path),
        free_bytes=room.free_bytes,
        total_bytes=room.total_bytes,
        filesystem=filesystem,
        device=source or (mount.device if mount else ""),
        network=network,
        rotational=is_rotational(system, mount.device) if mount else None,
        purpose=purpose,
        writable=room.writable and not (mount is not None and "ro" in mount.options),
        file_size_limit_bytes=FILE_SIZE_LIMITS.get(filesystem),
    )


def read_disks(
    system: System, places: Mapping[str, Path], room_of: RoomReader = read_room
) -> tuple[Disk, ...]:
    """Read the file system under each path that matters.

    Args:
        system: The machine.
        places: Path by purpose, e.g. ``{"models": Path(…)}``.
        room_of: Tells how much room there is under a path.

    Returns:
        One entry for each path that could be read; equal ``device`` means the same file system.
    """
    mounts = parse_mounts(system.read("/proc/self/mountinfo") or "") or _other_mounts(system)
    disks = []
    for purpose, path in places.items():
        room = room_of(path)
        if room is None:
            continue
        place = nearest_existing(path).resolve() if system.is_live else path
        mount = find_mount(mounts, place)
        if mount is not None and system.is_live:
            free = free_within(read_quota(mount.source), room.free_bytes)
            room = replace(room, free_bytes=free)
        disks.append(describe(purpose, path, room, mount, system))
    return tuple(disks)


def _other_mounts(system: System) -> tuple[Mount, ...]:
    """List mounts where there is no /proc: macOS and Windows."""
    if not system.is_live or system.platform.os == "linux":
        return ()
    import psutil

    return tuple(
        Mount(
            # A network mount's source names a server and often a user: its place stands for it.
            device=part.device if part.device.startswith("/dev/") else part.mountpoint,
            root="/",
            point=part.mountpoint,
            filesystem=part.fstype.lower(),
            source=part.device,
            options=frozenset(part.opts.split(",")),
        )
        for part in psutil.disk_partitions(all=True)
    )


def measure_writing(folder: Path, size_bytes: int = 256 * 1024 * 1024) -> float:
    """Measure how fast a folder takes a new file, synced; only on request, since it writes.

    Returns:
        Bytes per second.

    Raises:
        OSError: If the folder cannot be written.
    """
    block = os.urandom(4 * 1024 * 1024)
    path = folder / f".gemma-setup.{os.getpid()}.write-test"
    try:
        with path.open("xb", buffering=0) as file:
            start = time.perf_counter()
            for _ in range(size_bytes // len(block)):
                file.write(block)
            os.fsync(file.fileno())
            seconds = time.perf_counter() - start
    finally:
        path.unlink(missing_ok=True)
    return size_bytes // len(block) * len(block) / max(seconds, 1e-6)
