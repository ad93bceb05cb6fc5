"""Say from its first bytes why something cannot be a GGUF file.

What comes with a 200 is not always the file: a hotel's login page, a proxy's warning, a mirror's
JSON error and a Git LFS pointer have all been saved as `model.gguf`. The download engine asks
here before it spends gigabytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from setup_manager.gguf.header import (
    MAGIC,
    GgufError,
    HeaderLimits,
    NeedMoreBytes,
    read_header,
)

_SIGNATURES = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file that it points to"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_PAGE = (b"<!doctype html", b"<html", b"<head", b"<script")
_SAFETENSORS_BRACE_AT = 8


@dataclass(frozen=True, slots=True)
class WrongStart:
    """Why something cannot be the file.

    Attributes:
        reason: The end of a sentence that begins with "it is" or "it begins".
        is_page: Whether it is a web page: a login page or a proxy's, and no file of anybody's.
    """

    reason: str
    is_page: bool = False


def check_early(first_bytes: bytes) -> WrongStart | None:
    """Say why a file that begins like this is no GGUF, or None if it may be one.

    Args:
        first_bytes: The beginning; a few hundred bytes are enough for a clear word. An empty
            value stands for an empty file.
    """
    if not first_bytes:
        return WrongStart("it is empty")
    if first_bytes[: len(MAGIC)] != MAGIC[: len(first_bytes)]:
        if _text(first_bytes).startswith(_PAGE):
            reason = "it is a web page, probably from a login page or a proxy"
            return WrongStart(reason, is_page=True)
        return WrongStart(_what_it_is(first_bytes))
    try:
        read_header(first_bytes, HeaderLimits())
    except NeedMoreBytes:
        return None
    except GgufError as problem:
        return WrongStart(str(problem))
    return None


def _what_it_is(first_bytes: bytes) -> str:
    for signature, name in _SIGNATURES:
        if first_bytes.startswith(signature):
            return f"it is {name}"
    if not any(first_bytes):
        return f"it begins with {len(first_bytes)} zero bytes"
    text = _text(first_bytes)
    if text.startswith(b"<?xml"):
        return "it is an XML document, probably an error from a storage server"
    if text.startswith((b"{", b"[")):
        return "it is JSON, probably an error from the server"
    if first_bytes[_SAFETENSORS_BRACE_AT : _SAFETENSORS_BRACE_AT + 2] == b'{"':
        return "it is a safetensors file"
    return f"it begins with {first_bytes[:8]!r} where a GGUF file begins with {MAGIC!r}"


def _text(first_bytes: bytes) -> bytes:
    return first_bytes.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
