"""Taking over bytes that another tool left: copied into the partial, counted, not yet believed.

Adopted bytes spare their transfer. The digest of the whole file is what proves them; if it is
wrong, they are the first to be looked at again.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

from setup_manager.catalog import Artifact
from setup_manager.download.chunks import ADOPTED, Coverage, Span, split_on_grid
from setup_manager.download.failures import disk_failure
from setup_manager.download.options import DownloadOptions
from setup_manager.download.places import Layout
from setup_manager.download.plan import DiskState, check_artifact, plan_file
from setup_manager.download.store import FileBusyError, FileClaim, PartialFile
from setup_manager.errors import BusyError, InterruptedByUserError
from setup_manager.fs import copy_range, read_at
from setup_manager.units import MIB

_KEEP_BYTES = 64 * MIB


def adopt_file(
    artifact: Artifact,
    layout: Layout,
    source: Path,
    ranges: Sequence[tuple[int, int]],
    options: DownloadOptions | None = None,
    cancel: Event | None = None,
    *,
    shift_bytes: int = 0,
) -> int:
    """Copy ranges of another tool's file into the partial, so that `fetch` brings the rest.

    Where the file system can share blocks, the copy takes neither time nor space. The source is
    only read. What the partial holds already is kept.

    Args:
        artifact: What the whole file must be.
        layout: Where the partial lies.
        source: The other tool's file.
        ranges: (start, end) of bytes that are believed to be there.
        options: Chunk size, and whether to wait for another process.
        cancel: Set it to stop; what was copied by then counts.
        shift_bytes: How much further back the bytes lie in the artifact than in the source.

    Returns:
        Bytes that were taken over.

    Raises:
        BusyError: If another process is at the file and `options.wait` is false.
        InsufficientDiskError: If the disk is full.
        DownloadFailedError: If the disk fails or may not be written.
        InterruptedByUserError: If `cancel` was set.
        VerificationFailedError: If the artifact's names are not acceptable.
    """
    options = options or DownloadOptions()
    cancel = cancel or Event()
    check_artifact(artifact)
    places = layout.places(artifact)
    claim = FileClaim(places.lock, wait=options.wait, on_wait=lambda: None, cancelled=cancel.is_set)
    try:
        with claim:
            places.partial.parent.mkdir(parents=True, exist_ok=True)
            grid_bytes = plan_file(artifact, DiskState(), options.chunk_bytes).chunk_bytes
            held = PartialFile(places, artifact, grid_bytes)
            try:
                taken = _copy(held, source, ranges, cancel, shift_bytes)
            finally:
                held.close()
    except FileBusyError:
        raise BusyError(
            f"Another process is at {artifact.path}.",
            hint="Wait until it is done, then run the same command again.",
        ) from None
    except OSError as error:
        path = Path(error.filename) if error.filename else places.partial
        raise disk_failure(error, path, 0, artifact.size_bytes) from error
    if cancel.is_set():
        raise InterruptedByUserError(
            f"Interrupted: {taken} bytes of {source} were taken over.",
            hint="Run the same command again: it goes on from here.",
        )
    return taken


def _copy(
    held: PartialFile,
    source: Path,
    ranges: Sequence[tuple[int, int]],
    cancel: Event,
    shift_bytes: int,
) -> int:
    """Copy what is not there yet, and note it in the journal every now and then."""
    taken, waiting, fresh = 0, 0, list[Span]()
    descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        source_end = os.fstat(descriptor).st_size + shift_bytes
        for start, end in _wanted(held.coverage, ranges, source_end):
            if cancel.is_set():
                break
            span = Span(start, end, _copy_range(held, descriptor, start, end, shift_bytes), ADOPTED)
            if held.coverage.add(span):
                fresh.append(span)
                waiting += span.size_bytes
            if waiting >= _KEEP_BYTES:
                held.keep(fresh)
                taken, waiting, fresh = taken + waiting, 0, []
        if fresh:
            held.keep(fresh)
    finally:
        os.close(descriptor)
    return taken + waiting


def _wanted(
    coverage: Coverage, ranges: Sequence[tuple[int, int]], source_end: int
) -> Iterator[tuple[int, int]]:
    """Yield what the source has and the partial lacks, cut at chunks."""
    missing = coverage.missing()
    for start, end in ranges:
        stop = min(end, source_end, coverage.size_bytes)
        for first, last in split_on_grid(max(start, 0), stop, coverage.chunk_bytes):
            for gap_start, gap_end in missing:
                low, high = max(first, gap_start), min(last, gap_end)
                if low < high:
                    yield low, high


def _copy_range(held: PartialFile, source: int, start: int, end: int, shift_bytes: int) -> int:
    """Copy one range; return the CRC-32 of its bytes, read from the source."""
    shared = os.path.sameopenfile(source, held.descriptor) or (
        not shift_bytes and copy_range(source, held.descriptor, start, end - start)
    )
    buffer = memoryview(bytearray(min(MIB, end - start)))
    crc, position = 0, start
    while position < end:
        view = buffer[: min(len(buffer), end - position)]
        count = read_at(source, view, position - shift_bytes)
        if count == 0:
            raise OSError(5, "the source became shorter while it was copied")
        crc = zlib.crc32(view[:count], crc)
        if not shared:
            held.write(position, view[:count])
        position += count
    return crc
