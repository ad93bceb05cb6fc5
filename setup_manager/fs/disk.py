"""What differs between operating systems when bytes must stay: one place for all of it."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

_LINUX = sys.platform.startswith("linux")


class Disk(Protocol):
    """The calls on files whose order decides what survives a cut of power.

    Tests put a recorder or a failing disk in its place.
    """

    def read_at(self, descriptor: int, view: memoryview, offset: int) -> int:
        """Read into `view` from an offset; returns the bytes read, 0 at the end."""
        ...

    def write_at(self, descriptor: int, data: memoryview | bytes, offset: int) -> None:
        """Write all of `data` at an offset."""
        ...

    def append(self, descriptor: int, data: bytes) -> None:
        """Write all of `data` at the end of a file that was opened for appending."""
        ...

    def sync_data(self, descriptor: int) -> None:
        """Return when the file's bytes, and its length, are on the device."""
        ...

    def resize(self, descriptor: int, size_bytes: int) -> None:
        """Set a file's length."""
        ...

    def preallocate(self, descriptor: int, size_bytes: int) -> None:
        """Reserve the space of a file, where that takes no time."""
        ...

    def copy_range(self, source: int, target: int, start: int, size_bytes: int) -> bool:
        """Copy bytes between files inside the kernel; False if the system cannot."""
        ...

    def forget_pages(self, descriptor: int, start: int, end: int) -> None:
        """Let clean pages of a range leave the page cache."""
        ...

    def write_new(self, path: Path, data: bytes) -> None:
        """Make a file with this content and sync it."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Rename over whatever is there, and make that last."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file if it is there."""
        ...

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it that are missing, and make their names last."""
        ...

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder last."""
        ...


class OsDisk:
    """The disk of this machine."""

    def read_at(self, descriptor: int, view: memoryview, offset: int) -> int:
        """Read into `view` from an offset; returns the bytes read, 0 at the end."""
        return _pread(descriptor, view, offset)

    def write_at(self, descriptor: int, data: memoryview | bytes, offset: int) -> None:
        """Write all of `data` at an offset."""
        view = memoryview(data)
        while view:
            written = _pwrite(descriptor, view, offset)
            offset += written
            view = view[written:]

    def append(self, descriptor: int, data: bytes) -> None:
        """Write all of `data` at the end of a file that was opened for appending."""
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def sync_data(self, descriptor: int) -> None:
        """Return when the file's bytes, and its length, are on the device."""
        _sync(descriptor)

    def resize(self, descriptor: int, size_bytes: int) -> None:
        """Set a file's length."""
        os.ftruncate(descriptor, size_bytes)

    def preallocate(self, descriptor: int, size_bytes: int) -> None:
        """Reserve the space of a file where the file system does that at once.

        Calls fallocate itself: glibc's posix_fallocate writes every block where the file system
        cannot, which takes as long as the download. Elsewhere the file stays sparse.

        Raises:
            OSError: If the space is not there (ENOSPC, EDQUOT) or the file may not be that long.
        """
        if not _LINUX or size_bytes == 0:
            return
        with suppress(AttributeError):
            call = ctypes.CDLL(None, use_errno=True).fallocate
            call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
            if call(descriptor, 0, 0, size_bytes) != 0:
                number = ctypes.get_errno()
                if number in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                    raise OSError(number, os.strerror(number))

    def copy_range(self, source: int, target: int, start: int, size_bytes: int) -> bool:
        """Copy bytes between files inside the kernel, sharing blocks where the file system can.

        Returns:
            False if the system cannot; then the caller copies by hand.
        """
        if not hasattr(os, "copy_file_range"):
            return False
        position, end = start, start + size_bytes
        try:
            while position < end:
                copied = os.copy_file_range(source, target, end - position, position, position)
                if copied == 0:
                    return False
                position += copied
        except OSError:
            return False
        return True

    def forget_pages(self, descriptor: int, start: int, end: int) -> None:
        """Let clean pages of a range leave the page cache, where the system has such a call."""
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):
                os.posix_fadvise(descriptor, start, end - start, os.POSIX_FADV_DONTNEED)

    def write_new(self, path: Path, data: bytes) -> None:
        """Make a file with this content and sync it."""
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            _sync(file.fileno())

    def rename(self, source: Path, target: Path) -> None:
        """Rename over whatever is there, and make that last."""
        source.replace(target)
        self.sync_folder(target.parent)

    def remove(self, path: Path) -> None:
        """Remove a file if it is there."""
        path.unlink(missing_ok=True)

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it that are missing, and make their names last."""
        if path.is_dir():
            return
        self.make_folder(path.parent)
        path.mkdir(exist_ok=True)
        self.sync_folder(path.parent)

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder last; Windows has no such call and needs none."""
        if sys.platform == "win32":
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:  # some network file systems refuse to sync a folder
            if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
                raise
        finally:
            os.close(descriptor)


if sys.platform == "win32":
    _seek_lock = threading.Lock()

    def _pwrite(descriptor: int, view: memoryview, offset: int) -> int:
        with _seek_lock:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.write(descriptor, view)

    def _pread(descriptor: int, view: memoryview, offset: int) -> int:
        with _seek_lock:
            os.lseek(descriptor, offset, os.SEEK_SET)
            data = os.read(descriptor, len(view))
        view[: len(data)] = data
        return len(data)

    _sync: Callable[[int], None] = os.fsync
else:

    def _pwrite(descriptor: int, view: memoryview, offset: int) -> int:
        return os.pwrite(descriptor, view, offset)

    def _pread(descriptor: int, view: memoryview, offset: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(descriptor, [view], offset)
        data = os.pread(descriptor, len(view), offset)  # an older macOS
        view[: len(data)] = data
        return len(data)

    if sys.platform == "darwin":

        def _sync(descriptor: int) -> None:
            """Reach the platter: on macOS fsync alone stops at the drive's cache."""
            import fcntl

            try:
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            except OSError:  # a file system without it
                os.fsync(descriptor)
    else:
        _sync = os.fdatasync


def lower_priority() -> None:
    """Give the calling thread low CPU and I/O priority (Linux; elsewhere nothing happens).

    Source: setpriority(2), where Linux takes a thread's id, and ioprio_set(2), best effort 7.
    """
    if not _LINUX:
        return
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
    number = {"x86_64": 251, "aarch64": 30}.get(os.uname().machine)
    if number is not None:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).syscall(number, 1, 0, (2 << 13) | 7)
