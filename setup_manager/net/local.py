"""HTTP to a runtime on this machine or its network, by the one transport.

Proxies are never consulted: a local server must not be looked for at a proxy. Answers are bounded
in size, since a port may be held by anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from setup_manager.net.faults import BadAnswerError
from setup_manager.net.options import NetworkOptions

if TYPE_CHECKING:
    from setup_manager.net.transport import Stream, Upload

Json = Any

MAX_ANSWER_BYTES = 16 * 1024**2
_BLOCK_BYTES = 64 * 1024
_UPLOAD_BLOCK_BYTES = 1024**2
_UPLOAD_SECONDS = 600.0


class LocalClient:
    """Requests to one server.

    Attributes:
        endpoint: Base URL without a trailing slash.
    """

    def __init__(self, endpoint: str, *, timeout_seconds: float = 10.0) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._timeout_seconds = timeout_seconds
        connect_seconds = min(timeout_seconds, 10.0)
        # What only looks at runtimes' names need not pay for requests.
        from setup_manager.net.transport import Transport

        self._transport = Transport(NetworkOptions(connect_seconds=connect_seconds))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def status(self, path: str, *, method: str = "GET") -> int:
        """Return the HTTP status of a request, the body unread.

        Raises:
            RequestError: If nothing answers.
        """
        with self._open(method, path) as stream:
            return stream.status

    def get(self, path: str) -> Json:
        """Fetch a JSON document.

        Raises:
            RequestError: If nothing answers, or the connection breaks.
            BadAnswerError: If the answer is an error or no JSON.
        """
        with self._open("GET", path) as stream:
            return _document(_accept(stream))

    def post(self, path: str, body: Json, *, timeout_seconds: float | None = None) -> Json:
        """Send a JSON document and return the answer; raises as `get`."""
        with self._open("POST", path, _encoded(body), timeout_seconds) as stream:
            return _document(_accept(stream))

    def send(self, method: str, path: str, body: Json) -> None:
        """Send a JSON document where success has no answer; raises as `get`."""
        with self._open(method, path, _encoded(body)) as stream:
            _accept(stream)

    def stream(
        self, path: str, body: Json, *, timeout_seconds: float | None = None
    ) -> Iterator[Json]:
        """Send a JSON document and yield the documents of the answer as they come.

        Reads server-sent events (``data: {…}``) and JSON lines alike; ends at ``data: [DONE]``.
        Raises as `get`.
        """
        with self._open("POST", path, _encoded(body), timeout_seconds) as stream:
            if stream.status == 200 and _flows(stream):
                yield from _documents(stream)
            else:
                yield _document(_accept(stream))

    def upload(self, path: str, file: Path, observer: Callable[[int], None]) -> None:
        """POST the bytes of a file.

        Args:
            path: Where to.
            file: The file.
            observer: Told the bytes sent so far.

        Raises:
            RequestError: If the connection breaks.
            BadAnswerError: If the server refuses.
            OSError: If the file cannot be read.
        """
        with file.open("rb") as source:
            body = _CountedFile(source, file.stat().st_size, observer)
            with self._open("POST", path, body, _UPLOAD_SECONDS) as stream:
                _accept(stream)

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        body: bytes | Upload | None = None,
        timeout_seconds: float | None = None,
    ) -> Iterator[Stream]:
        stream = self._transport.request(
            method,
            self.endpoint + path,
            {"Content-Type": "application/json"} if isinstance(body, bytes) else {},
            body=body,
            stall_seconds=timeout_seconds or self._timeout_seconds,
        )
        try:
            yield stream
        finally:
            stream.close()


def _encoded(body: Json) -> bytes:
    return json.dumps(body).encode()


def _accept(stream: Stream) -> str:
    body = bytearray()
    while block := stream.read_some(_BLOCK_BYTES):
        body += block
        if len(body) > MAX_ANSWER_BYTES:
            raise BadAnswerError(stream.status, "the answer is too long")
    text = body.decode("utf-8", "replace")
    if not 200 <= stream.status < 300:
        raise BadAnswerError(stream.status, _error_text(text))
    return text


def _flows(stream: Stream) -> bool:
    kind = stream.headers.get("content-type", "")
    return kind.startswith(("text/event-stream", "application/x-ndjson"))


def _lines(stream: Stream) -> Iterator[str]:
    pending = b""
    while block := stream.read_some(_BLOCK_BYTES):
        pending += block
        *complete, pending = pending.split(b"\n")
        if len(pending) > MAX_ANSWER_BYTES:
            raise BadAnswerError(stream.status, "a line of the answer is too long")
        for line in complete:
            yield line.decode("utf-8", "replace").strip()
    yield pending.decode("utf-8", "replace").strip()


def _documents(stream: Stream) -> Iterator[Json]:
    for line in _lines(stream):
        text = line.removeprefix("data:").strip()
        if text == "[DONE]":
            return
        if text and not text.startswith(":"):
            yield _document(text)


def _document(text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BadAnswerError(200, f"not JSON: {text[:200]!r}") from None


def _error_text(text: str) -> str:
    """Find the message in the error forms of llama-server and Ollama."""
    try:
        error = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return text[:300].strip() or "no explanation"
    return str(error.get("message", error) if isinstance(error, dict) else error)[:1000]


class _CountedFile:
    """A file that tells how much of it was read; its length makes requests send Content-Length."""

    def __init__(self, source: IO[bytes], size_bytes: int, observer: Callable[[int], None]) -> None:
        self._source = source
        self._size_bytes = size_bytes
        self._observer = observer

    def __len__(self) -> int:
        return self._size_bytes

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(_UPLOAD_BLOCK_BYTES):
            yield block

    def read(self, size: int = -1) -> bytes:
        block = self._source.read(size)
        self._observer(self._source.tell())
        return block
