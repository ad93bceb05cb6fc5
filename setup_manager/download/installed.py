"""Installed files: their check values, hashing them again, and naming what is damaged.

Check values are what a repair finds a damaged chunk by. They are one file a digest, kept in the
tool's state folder: a line with the stamp of the installed copy (length, modification time,
inode), then the same lines as a journal. While the stamp holds, the file is the one that was
verified and is not hashed again just to be recognised.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from setup_manager.catalog import Artifact
from setup_manager.download.chunks import ADOPTED, Coverage, Span, coverage_of
from setup_manager.download.failures import disk_failure
from setup_manager.download.hashing import hash_whole
from setup_manager.download.job import DownloadOptions, FilePlaces
from setup_manager.download.journal import Header, replay, rewritten, sealed, unsealed
from setup_manager.download.plan import Stamp, empty_coverage
from setup_manager.download.store import stamp_of
from setup_manager.errors import InterruptedByUserError
from setup_manager.fs import Disk, OsDisk

_NUMBER = re.compile(r"\d{1,20}")


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


def checks_path(folder: Path, artifact: Artifact) -> Path:
    """Name the record of a file."""
    return folder / f"{artifact.sha256}.checks"


def write_checks(
    folder: Path | None,
    artifact: Artifact,
    stamp: Stamp,
    coverage: Coverage,
    disk: Disk | None = None,
) -> None:
    """Keep the check values of a verified file; replaces an older record as a whole.

    A record that cannot be written costs a later run a full hash and nothing else.
    """
    if folder is None:
        return
    disk = disk or OsDisk()
    header = Header(artifact.sha256, artifact.size_bytes, coverage.chunk_bytes, "installed")
    line = sealed(f"stamp {stamp.size_bytes} {stamp.modified_ns} {stamp.inode}")
    path = checks_path(folder, artifact)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        disk.write_new(fresh, line.encode("ascii") + rewritten(header, coverage))
        disk.rename(fresh, path)


def read_checks(folder: Path | None, artifact: Artifact) -> tuple[Stamp | None, Coverage | None]:
    """Read the record of a file; anything that does not hold together counts as absent."""
    if folder is None:
        return None, None
    try:
        data = checks_path(folder, artifact).read_bytes()
    except OSError:
        return None, None
    first, _, rest = data.partition(b"\n")
    fields = unsealed(first.decode("ascii", "replace"))
    found = replay(rest)
    header = found.header
    if header is None or (header.sha256, header.size_bytes) != (
        artifact.sha256,
        artifact.size_bytes,
    ):
        return None, None
    stamp = None
    if fields and len(fields) == 4 and all(_NUMBER.fullmatch(text) for text in fields[1:]):
        stamp = Stamp(int(fields[1]), int(fields[2]), int(fields[3]))
    return stamp, found.coverage


def examine(
    artifact: Artifact, places: FilePlaces, options: DownloadOptions, cancel: threading.Event
) -> tuple[FileCheck, Coverage | None]:
    """Hash an installed file; never trusts a stamp, changes nothing but its own check values.

    Returns:
        What was found, and the check values that hold for the file, None if there is no file.

    Raises:
        InterruptedByUserError: If `cancel` was set.
        DownloadFailedError: If the file cannot be read.
    """
    content = places.content
    _, recorded = read_checks(options.checks_dir, artifact)
    grid_bytes = (recorded or empty_coverage(artifact, options)).chunk_bytes
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


def set_back(places: FilePlaces, artifact: Artifact, good: Coverage, disk: Disk) -> None:
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
