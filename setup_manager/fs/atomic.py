"""Small files that are either the old content or the new, never half of it."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from setup_manager.errors import InsufficientDiskError, SetupError


def write_atomically(path: Path, text: str) -> None:
    """Replace a small text file as a whole, and make it last through a power cut.

    Raises:
        SetupError: If the folder cannot be written.
        InsufficientDiskError: If the disk is full.
    """
    with explain_unwritable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def explain_unwritable(path: Path) -> Iterator[None]:
    """Turn errors of the file system into those for people, for files of this tool's own state.

    Raises:
        SetupError: If `path` cannot be written.
        InsufficientDiskError: If the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise InsufficientDiskError(
                "The disk is full.",
                context=[f"{path}: {error.strerror}"],
                hint="Free some space, or set GEMMA_SETUP_HOME to a folder on another disk; then "
                "run the same command again.",
            ) from error
        raise SetupError(
            f"{path} cannot be written.",
            code="state-unwritable",
            context=[error.strerror or str(error)],
            hint="Make the folder writable, or set GEMMA_SETUP_HOME to one that is.",
        ) from error


def write_json(path: Path, document: object) -> None:
    """Replace a JSON file as a whole.

    Raises:
        SetupError: If the folder cannot be written.
    """
    write_atomically(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
