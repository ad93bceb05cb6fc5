"""Records of this tool's own: one JSON file each, read back into the type that was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from setup_manager.codec import MAX_DOCUMENT_BYTES, CodecError, from_plain, parse, to_plain
from setup_manager.fs import write_json

_SCHEMA = 1

T = TypeVar("T")


def read_record(path: Path, kind: type[T]) -> T | None:
    """Read a record; one that is missing, torn, edited badly or of a newer schema is none."""
    try:
        document = _document(path)
        return from_plain(kind, document) if document.get("schema") == _SCHEMA else None
    except CodecError:
        return None


def write_record(path: Path, value: object) -> None:
    """Replace a record as a whole; fields that a newer version put there stay.

    Raises:
        SetupError: If the state folder cannot be written.
    """
    try:
        before = _document(path)
    except CodecError:
        before = {}
    write_json(path, {**before, "schema": _SCHEMA, **to_plain(value)})


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            document = parse(file.read(MAX_DOCUMENT_BYTES + 1))
    except OSError as error:
        raise CodecError("", f"cannot be read ({error.strerror})") from error
    if not isinstance(document, dict):
        raise CodecError("", "is no object")
    return document
