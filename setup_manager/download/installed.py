"""Installed files: hash them again, name what is damaged, and fetch only that."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from setup_manager.catalog import Artifact
from setup_manager.download.checks import read_checks, stamp_of, write_checks
from setup_manager.download.chunks import ADOPTED, Coverage, Span, coverage_of
from setup_manager.download.engine import Ports, fetch
from setup_manager.download.events import Observer
from setup_manager.download.failures import disk_failure
from setup_manager.download.hashing import hash_whole
from setup_manager.download.journal import Header, rewritten
from setup_manager.download.options import DownloadOptions
from setup_manager.download.places import FileJob, FilePlaces, Layout
from setup_manager.download.plan import DiskState, check_artifact, plan_file
from setup_manager.download.store import FileBusyError, FileClaim
from setup_manager.download.verified import VerifiedFile
from setup_manager.errors import BusyError, InterruptedByUserError
from setup_manager.fs import Disk
from setup_manager.net import NetworkOptions


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What hashing an installed file showed.

    Attributes:
        path: The bytes that were read, or where they should be.
        found: Whether there is a file.
        size_bytes: Its length.
        sha256: Its digest, or None if there is no file.
        right: Whether it is what it must be.
        damaged: Ranges that differ from what was installed; empty if right, or if there are no
            check values that could tell.
    """

    path: Path
    found: bool
    size_bytes: int = 0
    sha256: str | None = None
    right: bool = False
    damaged: tuple[tuple[int, int], ...] = ()


def verify_file(
    artifact: Artifact,
    layout: Layout,
    options: DownloadOptions | None = None,
    cancel: threading.Event | None = None,
) -> FileCheck:
    """Hash an installed file; never trusts a stamp, changes nothing but its own check values.

    Raises:
        InterruptedByUserError: If `cancel` was set.
        DownloadFailedError: If the file cannot be read.
    """
    return _look(artifact, layout, options or DownloadOptions(), cancel or threading.Event())[0]


def _look(
    artifact: Artifact, layout: Layout, options: DownloadOptions, cancel: threading.Event
) -> tuple[FileCheck, Coverage | None]:
    """Hash a file; return also the check values that hold for it, as far as known."""
    check_artifact(artifact)
    content = layout.places(artifact).content
    _, recorded = read_checks(options.checks_dir, artifact)
    grid_bytes = plan_file(artifact, DiskState(), options.chunk_bytes).chunk_bytes
    if recorded is not None:
        grid_bytes = recorded.chunk_bytes
    try:
        stamp = stamp_of(content)
        digest, actual = hash_whole(content, grid_bytes, cancel)
    except FileNotFoundError:
        return FileCheck(content, found=False), None
    except OSError as error:
        raise disk_failure(error, content, 0, artifact.size_bytes) from error
    if cancel.is_set():
        raise InterruptedByUserError(
            f"Interrupted while {artifact.path} was being verified.",
            hint="Run the same command again.",
        )
    right = digest == artifact.sha256
    if right:
        write_checks(options.checks_dir, artifact, stamp, actual)
    good = actual if right else _unharmed(actual, recorded)
    damaged = tuple(_damaged(good, artifact)) if good is not None and not right else ()
    check = FileCheck(
        path=content,
        found=True,
        size_bytes=stamp.size_bytes,
        sha256=digest,
        right=right,
        damaged=damaged,
    )
    return check, good if good is not None else _unproven(actual, artifact)


def _unharmed(actual: Coverage, recorded: Coverage | None) -> Coverage | None:
    """Return the chunks that are as they were installed, or None if that is not known."""
    if recorded is None or recorded.covered_bytes != recorded.size_bytes:
        return None
    same = Coverage(recorded.size_bytes, recorded.chunk_bytes)
    for span in recorded.spans():
        if _equal(actual, span):
            same.add(span)
    return same


def _equal(actual: Coverage, span: Span) -> bool:
    found = actual.span_at(span.start)
    return found is not None and (found.start, found.end, found.crc) == (
        span.start,
        span.end,
        span.crc,
    )


def _damaged(good: Coverage, artifact: Artifact) -> list[tuple[int, int]]:
    return [(start, end) for start, end in good.missing() if start < artifact.size_bytes]


def _unproven(actual: Coverage, artifact: Artifact) -> Coverage:
    """Take a file's bytes as they are, for a second look at all of them."""
    spans = (
        Span(span.start, span.end, span.crc, ADOPTED)
        for span in actual.spans()
        if span.end <= artifact.size_bytes
    )
    return coverage_of(spans, artifact.size_bytes, actual.chunk_bytes)


def repair(
    job: FileJob,
    layout: Layout,
    options: DownloadOptions | None = None,
    observer: Observer = lambda _event: None,
    network: NetworkOptions | None = None,
    cancel: threading.Event | None = None,
    ports: Ports | None = None,
) -> VerifiedFile:
    """Make an installed file right again; fetches only what is damaged.

    With the check values that were kept when it was installed, that is the damaged chunks, one
    chunk (16 MiB) of traffic for each. Without them nothing says where the damage is: chunks are
    fetched and compared until the digest is right, half of the file on average for one damaged
    place. The damaged file loses its final name at once and gets it back when it is right.

    Raises:
        SetupError: As `engine.fetch`.
    """
    options, cancel = options or DownloadOptions(), cancel or threading.Event()
    places = layout.places(job.artifact)
    claim = FileClaim(places.lock, wait=options.wait, on_wait=lambda: None, cancelled=cancel.is_set)
    try:
        with claim:
            checked, good = _look(job.artifact, layout, options, cancel)
            if checked.found and not checked.right and good is not None:
                _set_back(places, job.artifact, good, (ports or Ports()).disk())
    except FileBusyError:
        raise BusyError(
            f"Another process is at {job.artifact.path}.",
            hint="Wait until it is done, then run the same command again.",
        ) from None
    except OSError as error:
        raise disk_failure(error, places.content, 0, job.artifact.size_bytes) from error
    (file,) = fetch([job], layout, options, observer, network, cancel, ports)
    return file


def _set_back(places: FilePlaces, artifact: Artifact, good: Coverage, disk: Disk) -> None:
    """Turn a damaged file into a partial whose journal knows the good chunks.

    The journal comes first: should the next step not happen, it speaks of a partial that is not
    there, and counts for nothing.
    """
    header = Header(artifact.sha256, artifact.size_bytes, good.chunk_bytes, "repair")
    fresh = places.journal.with_name(places.journal.name + ".new")
    disk.remove(places.partial)
    disk.write_new(fresh, rewritten(header, good))
    disk.rename(fresh, places.journal)
    disk.rename(places.content, places.partial)
