"""Is another program writing to this file right now? Then it is left alone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from setup_manager.recover.find import stamp_of
from setup_manager.recover.leftover import Leftover

FileKey = tuple[int, int]


def open_for_writing(proc: Path = Path("/proc")) -> frozenset[FileKey]:
    """List the files that any visible process has open for writing.

    Reads Linux's ``/proc/<pid>/fd`` and the access mode in ``fdinfo``; other users' processes
    cannot be seen without rights. Elsewhere nothing is seen and `has_changed` has to do.

    Returns:
        Device and inode of each.
    """
    keys: set[FileKey] = set()
    for process in _listed(proc):
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        for descriptor in _listed(process / "fd"):
            key = _written_file(process, descriptor)
            if key is not None:
                keys.add(key)
    return frozenset(keys)


def has_changed(leftover: Leftover) -> bool:
    """Say whether the file is no longer what it was when it was found."""
    try:
        return stamp_of(leftover.path.stat()) != leftover.stamp
    except OSError:
        return True


def why_busy(leftover: Leftover, written: frozenset[FileKey]) -> str | None:
    """Say why a leftover has to be left alone, or None if nobody is at it.

    Args:
        leftover: As it was found, some time ago.
        written: What `open_for_writing` returned.
    """
    if (leftover.stamp.device, leftover.stamp.inode) in written:
        return "another program has it open for writing"
    if has_changed(leftover):
        return "it is changing right now"
    return None


def _listed(folder: Path) -> Iterable[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return ()


def _written_file(process: Path, descriptor: Path) -> FileKey | None:
    try:
        target = str(descriptor.readlink())
        if not target.startswith("/") or target.startswith("/dev/"):
            return None
        text = (process / "fdinfo" / descriptor.name).read_text()
        flags = next(line for line in text.splitlines() if line.startswith("flags:"))
        if int(flags.split()[1], 8) & os.O_ACCMODE == os.O_RDONLY:
            return None
        status = descriptor.stat()
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    return status.st_dev, status.st_ino
