"""HTTP to a runtime on this machine or its network: the one user of requests in this package.

Proxies and netrc are never consulted: a local server must not be looked for at a proxy. Answers are
bounded in size, since a port may be held by anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import requests

Json = Any

MAX_ANSWER_BYTES = 16 * 1024**2
_UPLOAD_BLOCK_BYTES = 1024**2


class NoAnswerError(Exception):
    """Nothing answers there, or the connection broke."""


class BadAnswerError(Exception):
    """Something answered, but not what was asked for.

    Attributes:
        status: HTTP status, 200 if the body was wrong.
        detail: What it said, shortened.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"HTTP {status}: {detail}")
        self.status = status
        self.detail = detail


class LocalClient:
    """Requests to one server.

    Attributes:
        endpoint: Base URL without a trailing slash.
    """

    def __init__(self, endpoint: str, *, timeout_seconds: float = 10.0) -> None:
        import requests

        self.endpoint = endpoint.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._session = requests.Session()
        self._session.trust_env = False
        self._failures = requests.RequestException

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def status(self, path: str, *, method: str = "GET") -> int:
        """Return the HTTP status of a request, the body unread.

        Raises:
            NoAnswerError: If nothing answers.
        """
        with self._open(method, path) as response:
            return response.status_code

    def get(self, path: str) -> Json:
        """Fetch a JSON document.

        Raises:
            NoAnswerError: If nothing answers.
            BadAnswerError: If the answer is an error or no JSON.
        """
        return self._json("GET", path)

    def post(self, path: str, body: Json, *, timeout_seconds: float | None = None) -> Json:
        """Send a JSON document and return the answer; raises as `get`."""
        return self._json("POST", path, json=body, timeout=timeout_seconds)

    def send(self, method: str, path: str, body: Json) -> None:
        """Send a JSON document where success has no answer; raises as `get`."""
        with self._open(method, path, json=body) as response:
            _accept(response)

    def stream(
        self, path: str, body: Json, *, timeout_seconds: float | None = None
    ) -> Iterator[Json]:
        """Send a JSON document and yield the documents of the answer as they come.

        Reads server-sent events (``data: {…}``) and JSON lines alike; ends at ``data: [DONE]``.

        Raises:
            NoAnswerError: If nothing answers or the stream breaks.
            BadAnswerError: If the answer is an error or a line of it is no JSON.
        """
        with self._open("POST", path, json=body, timeout=timeout_seconds) as response:
            whole = _accept(response)
            if not _streams(response):
                yield _document(whole)
                return
            try:
                yield from _documents(response)
            except self._failures as error:
                raise NoAnswerError(_reason(error)) from error

    def upload(self, path: str, file: Path, observer: Callable[[int], None]) -> None:
        """POST the bytes of a file.

        Args:
            path: Where to.
            file: The file.
            observer: Told the bytes sent so far.

        Raises:
            NoAnswerError: If the connection breaks.
            BadAnswerError: If the server refuses.
            OSError: If the file cannot be read.
        """
        with file.open("rb") as source:
            body = _CountedFile(source, file.stat().st_size, observer)
            with self._open("POST", path, data=body, timeout=600.0) as response:
                _accept(response)

    def _json(self, method: str, path: str, **arguments: Json) -> Json:
        with self._open(method, path, **arguments) as response:
            return _document(_accept(response))

    def _open(
        self, method: str, path: str, *, timeout: float | None = None, **arguments: Json
    ) -> requests.Response:
        limit = timeout or self._timeout_seconds
        try:
            return self._session.request(
                method,
                self.endpoint + path,
                stream=True,
                timeout=(min(limit, 10.0), limit),
                allow_redirects=False,
                **arguments,
            )
        except (self._failures, UnicodeError) as error:
            raise NoAnswerError(_reason(error)) from error


def _accept(response: requests.Response) -> str:
    text = _bounded_text(response) if response.status_code != 200 or not _streams(response) else ""
    if not 200 <= response.status_code < 300:
        raise BadAnswerError(response.status_code, _error_text(text))
    return text


def _streams(response: requests.Response) -> bool:
    kind = str(response.headers.get("Content-Type", ""))
    return kind.startswith(("text/event-stream", "application/x-ndjson"))


def _bounded_text(response: requests.Response) -> str:
    import requests

    body = bytearray()
    try:
        for block in response.iter_content(64 * 1024):
            body += block
            if len(body) > MAX_ANSWER_BYTES:
                raise BadAnswerError(response.status_code, "the answer has no end")
    except requests.RequestException as error:
        raise NoAnswerError(_reason(error)) from error
    return body.decode("utf-8", "replace")


def _lines(response: requests.Response) -> Iterator[str]:
    pending = b""
    for block in response.iter_content(None):
        pending += block
        *complete, pending = pending.split(b"\n")
        if len(pending) > MAX_ANSWER_BYTES:
            raise BadAnswerError(response.status_code, "a line of the answer has no end")
        for line in complete:
            yield line.decode("utf-8", "replace").strip()
    yield pending.decode("utf-8", "replace").strip()


def _documents(response: requests.Response) -> Iterator[Json]:
    for line in _lines(response):
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


def _reason(error: Exception) -> str:
    return str(error).replace("\n", " ")[:300] or type(error).__name__


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
