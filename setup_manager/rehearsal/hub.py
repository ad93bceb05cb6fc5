"""The hub of a rehearsal: one file of one repository on this machine, over a bad line.

The first four requests for content meet one mishap each, however many connections there are. All
four always come: after each of the first three the client has to ask again, and the silence, which
a patient client may sit out, is the last.
"""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import threading
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

RESET, OVERLOADED, SILENCE = "connection reset", "status 503", "stall"
MISHAPS = (RESET, OVERLOADED, RESET, SILENCE)
_SENT_BEFORE = 64 * 1024
_SILENCE_SECONDS = 60.0  # longer than the client waits
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class RehearsalHub:
    """A hub on 127.0.0.1; a context manager.

    Args:
        repository: ``org/name``.
        path: Of the one file in it.
        content: Of the file.

    Attributes:
        endpoint: What HF_ENDPOINT is set to.
        mishaps: What went wrong so far, in order.
        served_bytes: Bytes of the file that were sent.
    """

    def __init__(self, repository: str, path: str, content: bytes) -> None:
        self.content = content
        self.digest = hashlib.sha256(content).hexdigest()
        self._resolved = re.compile(rf"/{re.escape(repository)}/resolve/(\w+)/{re.escape(path)}")
        self.mishaps: list[str] = []
        self.served_bytes = 0
        self.closing = threading.Event()
        self._left = list(MISHAPS)
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @cached_property
    def content_url(self) -> str:
        """Where the content is: at another host, as it is with the real hub."""
        return f"http://localhost:{self._server.server_port}/content"

    def commit_in(self, path: str) -> str:
        """Return the commit at which a path asks for the file; ``""`` where it does not."""
        asked = self._resolved.fullmatch(path)
        return asked[1] if asked else ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def next_mishap(self) -> str:
        """Take the next mishap that is left; ``""`` once there is none."""
        with self._lock:
            if not self._left:
                return ""
            self.mishaps.append(self._left.pop(0))
            return self.mishaps[-1]

    def count(self, sent_bytes: int) -> None:
        """Count bytes of the file that were sent."""
        with self._lock:
            self.served_bytes += sent_bytes


class _Server(ThreadingHTTPServer):
    def __init__(self, hub: RehearsalHub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing where a client has gone: that is what a bad line is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Write no log."""

    def do_HEAD(self) -> None:
        """Answer like `do_GET`; resolving has no body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Say where the file is, or send of it what is asked for."""
        path = urlsplit(self.path).path
        if commit := self.server.hub.commit_in(path):
            self._resolve(commit)
        elif path == "/content":
            self._send_content()
        else:
            self._send_head(404, {})

    def _resolve(self, commit: str) -> None:
        hub = self.server.hub
        digest = f'"{hub.digest}"'
        self._send_head(
            302,
            {
                "Location": hub.content_url,
                "X-Repo-Commit": commit,
                "X-Linked-Size": str(len(hub.content)),
                "X-Linked-ETag": digest,
                "ETag": digest,
            },
        )

    def _send_content(self) -> None:
        hub = self.server.hub
        mishap = hub.next_mishap()
        if mishap == OVERLOADED:
            self._send_head(503, {})
            return
        start, stop = self._span()
        size = len(hub.content)
        headers = {
            "Content-Range": f"bytes {start}-{stop - 1}/{size}",
            "ETag": f'"{hub.digest[:32]}"',
            "Accept-Ranges": "bytes",
        }
        self._send_head(206, headers, stop - start)
        before = min(start + _SENT_BEFORE, (start + stop) // 2) if mishap else stop
        self._send_span(start, before)
        if mishap == RESET:
            self._reset()
        elif mishap == SILENCE and not hub.closing.wait(_SILENCE_SECONDS):
            self._send_span(before, stop)

    def _span(self) -> tuple[int, int]:
        size = len(self.server.hub.content)
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if asked is None:
            return 0, size
        return int(asked[1]), min(int(asked[2]) + 1 if asked[2] else size, size)

    def _send_head(self, status: int, headers: dict[str, str], length: int = 0) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_span(self, start: int, stop: int) -> None:
        self.wfile.write(self.server.hub.content[start:stop])
        self.wfile.flush()
        self.server.hub.count(stop - start)

    def _reset(self) -> None:
        """Make closing send RST."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
