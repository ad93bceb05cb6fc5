"""Ollama's store: finished blobs, and what an interrupted `ollama pull` leaves.

``blobs/sha256-<hex>-partial`` has its full length from the start and is sparse; it is filled in
up to 16 parts of 100 MB to 1 GB, each from its offset on. Part N is counted in
``…-partial-N``, JSON {N, Offset, Size, Completed}, which is written only when an attempt at the
part ends: after kill -9 it says 0 whatever has come, and it can be torn. ``blobs/sha256-<hex>``
is finished and was verified by Ollama.
Source: Ollama's server/download.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence

from setup_manager.recover.leftover import Claims, Trace
from setup_manager.recover.spans import Span, merged

LEFT_BY = "`ollama pull`"
_BLOB = re.compile(r"sha256-(?P<digest>[0-9a-f]{64})(?P<partial>-partial)?")
_MAX_PARTS = 4096
_MAX_OFFSET = 1 << 50


def recognise(name: str, siblings: Collection[str]) -> Trace | None:
    """Say what a file of Ollama's store is.

    Args:
        name: Of the file.
        siblings: Names of all files in its folder.
    """
    match = _BLOB.fullmatch(name)
    if match is None:
        return None
    if not match["partial"]:
        return Trace("Ollama", "", finished=True, sha256=match["digest"])
    records = tuple(
        record for number in range(_MAX_PARTS) if (record := f"{name}-{number}") in siblings
    )
    return Trace(
        LEFT_BY,
        "",
        finished=False,
        sha256=match["digest"],
        records=records,
        read_records=read_parts,
    )


def read_parts(records: Sequence[bytes]) -> Claims:
    """Read the part records; one that is torn or makes no sense claims nothing.

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
