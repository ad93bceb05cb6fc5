"""What the loopback hub serves: bytes, a file on disk, or content that is made up on the way."""

from __future__ import annotations

import hashlib
import mmap
import random
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

_BLOCK_BYTES = 1 << 20
_STAMP_BYTES = 8


class Content(Protocol):
    """Bytes that can be read from anywhere."""

    @property
    def size_bytes(self) -> int:
        """Length."""

    @property
    def sha256(self) -> str:
        """Lower-case hexadecimal SHA-256 of all of it."""

    def view(self, start: int, stop: int) -> memoryview:
        """Return bytes from ``start`` on, at least one and none beyond ``stop``."""


def pieces(content: Content, start: int, stop: int) -> Iterator[memoryview]:
    """Yield ``content[start:stop]`` in order."""
    while start < stop:
        piece = content.view(start, stop)
        yield piece
        start += len(piece)


class HeldContent:
    """Content that lies in memory."""

    def __init__(self, data: bytes | memoryview | mmap.mmap) -> None:
        self._view = memoryview(data)

    @property
    def size_bytes(self) -> int:
        """Length."""
        return len(self._view)

    @cached_property
    def sha256(self) -> str:
        """Lower-case hexadecimal SHA-256 of all of it."""
        return hashlib.sha256(self._view).hexdigest()

    def view(self, start: int, stop: int) -> memoryview:
        """Return the bytes without copying them."""
        return self._view[start:stop]


class GeneratedContent:
    """Content of any length that takes neither disk nor memory.

    Every block of 1 MiB is the same noise with its own number in front, so that bytes written to
    the wrong block never go unnoticed.

    Args:
        size_bytes: Length; may lie far above 4 GiB.
        seed: Makes the noise.
    """

    def __init__(self, size_bytes: int, seed: int = 0) -> None:
        self.size_bytes = size_bytes
        self._noise = random.Random(seed).randbytes(_BLOCK_BYTES)

    @cached_property
    def sha256(self) -> str:
        """Lower-case hexadecimal SHA-256; read once in full, about a second a gigabyte."""
        digest = hashlib.sha256()
        for piece in pieces(self, 0, self.size_bytes):
            digest.update(piece)
        return digest.hexdigest()

    def view(self, start: int, stop: int) -> memoryview:
        """Return what is wanted of the block that ``start`` lies in."""
        number, offset = divmod(start, _BLOCK_BYTES)
        end = min(_BLOCK_BYTES, offset + stop - start)
        if offset >= _STAMP_BYTES:
            return memoryview(self._noise)[offset:end]
        block = number.to_bytes(_STAMP_BYTES, "little") + self._noise[_STAMP_BYTES:end]
        return memoryview(block)[offset:end]


def as_content(source: bytes | Path | Content) -> Content:
    """Wrap bytes or a file; a file is mapped, not read."""
    if isinstance(source, bytes):
        return HeldContent(source)
    if not isinstance(source, Path):
        return source
    if source.stat().st_size == 0:
        return HeldContent(b"")
    with source.open("rb") as file:
        return HeldContent(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
