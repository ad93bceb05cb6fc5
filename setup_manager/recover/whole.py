"""Give a whole file that another tool left its place, once its SHA-256 is right.

The original is never changed: the place gets a reflink where the file system has them, else a
hard link, else a copy. Nobody writes to a finished model, so a hard link is safe; that it is the
right one is checked on the new name, after it was made.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from setup_manager.catalog import Artifact
from setup_manager.download import (
    Coverage,
    FilePlaces,
    hash_whole,
    remove_leftovers,
    stamp_of,
    write_checks,
)
from setup_manager.fs import OsDisk

_FICLONE = 0x40049409  # linux/fs.h
_COPY_BYTES = 1 << 20


def install_whole(
    path: Path,
    artifact: Artifact,
    places: FilePlaces,
    *,
    chunk_bytes: int,
    checks_dir: Path | None,
    cancel: threading.Event,
) -> str | None:
    """Give a file its final name if it is what it seems; call it under the file's lock.

    Args:
        path: The other tool's file.
        artifact: What it should be.
        places: Where it goes.
        chunk_bytes: Grid of the check values.
        checks_dir: Where the check values of installed files are kept, or None for nowhere.
        cancel: Ends it early; nothing is changed then.

    Returns:
        None if it is in place, else why not.

    Raises:
        OSError: If something cannot be read or written.
    """
    if not _in_place(path, places):
        return _install_elsewhere(path, artifact, places, chunk_bytes, checks_dir, cancel)
    digest, coverage = hash_whole(path, chunk_bytes, cancel)
    if digest != artifact.sha256:
        return "its SHA-256 is wrong"
    _record(artifact, places, coverage, checks_dir)
    return None


def _install_elsewhere(
    path: Path,
    artifact: Artifact,
    places: FilePlaces,
    chunk_bytes: int,
    checks_dir: Path | None,
    cancel: threading.Event,
) -> str | None:
    # Named as a partial, so that what a kill leaves of a copy is found and dropped like one.
    stage = places.partial.with_name(f"{artifact.sha256}.whole.gemma-setup.partial")
    stage.parent.mkdir(parents=True, exist_ok=True)
    try:
        _make_second(path, stage)
        digest, coverage = hash_whole(stage, chunk_bytes, cancel)
        if digest != artifact.sha256:
            return f"it is as long as {artifact.name}, but its SHA-256 is another"
        places.content.parent.mkdir(parents=True, exist_ok=True)
        OsDisk().rename(stage, places.content)
    finally:
        stage.unlink(missing_ok=True)
    _record(artifact, places, coverage, checks_dir)
    return None


def _record(
    artifact: Artifact, places: FilePlaces, coverage: Coverage, checks_dir: Path | None
) -> None:
    write_checks(checks_dir, artifact, stamp_of(places.content), coverage)
    remove_leftovers(places)


def _in_place(path: Path, places: FilePlaces) -> bool:
    return places.content.exists() and places.content.samefile(path)


def _make_second(path: Path, stage: Path) -> None:
    """Make a second name of a file, or a second file that holds the same."""
    stage.unlink(missing_ok=True)
    if _reflinked(path, stage):
        return
    try:
        stage.hardlink_to(path)
    except OSError:
        _copy(path, stage)


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


def _copy(path: Path, stage: Path) -> None:
    with path.open("rb") as source, stage.open("wb") as target:
        shutil.copyfileobj(source, target, _COPY_BYTES)
        target.flush()
        os.fsync(target.fileno())
