"""Taking over what another tool left: ranges of a file into the partial, or a whole file.

Adopted ranges spare their transfer and are not yet believed: the digest of the whole file is what
proves them, and if it is wrong, they are the first to be looked at again. A whole file gets its
place only after its digest was right.
"""

from __future__ import annotations

import os
import shutil
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from setup_manager.catalog import Artifact
from setup_manager.download.chunks import ADOPTED, Coverage, Span, split_on_grid
from setup_manager.download.failures import interrupted
from setup_manager.download.hashing import hash_whole
from setup_manager.download.installed import write_checks
from setup_manager.download.job import DownloadOptions, FilePlaces
from setup_manager.download.plan import FilePlan, empty_coverage
from setup_manager.download.store import PartialFile, remove_leftovers, stamp_of
from setup_manager.fs import Disk
from setup_manager.units import MIB

_KEEP_BYTES = 64 * MIB
_FICLONE = 0x40049409  # linux/fs.h
_MODE = 0o644  # Firefox makes its parts for the owner alone


def link_as_partial(source: Path, places: FilePlaces) -> None:
    """Let a file become the partial where there is none, which takes neither time nor space.

    By a second name and not by renaming, so that after a crash it is still found.
    """
    with suppress(OSError):  # there is a partial already, or it is another file system
        places.partial.hardlink_to(source)
        places.partial.chmod(_MODE)


def adopt_ranges(
    file: FilePlan,
    source: Path,
    ranges: Sequence[tuple[int, int]],
    shift_bytes: int,
    cancel: threading.Event,
    disk: Disk,
) -> int:
    """Copy ranges into the partial; call it under the file's lock. See `Downloader.adopt`."""
    coverage = file.coverage
    held = PartialFile(file.places, file.artifact, coverage, disk)
    try:
        taken = _Adoption(held, coverage, disk, shift_bytes, cancel).copy(source, ranges)
    finally:
        held.close()
    if cancel.is_set():
        raise interrupted(file.artifact, coverage.covered_bytes)
    return taken


class _Adoption:
    """One copy of ranges from a file into a partial."""

    def __init__(
        self,
        held: PartialFile,
        coverage: Coverage,
        disk: Disk,
        shift_bytes: int,
        cancel: threading.Event,
    ) -> None:
        self._held = held
        self._coverage = coverage
        self._disk = disk
        self._shift = shift_bytes
        self._cancel = cancel

    def copy(self, source: Path, ranges: Sequence[tuple[int, int]]) -> int:
        """Copy what is not there yet, and note it in the journal every now and then."""
        taken, waiting, fresh = 0, 0, list[Span]()
        descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            for start, end in self._wanted(ranges, os.fstat(descriptor).st_size):
                if self._cancel.is_set():
                    break
                span = Span(start, end, self._copy_range(descriptor, start, end), ADOPTED)
                if self._coverage.add(span):
                    fresh.append(span)
                    waiting += span.size_bytes
                if waiting >= _KEEP_BYTES:
                    self._held.keep(fresh)
                    taken, waiting, fresh = taken + waiting, 0, []
            if fresh:
                self._held.keep(fresh)
        finally:
            os.close(descriptor)
        return taken + waiting

    def _wanted(
        self, ranges: Sequence[tuple[int, int]], source_bytes: int
    ) -> Iterator[tuple[int, int]]:
        """Yield what the source has and the partial lacks, cut at chunks."""
        coverage = self._coverage
        missing = coverage.missing()
        for start, end in ranges:
            stop = min(end, source_bytes + self._shift, coverage.size_bytes)
            for first, last in split_on_grid(max(start, 0), stop, coverage.chunk_bytes):
                for gap_start, gap_end in missing:
                    low, high = max(first, gap_start), min(last, gap_end)
                    if low < high:
                        yield low, high

    def _copy_range(self, source: int, start: int, end: int) -> int:
        """Copy one range; return the CRC-32 of its bytes, read from the source."""
        target = self._held.descriptor
        shared = os.path.sameopenfile(source, target) or (
            not self._shift and self._disk.copy_range(source, target, start, end - start)
        )
        buffer = memoryview(bytearray(min(MIB, end - start)))
        crc, position = 0, start
        while position < end:
            view = buffer[: min(len(buffer), end - position)]
            count = self._disk.read_at(source, view, position - self._shift)
            if count == 0:
                raise OSError(5, "the source shrank while it was copied")
            crc = zlib.crc32(view[:count], crc)
            if not shared:
                self._held.write(position, view[:count])
            position += count
        return crc


def install_whole(
    artifact: Artifact,
    source: Path,
    places: FilePlaces,
    options: DownloadOptions,
    cancel: threading.Event,
    disk: Disk,
    *,
    owned: bool,
) -> bool:
    """Give a file its final name if its digest is right; call it under the file's lock.

    Nobody writes to a finished model, so a second name for it is safe; that it is the right one
    is checked on that name, after it was made.

    Returns:
        Whether it is in place.

    Raises:
        InterruptedByUserError: If `cancel` was set; nothing is changed then.
        OSError: If something cannot be read or written.
    """
    in_place = places.content.exists() and places.content.samefile(source)
    # Named as a partial, so that what a kill leaves of a copy is found and dropped like one.
    stage = places.partial.with_name(f"{artifact.sha256}.whole.gemma-setup.partial")
    try:
        if not in_place:
            disk.make_folder(stage.parent)
            _make_second(source, stage)
        chunk_bytes = empty_coverage(artifact, options).chunk_bytes
        digest, coverage = hash_whole(source if in_place else stage, chunk_bytes, cancel)
        if cancel.is_set():
            raise interrupted(artifact, 0)
        if digest != artifact.sha256:
            return False
        if not in_place:
            disk.make_folder(places.content.parent)
            disk.rename(stage, places.content)
    finally:
        stage.unlink(missing_ok=True)
    if owned:
        with suppress(OSError):
            places.content.chmod(_MODE)
    write_checks(options.checks_dir, artifact, stamp_of(places.content), coverage, disk)
    remove_leftovers(places, disk)
    return True


def _make_second(path: Path, stage: Path) -> None:
    """Make a second file that shares the blocks of a file, a second name, or else a copy."""
    stage.unlink(missing_ok=True)
    if _reflinked(path, stage):
        return
    try:
        stage.hardlink_to(path)
    except OSError:
        with path.open("rb") as source, stage.open("wb") as target:
            shutil.copyfileobj(source, target, MIB)
            target.flush()
            os.fsync(target.fileno())


def _reflinked(path: Path, stage: Path) -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    with path.open("rb") as source, stage.open("wb") as target:
        try:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        except OSError:
            stage.unlink()
            return False
        os.fsync(target.fileno())
    return True
