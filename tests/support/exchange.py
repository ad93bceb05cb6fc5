"""A request as the hub sees it, the answer it plans, and the record of what was sent.

A fault is a function ``(Request, Answer) -> Answer``: it receives the planned answer and returns
another one, so that any misbehaviour is a few lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tests.support.content import Content, HeldContent

EMPTY = HeldContent(b"")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Kind(StrEnum):
    """What a request is for."""

    API = "api"
    RESOLVE = "resolve"
    CONTENT = "content"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        host: ``"hub"`` or ``"cdn"``: which of the two servers was asked.
        method: ``"GET"``, ``"HEAD"``, …
        target: Path and query as sent.
        headers: By lower-case name.
        kind: What it is for.
        repository: ``org/name`` where it concerns one, else ``""``.
        path: File inside the repository where it concerns one, else ``""``.
    """

    host: str
    method: str
    target: str
    headers: Mapping[str, str]
    kind: Kind = Kind.OTHER
    repository: str = ""
    path: str = ""

    @property
    def range(self) -> str | None:
        """The Range header."""
        return self.headers.get("range")

    def span(self, size_bytes: int) -> tuple[int, int] | None:
        """Return the requested ``(start, stop)``, cut to the size.

        Returns:
            The whole without a Range header or with one that is not understood (RFC 9110, 14.2);
            None if the range cannot be satisfied.
        """
        match = _RANGE.fullmatch(self.range or "")
        if match is None or not any(match.groups()):
            return 0, size_bytes
        if not match[1]:
            suffix = min(int(match[2]), size_bytes)
            return (size_bytes - suffix, size_bytes) if suffix else None
        start, last = int(match[1]), int(match[2] or size_bytes)
        return (start, min(last + 1, size_bytes)) if start <= last and start < size_bytes else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What will be sent, and how it will go wrong.

    Offsets of the ``*_after`` fields count bytes of this body, from 0. Only one of ``reset_after``
    and ``close_after`` takes effect: the smaller.

    Attributes:
        status: HTTP status.
        headers: Header fields; Content-Length is here too, so that faults can falsify it.
        content: What the body is taken from.
        start: First byte of the body within the content.
        stop: End of the body within the content.
        fault: Name of what is wrong with it, for the record.
        delay_seconds: Silence before the status line.
        reset_after: Reset the connection (RST) after so many bytes.
        close_after: Close it cleanly (FIN) after so many bytes.
        stall_after: Fall silent after so many bytes …
        stall_seconds: … for so long; then go on.
        bytes_per_second: Pace of the body, or None for full speed.
        flipped_offsets: Bytes of the content, by absolute offset, that get their low bit flipped.
        refuse_seconds: Cut every connection and refuse new ones for so long.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Content = EMPTY
    start: int = 0
    stop: int = 0
    fault: str = ""
    delay_seconds: float = 0.0
    reset_after: int | None = None
    close_after: int | None = None
    stall_after: int | None = None
    stall_seconds: float = 0.0
    bytes_per_second: float | None = None
    flipped_offsets: frozenset[int] = frozenset()
    refuse_seconds: float = 0.0

    @property
    def body_bytes(self) -> int:
        """Length of the planned body."""
        return self.stop - self.start


Fault = Callable[[Request, Answer], Answer]


@dataclass(slots=True)
class Exchange:
    """One request and what became of it; filled in while the answer goes out.

    Attributes:
        request: What was asked.
        status: Status that was answered, 0 as long as nothing was.
        fault: Name of the fault that was played, ``""`` for none.
        sent_bytes: Bytes of the body that were handed to the kernel.
    """

    request: Request
    status: int = 0
    fault: str = ""
    sent_bytes: int = 0


def text_answer(
    status: int,
    text: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    content_type: str = "text/plain; charset=utf-8",
) -> Answer:
    """Plan a short answer."""
    body = HeldContent(text.encode())
    fields = {"Content-Type": content_type, "Content-Length": str(body.size_bytes)}
    return Answer(status, fields | dict(headers or {}), body, 0, body.size_bytes)


def content_answer(
    request: Request, content: Content, etag: str, headers: Mapping[str, str] | None = None
) -> Answer:
    """Plan an answer with a file: 200, 206 or 416 by Range and If-Range (RFC 9110, 13 and 14).

    Args:
        request: The request.
        content: The file.
        etag: Strong entity tag with its quotes.
        headers: Further header fields.
    """
    size = content.size_bytes
    fields = {
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "ETag": etag,
    } | dict(headers or {})
    wants_part = request.range is not None and request.headers.get("if-range", etag) == etag
    span = request.span(size) if wants_part else (0, size)
    if span is None:
        return text_answer(416, headers={"Content-Range": f"bytes */{size}", "ETag": etag})
    start, stop = span
    fields["Content-Length"] = str(stop - start)
    if not wants_part or _RANGE.fullmatch(request.range or "") is None:
        return Answer(200, fields, content, 0, size)
    fields["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Answer(206, fields, content, start, stop)
