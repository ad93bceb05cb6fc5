"""The partial and its journal on disk, under a lock that only one process holds.

The order that makes it safe: data, sync, journal line, sync; and at the end: digest, sync, check
values, rename, sync of the folder. A journal is replaced only as a whole (new file, sync,
rename). The lock keeps a second process from fetching the same bytes; where locks do nothing,
the journal's owner shows that another process took over, and the digest keeps the file right.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from setup_manager.catalog import Artifact
from setup_manager.download.chunks import Coverage, Span
from setup_manager.download.job import FilePlaces
from setup_manager.download.journal import Header, replay, rewritten, span_lines, usable
from setup_manager.download.plan import DiskState, Stamp
from setup_manager.fs import Disk, OsDisk


class OwnerChangedError(Exception):
    """Another process took the partial over: locks do nothing on this file system."""


def stamp_of(path: Path) -> Stamp:
    """Read the stamp of a file; follows links."""
    found = path.stat()
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ino)


def read_state(artifact: Artifact, places: FilePlaces) -> DiskState:
    """Read what is on disk of one file; changes nothing."""
    content = _stamp(places.content)
    # The stamps come first: whoever writes after them is noticed when they are compared.
    partial, journal = _stamp(places.partial), _stamp(places.journal)
    covered = usable(
        replay(_content(places.journal) if journal else b""),
        artifact.sha256,
        artifact.size_bytes,
        partial.size_bytes if partial else 0,
    )
    return DiskState(
        installed=content is not None and content.size_bytes == artifact.size_bytes,
        partial=partial,
        journal=journal,
        coverage=covered,
        allocated_bytes=min(_allocated(places.partial), artifact.size_bytes),
    )


def is_unchanged(state: DiskState, places: FilePlaces) -> bool:
    """Say whether partial and journal are still what they were when they were read."""
    return (state.partial, state.journal) == (_stamp(places.partial), _stamp(places.journal))


class PartialFile:
    """The bytes of one file in flight; whoever opens it holds its lock.

    Args:
        places: Where it lies.
        artifact: What it will be.
        coverage: What of it counts, as `read_state` found it; the journal is written anew with it.
        disk: Where bytes are written.
    """

    def __init__(
        self, places: FilePlaces, artifact: Artifact, coverage: Coverage, disk: Disk | None = None
    ) -> None:
        self._places = places
        self._artifact = artifact
        self._disk = disk or OsDisk()
        self._lock = threading.Lock()
        self._header = Header(
            artifact.sha256, artifact.size_bytes, coverage.chunk_bytes, secrets.token_hex(8)
        )
        self._data = -1
        self._log = -1
        try:
            self._open_data()
            self._replace_journal(coverage)
        except BaseException:
            self.close()
            raise

    def _open_data(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        self._data = os.open(self._places.partial, flags, 0o644)
        size = self._artifact.size_bytes
        if os.fstat(self._data).st_size != size:
            self._disk.resize(self._data, size)
            self._disk.preallocate(self._data, size)
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
        return self._disk.read_at(self._data, view, offset)

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
        self._disk.forget_pages(self._data, start, end)

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


def _stamp(path: Path) -> Stamp | None:
    try:
        return stamp_of(path)
    except OSError:
        return None


def _allocated(path: Path) -> int:
    try:
        return getattr(path.stat(), "st_blocks", 0) * 512
    except OSError:
        return 0


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def remove_leftovers(places: FilePlaces, disk: Disk | None = None) -> None:
    """Remove partial and journal of a file whose content is in place."""
    disk = disk or OsDisk()
    for path in (places.journal, places.partial):
        with suppress(OSError):
            disk.remove(path)
