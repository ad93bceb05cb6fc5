"""Spans of bytes, and which whole chunks lie in them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """Bytes from `start` up to, not including, `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """Bytes."""
        return self.stop - self.start


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Sort spans and join those that touch or overlap; empty ones go."""
    joined: list[Span] = []
    for span in sorted(span for span in spans if span.length > 0):
        if joined and span.start <= joined[-1].stop:
            joined[-1] = Span(joined[-1].start, max(joined[-1].stop, span.stop))
        else:
            joined.append(span)
    return tuple(joined)


def common(left: Iterable[Span], right: Iterable[Span]) -> tuple[Span, ...]:
    """Return the bytes that are in both."""
    ours, theirs = merged(left), merged(right)
    both: list[Span] = []
    i = j = 0
    while i < len(ours) and j < len(theirs):
        both.append(Span(max(ours[i].start, theirs[j].start), min(ours[i].stop, theirs[j].stop)))
        if ours[i].stop < theirs[j].stop:
            i += 1
        else:
            j += 1
    return merged(both)


def outside(spans: Iterable[Span], size_bytes: int) -> tuple[Span, ...]:
    """Return the bytes of a file that are in none of the spans."""
    edges = [0, *(edge for span in merged(spans) for edge in span), size_bytes]
    return merged(Span(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True))


def length(spans: Iterable[Span]) -> int:
    """Count the bytes of spans that do not overlap."""
    return sum(span.length for span in spans)


def chunk_span(number: int, chunk_bytes: int, size_bytes: int) -> Span:
    """Return the bytes of one chunk of a file; the last chunk may be short."""
    start = number * chunk_bytes
    return Span(start, min(start + chunk_bytes, size_bytes))


def whole_chunks(spans: Iterable[Span], chunk_bytes: int, size_bytes: int) -> tuple[int, ...]:
    """Return the numbers of the chunks of a file that lie in the spans from end to end.

    Args:
        spans: What is there.
        chunk_bytes: Length of a chunk.
        size_bytes: Length of the finished file, where its last chunk ends.
    """
    numbers: list[int] = []
    for span in common(spans, [Span(0, size_bytes)]):
        first = -(-span.start // chunk_bytes)
        stop = span.stop // chunk_bytes
        if span.stop == size_bytes and size_bytes % chunk_bytes:
            stop += 1
        numbers.extend(range(first, stop))
    return tuple(numbers)


def runs(numbers: Iterable[int], chunk_bytes: int, size_bytes: int) -> tuple[Span, ...]:
    """Return the bytes of chunks, joined where they follow each other."""
    return merged(chunk_span(number, chunk_bytes, size_bytes) for number in numbers)
