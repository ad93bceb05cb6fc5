"""Is another program writing to a leftover right now? Then it is left alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from setup_manager.recover.find import stamp_of
from setup_manager.recover.leftover import Leftover

_RECENT_SECONDS = 60.0
SETTLE_SECONDS = 0.7

_FileKey = tuple[int, int]


def find_busy(
    leftovers: Iterable[Leftover],
    *,
    settle_seconds: float = SETTLE_SECONDS,
    proc: Path = Path("/proc"),
) -> dict[Path, str]:
    """Say which leftovers have to be left alone, and why.

    Linux tells who has a file open for writing, as far as this user may see; an Ollama server of
    another user may not be seen. So files that changed within the last minute are looked at
    twice, with one short pause for all of them.

    Args:
        leftovers: What was found, moments ago.
        settle_seconds: The pause; 0 for none.
        proc: Linux's process file system.

    Returns:
        Reasons by path; files that are not in it are free.
    """
    leftovers = tuple(leftovers)
    written = _open_for_writing(proc) if leftovers else frozenset()
    if settle_seconds and any(_is_recent(leftover) for leftover in leftovers):
        time.sleep(settle_seconds)
    busy = {}
    for leftover in leftovers:
        if (leftover.stamp.device, leftover.stamp.inode) in written:
            busy[leftover.path] = "another program has it open for writing"
        elif has_changed(leftover):
            busy[leftover.path] = "it is changing now"
    return busy


def has_changed(leftover: Leftover) -> bool:
    """Say whether the file is no longer what it was when it was found."""
    try:
        return stamp_of(leftover.path.stat()) != leftover.stamp
    except OSError:
        return True


def _is_recent(leftover: Leftover) -> bool:
    # A time in the future is a wrong clock, not a running download.
    age_seconds = time.time() - leftover.stamp.modified_ns / 1e9
    return 0 <= age_seconds < _RECENT_SECONDS


def _open_for_writing(proc: Path) -> frozenset[_FileKey]:
    """List device and inode of the files that other processes have open for writing."""
    keys: set[_FileKey] = set()
    for process in _listed(proc):
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        for descriptor in _listed(process / "fd"):
            key = _written_file(process, descriptor)
            if key is not None:
                keys.add(key)
    return frozenset(keys)


def _listed(folder: Path) -> Iterable[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return ()


def _written_file(process: Path, descriptor: Path) -> _FileKey | None:
    """Return the regular file behind a descriptor if it is open for writing (proc(5), fdinfo)."""
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
