"""SHA-256 of a file while it still comes in: in order, behind the front of what is written.

The hash cannot be saved between runs, so a resumed run hashes the prefix again, beside the
download. On that one pass every span from an earlier run is held to its check value first: what
was damaged on this disk is found there and fetched again before it can spoil the digest.
"""

from __future__ import annotations

import errno
import hashlib
import threading
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from setup_manager.download.board import Board
from setup_manager.download.chunks import FOUND, Coverage, Span, grid
from setup_manager.fs import OsDisk
from setup_manager.units import MIB

_READ_BYTES = MIB
_STEP_BYTES = 4 * MIB  # hashed between two looks at how far the bytes are there
_CHECKPOINTS = 256


class Readable(Protocol):
    """Where the hashed bytes are read from."""

    def read(self, offset: int, view: memoryview) -> int:
        """Read into `view` from an offset."""
        ...


class Hasher:
    """Hashes a file from its first byte to its last, as far as the board has it written.

    Args:
        board: Says how far the bytes are there.
        file: Where they are read.
        inherited: Spans of earlier runs by their first byte, to be held to their check values.
        on_damage: Called with a span whose bytes are not what was written; returns from where
            on bytes come again.
        on_hashed: Called with how far the hash is; pages before that may go.
    """

    def __init__(
        self,
        board: Board,
        file: Readable,
        *,
        inherited: Mapping[int, Span],
        on_damage: Callable[[Span], int],
        on_hashed: Callable[[int], None],
    ) -> None:
        self._board = board
        self._file = file
        self._inherited = dict(inherited)
        self._starts = deque(sorted(self._inherited))
        self._on_damage = on_damage
        self._on_hashed = on_hashed
        self._size = board.coverage.size_bytes
        self._stride = max(64 * MIB, self._size // _CHECKPOINTS)
        self._checkpoints = {0: hashlib.sha256()}
        self._sha = hashlib.sha256()
        self._view = memoryview(bytearray(min(_READ_BYTES, max(self._size, 1))))
        self.position = 0

    @property
    def done(self) -> bool:
        """Whether the last byte is hashed."""
        return self.position >= self._size

    def hexdigest(self) -> str:
        """Return the digest of what was hashed so far."""
        return self._sha.hexdigest()

    def rewind(self, position: int) -> None:
        """Go back to the last checkpoint at or before a position, whose bytes will change."""
        if position == self.position:
            return
        kept = max(at for at in self._checkpoints if at <= position)
        self._checkpoints = {at: sha for at, sha in self._checkpoints.items() if at <= kept}
        self._sha = self._checkpoints[kept].copy()
        self.position = kept

    def run(self, stop: threading.Event) -> None:
        """Hash until the end, waiting for bytes that are not there yet."""
        while not self.done and not stop.is_set():
            span = self._inherited.get(self.position)
            if span is not None:
                self._take_inherited(span, stop)
                continue
            end = self._board.written_end(self.position)
            self._board.note_backlog(0 if self._inherited else end - self.position)
            if end > self.position:
                self._take(min(end, self.position + _STEP_BYTES), stop)
            else:
                with self._board.grown:
                    self._board.grown.wait(0.05)

    def _take(self, end: int, stop: threading.Event) -> None:
        """Hash up to `end`; an inherited span on the way is left to its own check."""
        while self._starts and self._starts[0] <= self.position:
            self._starts.popleft()
        end = min(end, self._starts[0]) if self._starts else end
        while self.position < end and not stop.is_set():
            view = self._view[: min(len(self._view), end - self.position)]
            count = self._file.read(self.position, view)
            if count == 0:
                raise OSError(errno.EIO, "the partial ended early")
            self._update(view[:count])

    def _update(self, view: memoryview) -> None:
        before = self.position // self._stride
        self._sha.update(view)
        self.position += len(view)
        if self.position // self._stride > before:
            self._checkpoints[self.position] = self._sha.copy()
        self._on_hashed(self.position)

    def _take_inherited(self, span: Span, stop: threading.Event) -> None:
        """Hash a span of an earlier run, unless its bytes are not those that were journaled."""
        before, start, crc = self._sha.copy(), self.position, 0
        position = start
        while position < span.end and not stop.is_set():
            view = self._view[: min(len(self._view), span.end - position)]
            count = self._file.read(position, view)
            if count == 0:
                break
            crc = zlib.crc32(view[:count], crc)
            self._sha.update(view[:count])
            position += count
        if stop.is_set():
            return
        del self._inherited[start]
        if position == span.end and crc == span.crc:
            self._pass(span)
            return
        self._sha = before
        self.rewind(min(start, self._on_damage(span)))

    def _pass(self, span: Span) -> None:
        if span.end // self._stride > self.position // self._stride:
            self._checkpoints[span.end] = self._sha.copy()
        self.position = span.end
        self._on_hashed(self.position)


def damaged_spans(file: Readable, spans: list[Span], stop: Callable[[], bool]) -> list[Span]:
    """Return the spans whose bytes on disk are not those that were written."""
    view = memoryview(bytearray(_READ_BYTES))
    found = []
    for span in spans:
        if stop():
            break
        if crc_of(file, span.start, span.end, view) != span.crc:
            found.append(span)
    return found


def crc_of(file: Readable, start: int, end: int, buffer: memoryview) -> int | None:
    """Return the CRC-32 of a range, or None if the file ends before it does."""
    crc = 0
    while start < end:
        view = buffer[: min(len(buffer), end - start)]
        count = file.read(start, view)
        if count == 0:
            return None
        crc = zlib.crc32(view[:count], crc)
        start += count
    return crc


def hash_whole(path: Path, chunk_bytes: int, cancel: threading.Event) -> tuple[str, Coverage]:
    """Read a file once: its SHA-256, and the check value of every chunk.

    Args:
        path: The file.
        chunk_bytes: The grid.
        cancel: Ends it early; the result is then worth nothing.

    Raises:
        OSError: If it cannot be read.
    """
    sha = hashlib.sha256()
    buffer = memoryview(bytearray(_READ_BYTES))
    disk = OsDisk()
    with path.open("rb", buffering=0) as file:
        size = path.stat().st_size
        coverage = Coverage(size, chunk_bytes)
        for start, end in grid(size, chunk_bytes):
            crc, position = 0, start
            while position < end and not cancel.is_set():
                count = file.readinto(buffer[: min(len(buffer), end - position)])
                if not count:
                    raise OSError(errno.EIO, "the file ended early", str(path))
                crc = zlib.crc32(buffer[:count], crc)
                sha.update(buffer[:count])
                position += count
            disk.forget_pages(file.fileno(), start, end)
            if cancel.is_set():
                break
            coverage.add(Span(start, end, crc, FOUND))
    return sha.hexdigest(), coverage
