"""Chunks and spans: which bytes of a file are there, with the check value of each stretch.

A *chunk* is a cell of a fixed grid over the file: what one request asks for and what is named
when something is damaged. A *span* is a stretch inside one chunk that was written and synced,
with the CRC-32 of its bytes. Spans that touch are joined; their check values combine without
reading the bytes again.

Why CRC-32: it has to tell an accident on this disk from bytes that came wrong; proof is the
SHA-256's task. It is in the standard library, runs beside the interpreter lock, catches every
burst up to 32 bits, and can be combined and split by arithmetic. Adler-32 is no faster here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from setup_manager.units import MIB

_POLYNOMIAL = 0xEDB88320  # CRC-32 of IEEE 802.3, reflected, as in zlib


def _multiply(left: int, right: int) -> int:
    """Multiply two polynomials over GF(2) modulo the CRC's, bits reflected."""
    product = 0
    mask = 1 << 31
    while mask:
        if left & mask:
            product ^= right
        right = (right >> 1) ^ (_POLYNOMIAL if right & 1 else 0)
        mask >>= 1
    return product


@lru_cache(maxsize=256)
def _power(length_bytes: int) -> int:
    """Return x**(8 * length) modulo the CRC's polynomial."""
    result, square = 1 << 31, 1 << 23  # x**0 and x**8
    while length_bytes:
        if length_bytes & 1:
            result = _multiply(square, result)
        square = _multiply(square, square)
        length_bytes >>= 1
    return result


def joined_crc(first: int, second: int, second_bytes: int) -> int:
    """Return the CRC-32 of two stretches in a row from theirs.

    Source: the linearity of CRCs, crc(AB) = crc(A) * x**(8 * len(B)) + crc(B).
    """
    return _multiply(_power(second_bytes), first) ^ second


def second_crc(both: int, first: int, second_bytes: int) -> int:
    """Return the CRC-32 of the second stretch from that of both and that of the first."""
    return _multiply(_power(second_bytes), first) ^ both


def chunk_size(size_bytes: int) -> int:
    """Choose the grid for a file: small files take small chunks, models take 16 MiB."""
    if size_bytes <= 16 * MIB:
        return MIB
    return 4 * MIB if size_bytes <= 64 * MIB else 16 * MIB


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of bytes inside one chunk that is on disk.

    Attributes:
        start: First byte.
        end: One past the last byte.
        crc: CRC-32 of the bytes.
        source: Short tag of where they came from; `ADOPTED` for another tool's file.
    """

    start: int
    end: int
    crc: int
    source: str

    @property
    def size_bytes(self) -> int:
        """Length."""
        return self.end - self.start


ADOPTED = "adopted"
"""Source of spans that were copied from another tool's file and are proven by nothing yet."""

FOUND = "found"
"""Source of spans of a whole file that was here already."""


class Coverage:
    """Which spans of a file are on disk, by chunk."""

    def __init__(self, size_bytes: int, chunk_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.chunk_bytes = chunk_bytes
        self.covered_bytes = 0
        self._by_chunk: dict[int, list[Span]] = {}

    def copy(self) -> Coverage:
        """Return another coverage with the same spans."""
        return coverage_of(self.spans(), self.size_bytes, self.chunk_bytes)

    def add(self, span: Span) -> bool:
        """Record a span; joins it with neighbours from the same source.

        Returns:
            False, and nothing changes, if it overlaps what is there, is empty, lies outside of
            the file or crosses a chunk's border.
        """
        if not 0 <= span.start < span.end <= self.size_bytes:
            return False
        index = span.start // self.chunk_bytes
        if (span.end - 1) // self.chunk_bytes != index:
            return False
        spans = self._by_chunk.setdefault(index, [])
        at = bisect_right(spans, span.start, key=lambda other: other.start)
        if (at and spans[at - 1].end > span.start) or (
            at < len(spans) and spans[at].start < span.end
        ):
            return False
        spans.insert(at, span)
        self.covered_bytes += span.size_bytes
        self._join(spans, at)
        if at:
            self._join(spans, at - 1)
        return True

    @staticmethod
    def _join(spans: list[Span], at: int) -> None:
        if at + 1 >= len(spans):
            return
        first, second = spans[at], spans[at + 1]
        if first.end == second.start and first.source == second.source:
            crc = joined_crc(first.crc, second.crc, second.size_bytes)
            spans[at : at + 2] = [Span(first.start, second.end, crc, first.source)]

    def discard(self, start: int, end: int) -> list[Span]:
        """Forget every span that touches the range.

        Returns:
            The forgotten spans, whole: a span cannot be cut, its check value covers all of it.
        """
        gone = [span for span in self.spans() if span.start < end and start < span.end]
        for span in gone:
            spans = self._by_chunk[span.start // self.chunk_bytes]
            spans.remove(span)
            self.covered_bytes -= span.size_bytes
        return gone

    def spans(self) -> Iterator[Span]:
        """Yield all spans in order."""
        for index in sorted(self._by_chunk):
            yield from tuple(self._by_chunk[index])

    def spans_of_chunk(self, position: int) -> tuple[Span, ...]:
        """Return the spans of the chunk that holds a byte, in order."""
        return tuple(self._by_chunk.get(position // self.chunk_bytes, ()))

    def span_at(self, position: int) -> Span | None:
        """Return the span that holds a byte, or None."""
        spans = self._by_chunk.get(position // self.chunk_bytes, [])
        at = bisect_right(spans, position, key=lambda span: span.start)
        return spans[at - 1] if at and spans[at - 1].end > position else None

    def run_end(self, position: int) -> int:
        """Return where the unbroken run of covered bytes from `position` ends."""
        while (span := self.span_at(position)) is not None:
            position = span.end
        return position

    def missing(self) -> list[tuple[int, int]]:
        """Return the ranges that are not there, in order, none crossing a chunk's border."""
        gaps = []
        for start, end in grid(self.size_bytes, self.chunk_bytes):
            position = start
            for span in self._by_chunk.get(start // self.chunk_bytes, ()):
                if span.start > position:
                    gaps.append((position, span.start))
                position = span.end
            if position < end:
                gaps.append((position, end))
        return gaps


def grid(size_bytes: int, chunk_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield the chunks of a file as (start, end)."""
    for start in range(0, size_bytes, chunk_bytes):
        yield start, min(start + chunk_bytes, size_bytes)


def split_on_grid(start: int, end: int, chunk_bytes: int) -> Iterator[tuple[int, int]]:
    """Cut a range at the borders of chunks."""
    while start < end:
        stop = min(end, (start // chunk_bytes + 1) * chunk_bytes)
        yield start, stop
        start = stop


def coverage_of(spans: Iterable[Span], size_bytes: int, chunk_bytes: int) -> Coverage:
    """Build a coverage; spans that do not fit are left out."""
    coverage = Coverage(size_bytes, chunk_bytes)
    for span in spans:
        coverage.add(span)
    return coverage
