"""The partial and its journal on disk, under a lock that only one process holds.

The order that makes it safe: data, sync, journal line, sync; and at the end: digest, sync, check
values, rename, sync of the folder. A journal is replaced only as a whole (new file, sync,
rename). The lock keeps a second process from fetching the same bytes; where locks do nothing,
the journal's owner shows that another process took over, and the digest keeps the file right.
"""

from __future__ import annotations

import errno
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from setup_manager.catalog import Artifact
from setup_manager.download.chunks import Coverage, Span
from setup_manager.download.journal import Header, replay, rewritten, span_lines, usable
from setup_manager.download.places import FilePlaces
from setup_manager.fs import Disk, OsDisk, forget_pages, preallocate, read_at


class OwnerChangedError(Exception):
    """Another process took the partial over: locks do nothing on this file system."""


class FileBusyError(Exception):
    """Another process holds the lock."""


class FileClaim:
    """The lock on one file, as a context manager.

    Args:
        path: Of the lock.
        wait: Wait for another holder instead of raising `FileBusyError`.
        on_wait: Called once when waiting begins.
        cancelled: Asked while waiting; True ends it with `FileBusyError`.
    """

    def __init__(
        self,
        path: Path,
        *,
        wait: bool,
        on_wait: Callable[[], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._path = path
        self._lock = FileLock(str(path), thread_local=False)
        self._wait = wait
        self._on_wait = on_wait
        self._cancelled = cancelled
        self._held = False

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        told = False
        while not self._try():
            if not self._wait or self._cancelled():
                raise FileBusyError
            if not told:
                self._on_wait()
                told = True
            time.sleep(0.1)
        return self

    def _try(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        except NotImplementedError:
            return True  # no locks here: the journal's owner and the digest must do
        except OSError as error:
            if error.errno in {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}:
                return True
            raise
        self._held = True
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._held:
            self._held = False
            self._lock.release()


class PartialFile:
    """The bytes of one file in flight.

    Attributes:
        coverage: What was found on disk and holds together.
    """

    def __init__(
        self, places: FilePlaces, artifact: Artifact, chunk_bytes: int, disk: Disk | None = None
    ) -> None:
        self._places = places
        self._artifact = artifact
        self._disk = disk or OsDisk()
        self._lock = threading.Lock()
        found_bytes = _size(places.partial)
        replayed = replay(_content(places.journal))
        self.coverage = usable(
            replayed, artifact.sha256, artifact.size_bytes, found_bytes, chunk_bytes
        )
        self._header = Header(
            artifact.sha256,
            artifact.size_bytes,
            self.coverage.chunk_bytes,
            secrets.token_hex(8),
        )
        self._data = -1
        self._log = -1
        try:
            self._open_data(found_bytes)
            self._replace_journal(self.coverage)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def is_whole_without_journal(places: FilePlaces, artifact: Artifact) -> bool:
        """Tell whether a partial has the full length and nothing says what of it is there."""
        header = replay(_content(places.journal)).header
        return header is None and 0 < artifact.size_bytes == _size(places.partial)

    def _open_data(self, found_bytes: int) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        self._data = os.open(self._places.partial, flags, 0o644)
        if found_bytes != self._artifact.size_bytes:
            self._disk.resize(self._data, self._artifact.size_bytes)
            preallocate(self._data, self._artifact.size_bytes)
            self._disk.sync_data(self._data)
        self._disk.sync_folder(self._places.partial.parent)

    def _replace_journal(self, coverage: Coverage) -> None:
        fresh = self._places.journal.with_name(self._places.journal.name + ".new")
        self._disk.write_new(fresh, rewritten(self._header, coverage))
        self._log = _closed(self._log)  # Windows renames over no open file
        self._disk.rename(fresh, self._places.journal)
        flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._log = os.open(self._places.journal, flags)

    @property
    def descriptor(self) -> int:
        """The open partial."""
        return self._data

    def write(self, offset: int, view: memoryview) -> None:
        """Put bytes at their place; they count only after `keep`."""
        self._disk.write_at(self._data, view, offset)

    def read(self, offset: int, view: memoryview) -> int:
        """Read bytes back, from the page cache when they are still in it."""
        return read_at(self._data, view, offset)

    def keep(self, spans: Iterable[Span]) -> None:
        """Sync the data, then note the spans in the journal and sync that.

        Raises:
            OwnerChangedError: If another process took the partial over.
            OSError: If the disk is full or fails; the spans then do not count.
        """
        with self._lock:
            self._disk.sync_data(self._data)
            self._check_owner()
            self._disk.append(self._log, span_lines(spans).encode("ascii"))
            self._disk.sync_data(self._log)

    def _check_owner(self) -> None:
        try:
            there = self._places.journal.stat()
        except FileNotFoundError:
            raise OwnerChangedError from None
        mine = os.fstat(self._log)
        if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
            raise OwnerChangedError

    def rewrite(self, coverage: Coverage) -> None:
        """Replace the journal: spans that turned out wrong are gone from it."""
        with self._lock:
            self._check_owner()
            self._replace_journal(coverage)

    def forget(self, start: int, end: int) -> None:
        """Let the pages of a range leave the page cache."""
        forget_pages(self._data, start, end)

    def seal(self) -> None:
        """Sync everything before the rename."""
        self._disk.sync_data(self._data)

    def commit(self) -> None:
        """Give the verified bytes their final name.

        Raises:
            OwnerChangedError: If another process took the partial over.
        """
        with self._lock:
            self._check_owner()
            self._disk.make_folder(self._places.content.parent)
            self._data = _closed(self._data)  # Windows renames no open file
            self._disk.rename(self._places.partial, self._places.content)

    def finish(self) -> None:
        """Remove the journal, once the content is published."""
        with suppress(OSError):
            self._disk.remove(self._places.journal)

    def drop(self) -> None:
        """Close and remove partial and journal: what they hold is wrong."""
        self.close()
        self._disk.remove(self._places.journal)
        self._disk.remove(self._places.partial)

    def close(self) -> None:
        """Close both files; only when no thread writes any more."""
        self._data = _closed(self._data)
        self._log = _closed(self._log)


def _closed(descriptor: int) -> int:
    """Close a descriptor; returns the number that stands for none."""
    if descriptor >= 0:
        with suppress(OSError):
            os.close(descriptor)
    return -1


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return b""


def remove_leftovers(places: FilePlaces, disk: Disk | None = None) -> None:
    """Remove partial and journal of a file whose content is in place."""
    disk = disk or OsDisk()
    for path in (places.journal, places.partial):
        with suppress(OSError):
            disk.remove(path)
