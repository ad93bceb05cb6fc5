"""JSON in and out: the one border between frozen values and documents.

A document from outside is decoded into a type with bounds, or refused with the field named. Field
names of the types are the names in the documents, so that no fact has two shapes.

Importing this module costs msgspec; `--help` must not come by here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")

Bytes = Annotated[int, Meta(ge=0, le=1 << 60)]
Count = Annotated[int, Meta(ge=0, le=1 << 60)]
Cores = Annotated[int, Meta(ge=1, le=65_536)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Celsius = Annotated[float, Meta(ge=-100, le=300)]
BytesPerSecond = Annotated[float, Meta(ge=1e6, le=1e15)]
Text = Annotated[str, Meta(max_length=1_000)]

_MISSING = re.compile(r"Object missing required field `(.+)`")
MAX_DOCUMENT_BYTES = 16 * 1024**2


class CodecError(ValueError):
    """A document that is not what it should be.

    Attributes:
        path: Where in the document, e.g. ``"memory.total_bytes"``; ``""`` for all of it.
        problem: What is wrong there.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


def parse(text: str | bytes) -> Any:
    """Read JSON into plain values.

    Raises:
        CodecError: If it is no JSON, is nested too deeply, or is longer than 16 MiB.
    """
    if len(text) > MAX_DOCUMENT_BYTES:
        raise CodecError("", "is longer than 16 MiB")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CodecError("", f"is not JSON ({error})") from error


def from_plain(kind: type[T], value: object) -> T:
    """Make a typed value from plain ones; unknown fields are ignored, as newer versions add some.

    Raises:
        CodecError: If a field is missing, of another type or out of its bounds.
    """
    try:
        return msgspec.convert(value, kind, dec_hook=_read_foreign)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _located(error) from error


def to_plain(value: object) -> Any:
    """Make plain values of a typed one: sets become sorted lists, enums and paths text."""
    text = msgspec.json.encode(value, order="deterministic", enc_hook=_write_foreign)
    return msgspec.json.decode(text)


def dump(value: object) -> str:
    """Write a typed value as readable JSON."""
    return json.dumps(to_plain(value), indent=1, ensure_ascii=False) + "\n"


def load(kind: type[T], text: str | bytes) -> T:
    """Read JSON into a typed value.

    Raises:
        CodecError: As `parse` and `from_plain` say.
    """
    return from_plain(kind, parse(text))


def _located(error: Exception) -> CodecError:
    """Split msgspec's sentence into the place and the problem; a missing field is the place."""
    problem, _, path = str(error).partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    if missing := _MISSING.fullmatch(problem):
        return CodecError(".".join(filter(None, (path, missing[1]))), "is missing")
    return CodecError(path, problem[:1].lower() + problem[1:])


def _write_foreign(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON")


def _read_foreign(kind: type[Any], value: object) -> object:
    if issubclass(kind, Path) and isinstance(value, str) and "\0" not in value:
        return kind(value)
    raise ValueError(f"Expected a {kind.__name__.lower()}, got {str(value)[:60]!r}")
