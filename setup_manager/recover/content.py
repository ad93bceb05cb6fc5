"""The bytes of a leftover, seen at the places that they have in the wanted file.

A file can be long and empty: sparse (Ollama, aria2 without allocation) or filled with zeros
beforehand (aria2's ``prealloc``). Holes and runs of zeros are not content. Weights hold no 4 KiB
of zeros in practice; where they do, the chunk is fetched once more than needed, which costs its
bytes and nothing else.

An upload of before July 2026 holds the same tensors behind a shorter header; its bytes are used
shifted.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

from setup_manager.recover.spans import Span, chunk_span, merged, runs, whole_chunks

BLOCK_BYTES = 4096
_ZEROS = bytes(BLOCK_BYTES)
_READ_BYTES = 1 << 20
_GROUP_CHUNKS = 16


@dataclass(frozen=True, slots=True)
class Grid:
    """The chunks of a file.

    Attributes:
        size_bytes: Length of the finished file.
        chunk_bytes: Length of a chunk; the last may be short.
    """

    size_bytes: int
    chunk_bytes: int

    def span(self, number: int) -> Span:
        """Return the bytes of a chunk."""
        return chunk_span(number, self.chunk_bytes, self.size_bytes)

    def runs(self, numbers: Iterable[int]) -> tuple[Span, ...]:
        """Return the bytes of chunks, joined where they follow each other."""
        return runs(numbers, self.chunk_bytes, self.size_bytes)


class LeftoverContent:
    """A leftover, open for reading; a context manager. All places are those of the wanted file.

    Args:
        path: The leftover.
        shift_bytes: How much further back its bytes lie in the wanted file.
        first_byte: Bytes of the leftover before this one are not wanted (an old header).

    Raises:
        OSError: If it cannot be opened.
    """

    def __init__(self, path: Path, *, shift_bytes: int = 0, first_byte: int = 0) -> None:
        self._file = path.open("rb", buffering=0)
        self._shift = shift_bytes
        self._first = first_byte

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def read(self, start: int, length: int) -> bytes:
        """Return bytes of the leftover; fewer where it ends."""
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), length, start - self._shift)
        self._file.seek(start - self._shift)
        return self._file.read(length)

    def spans(self) -> tuple[Span, ...]:
        """Return what the file system counts as data and no hole.

        Where it cannot tell holes from data, all of the file counts as data.
        """
        size = os.fstat(self._file.fileno()).st_size
        data = _extents(self._file.fileno(), size) if hasattr(os, "SEEK_DATA") else [Span(0, size)]
        return merged(
            Span(max(span.start, self._first) + self._shift, span.stop + self._shift)
            for span in data
        )

    def written_chunks(self, grid: Grid) -> tuple[int, ...]:
        """Return the numbers of the chunks that seem to be there from end to end; reads little.

        Long files are looked at in groups of chunks, and closer where a group seems to have gaps.
        `has_zero_block` decides before bytes are used.
        """
        numbers = whole_chunks(self.spans(), grid.chunk_bytes, grid.size_bytes)
        written: list[int] = []
        for _, members in groupby(numbers, key=lambda number: number // _GROUP_CHUNKS):
            group = list(members)
            whole = Span(grid.span(group[0]).start, grid.span(group[-1]).stop)
            if self._looks_written(whole):
                written += group
            else:
                written += [n for n in group if self._looks_written(grid.span(n))]
        return tuple(written)

    def _looks_written(self, span: Span) -> bool:
        """Say whether the first, the middle and the last block of a span are more than zeros."""
        middle = span.start + span.length // 2
        return all(
            self.read(start, min(BLOCK_BYTES, span.stop - start)).strip(b"\0")
            for start in (span.start, middle, max(span.start, span.stop - BLOCK_BYTES))
        )

    def has_zero_block(self, span: Span) -> bool:
        """Say whether a whole block of zeros lies in the span, or it ends early; reads all."""
        for start in range(span.start, span.stop, _READ_BYTES):
            wanted = min(_READ_BYTES, span.stop - start)
            data = self.read(start, wanted)
            if len(data) < wanted:
                return True
            for at in range(0, wanted - BLOCK_BYTES + 1, BLOCK_BYTES):
                if data.startswith(_ZEROS, at):
                    return True
        return False


def _extents(descriptor: int, size: int) -> Iterator[Span]:
    at = 0
    while at < size:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as problem:
            if problem.errno != errno.ENXIO:  # ENXIO: nothing but a hole up to the end
                yield Span(at, size)
            return
        at = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield Span(start, at)
