"""What other tools' own records say of an unfinished file; rubbish in them does no harm."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from typing import Literal

from setup_manager.recover.leftover import Claims
from setup_manager.recover.spans import Span, merged

_MAX_OFFSET = 1 << 50
_BLOCK_BYTES = 16 << 10
_MAX_PIECE_BYTES = 1 << 30
_MAX_PIECES = 1 << 24


def read_parts(records: Sequence[bytes]) -> Claims:
    """Read Ollama's part records; one that is torn or makes no sense claims nothing.

    A blob is filled in up to 16 parts of 100 MB to 1 GB, each from its offset on. Part N is counted
    in ``…-partial-N``, JSON {N, Offset, Size, Completed}, which is written only when an attempt at
    the part ends: after kill -9 it says 0 whatever has come, and it can be torn.
    Source: Ollama's server/download.go.

    Returns:
        What the parts count as completed, and the length of all parts if every record is sound
        and they follow each other without a gap.
    """
    parts = [part for record in records if (part := _part(record)) is not None]
    planned = merged(Span(offset, offset + size) for offset, size, _ in parts)
    sound = len(parts) == len(records) and len(planned) == 1 and planned[0].start == 0
    return Claims(
        merged(Span(offset, offset + completed) for offset, _, completed in parts),
        planned[0].stop if sound else None,
    )


def _part(record: bytes) -> tuple[int, int, int] | None:
    try:
        document = json.loads(record)
        numbers = tuple(document[key] for key in ("Offset", "Size", "Completed"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not all(type(n) is int and 0 <= n <= _MAX_OFFSET for n in numbers):
        return None
    offset, size, completed = numbers
    return offset, size, min(size, completed)


def read_control(content: bytes) -> Claims:
    """Read aria2's control file, ``<name>.aria2``.

    It holds a bit for each piece (1 MiB by default) that was received and, for pieces in flight, a
    bit for each block of 16 KiB. It is written once a minute and when aria2 ends by itself, so
    after kill -9 it may be up to a minute old or not be there. The file itself may be sparse, or
    long and full of zeros, by ``--file-allocation``.
    Source: "Control File (*.aria2) Format" in aria2's technical notes. Version 1 is in network byte
    order; version 0, which aria2 up to 1.4 wrote, in that of the machine.

    Returns:
        The pieces and blocks that it counts as received, and the length of the file.

    Raises:
        ValueError: If it is torn or contradicts itself.
    """
    try:
        return _read_control(content)
    except struct.error:
        raise ValueError("the aria2 control file is truncated") from None


def _read_control(content: bytes) -> Claims:
    version = int.from_bytes(content[:2], "big")
    if version not in {0, 1}:
        raise ValueError(f"the aria2 control file is of version {version}")
    fields = _Fields(content, "big" if version else "little")
    fields.skip(2 + 4)
    fields.skip(fields.number(4))
    piece_bytes, size = fields.number(4), fields.number(8)
    fields.skip(8)
    bits = fields.take(fields.number(4))
    pieces = -(-size // piece_bytes) if 0 < piece_bytes <= _MAX_PIECE_BYTES else 0
    if not 0 < pieces <= _MAX_PIECES or len(bits) != -(-pieces // 8):
        raise ValueError("the aria2 control file is inconsistent")
    received = [Span(n * piece_bytes, (n + 1) * piece_bytes) for n in _set_bits(bits)]
    received.extend(_in_flight(fields, piece_bytes, pieces))
    return Claims(merged(Span(s.start, min(s.stop, size)) for s in received), size)


def _in_flight(fields: _Fields, piece_bytes: int, pieces: int) -> Iterator[Span]:
    for _ in range(min(fields.number(4), pieces)):
        index, piece_length = fields.number(4), fields.number(4)
        blocks = fields.take(fields.number(4))
        if index >= pieces or piece_length > piece_bytes:
            raise ValueError("the aria2 control file is inconsistent")
        start, stop = index * piece_bytes, index * piece_bytes + piece_length
        for block in _set_bits(blocks):
            at = start + block * _BLOCK_BYTES
            yield Span(min(at, stop), min(at + _BLOCK_BYTES, stop))


def _set_bits(bits: bytes) -> Iterator[int]:
    """Yield the numbers of the bits that are set; bit 0 is the highest of the first byte."""
    for index, byte in enumerate(bits):
        for bit in range(8):
            if byte & (0x80 >> bit):
                yield index * 8 + bit


class _Fields:
    """Reads one field after the other."""

    def __init__(self, content: bytes, order: Literal["big", "little"]) -> None:
        self._content = content
        self._order: Literal["big", "little"] = order
        self._at = 0

    def take(self, size: int) -> bytes:
        if size > len(self._content) - self._at:
            raise struct.error
        self._at += size
        return self._content[self._at - size : self._at]

    def skip(self, size: int) -> None:
        self.take(size)

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), self._order)
