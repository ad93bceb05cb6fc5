"""The journal of a partial: one line for each stretch that is safely on disk.

A text file. The first line says for which content it speaks; every further line is a span. Each
line ends with its own CRC-32, so that a torn tail, a foreign file or a damaged line is
recognised and left out: a lost line costs fetching its bytes again and nothing else. A line is
written only after its bytes were synced.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from setup_manager.download.chunks import Coverage, Span, coverage_of

VERSION = 1
_LARGEST_CHUNK = 1 << 30
_NAME = "gemma-setup-journal"
_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEX8 = re.compile(r"[0-9a-f]{8}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"\d{1,18}")


@dataclass(frozen=True, slots=True)
class Header:
    """What a journal speaks of.

    Attributes:
        sha256: Digest that the whole file must have.
        size_bytes: Its length.
        chunk_bytes: The grid its spans lie on.
        owner: Token of the process that wrote it; a changed owner means that another process
            took the partial over.
    """

    sha256: str
    size_bytes: int
    chunk_bytes: int
    owner: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What a journal's bytes say.

    Attributes:
        header: Its first line, or None where there is no usable one; then there are no spans.
        coverage: The spans that hold together.
        dropped_lines: Lines that were torn, damaged or contradicted an earlier one.
    """

    header: Header | None
    coverage: Coverage
    dropped_lines: int


def sealed(text: str) -> str:
    """Write a line that carries its own check value."""
    return f"{text} {zlib.crc32(text.encode()):08x}\n"


def unsealed(line: str) -> list[str] | None:
    """Return the fields of a sealed line, or None if it is not whole."""
    text, _, seal = line.rpartition(" ")
    if not text or f"{zlib.crc32(text.encode()):08x}" != seal:
        return None
    return text.split(" ")


def header_line(header: Header) -> str:
    """Write the first line."""
    return sealed(
        f"{_NAME} {VERSION} {header.sha256} {header.size_bytes} {header.chunk_bytes} {header.owner}"
    )


def span_lines(spans: Iterable[Span]) -> str:
    """Write spans, one a line."""
    return "".join(sealed(f"{s.start} {s.end} {s.crc:08x} {s.source}") for s in spans)


def _read_header(line: str) -> Header | None:
    fields = unsealed(line)
    if fields is None or len(fields) != 6 or fields[:2] != [_NAME, str(VERSION)]:
        return None
    _, _, sha256, size, chunk, owner = fields
    if not (_DIGEST.fullmatch(sha256) and _TOKEN.fullmatch(owner)):
        return None
    if (
        not (_NUMBER.fullmatch(size) and _NUMBER.fullmatch(chunk))
        or not 1 <= int(chunk) <= _LARGEST_CHUNK
    ):
        return None
    return Header(sha256, int(size), int(chunk), owner)


def _read_span(line: str) -> Span | None:
    fields = unsealed(line)
    if fields is None or len(fields) != 4:
        return None
    start, end, crc, source = fields
    if not (_NUMBER.fullmatch(start) and _NUMBER.fullmatch(end)):
        return None
    if not (_HEX8.fullmatch(crc) and _TOKEN.fullmatch(source)):
        return None
    return Span(int(start), int(end), int(crc, 16), source)


def replay(data: bytes) -> Replay:
    """Read a journal, whatever its bytes are.

    A line without its newline is torn. Spans that overlap an earlier one, or that do not fit
    the grid, are left out. Never raises.
    """
    lines = data.decode("ascii", "replace").split("\n")
    torn = 1 if lines.pop() else 0
    header = _read_header(lines[0]) if lines else None
    if header is None:
        return Replay(None, Coverage(0, 1), len(lines) + torn)
    coverage = Coverage(header.size_bytes, header.chunk_bytes)
    dropped = torn
    for line in lines[1:]:
        span = _read_span(line)
        if span is None or not coverage.add(span):
            dropped += 1
    return Replay(header, coverage, dropped)


def usable(found: Replay, sha256: str, size_bytes: int, partial_bytes: int) -> Coverage | None:
    """Return the spans of a journal that count for a file, on the journal's grid.

    A span past the partial's end cannot be there (a journal newer than its data).

    Returns:
        None when the journal speaks of other content, or of nothing.
    """
    header = found.header
    if header is None or (header.sha256, header.size_bytes) != (sha256, size_bytes):
        return None
    spans = (span for span in found.coverage.spans() if span.end <= partial_bytes)
    return coverage_of(spans, size_bytes, header.chunk_bytes)


def rewritten(header: Header, coverage: Coverage) -> bytes:
    """Write a whole journal anew, with joined spans."""
    return (header_line(header) + span_lines(coverage.spans())).encode("ascii")
