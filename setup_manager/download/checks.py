"""Check values of installed files: what `verify --repair` finds a damaged chunk by.

One file a digest, kept in the tool's state folder: a line with the stamp of the installed copy
(length, modification time, inode), then the same lines as a journal. While the stamp holds, the
file is the one that was verified and is not hashed again just to be recognised.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from setup_manager.catalog import Artifact
from setup_manager.download.chunks import Coverage
from setup_manager.download.journal import Header, replay, rewritten, sealed, unsealed
from setup_manager.fs import Disk, OsDisk

_NUMBER = re.compile(r"\d{1,20}")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is cheap to compare of a file; survives a rename, not a write.

    Attributes:
        size_bytes: Length.
        modified_ns: Modification time.
        inode: Number of the file on its file system.
    """

    size_bytes: int
    modified_ns: int
    inode: int


def stamp_of(path: Path) -> Stamp:
    """Read the stamp of a file; follows links."""
    found = path.stat()
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ino)


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
