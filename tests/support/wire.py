"""A small HTTP/1.1 server whose answers can be cut, held back or falsified byte by byte.

The standard library's server hides the socket behind buffered files; here every byte of a body
and the way a connection ends are decided by the planned `Answer`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http import HTTPStatus

from tests.support.content import pieces
from tests.support.exchange import Answer, Exchange, Request

_HEAD_LIMIT_BYTES = 64 * 1024
_PACED_PIECES_PER_SECOND = 20
_JOIN_SECONDS = 5.0
# Linux: bytes that were sent and not yet acknowledged (SIOCOUTQ); see tcp(7).
_TIOCOUTQ = 0x5411

Respond = Callable[[Request], tuple[Exchange, Answer]]


class WireServer:
    """One listening address with a thread for each connection.

    Args:
        host: ``"hub"`` or ``"cdn"``, handed on in every request.
        respond: Plans the answer to a request.
        tls: Serve https with this context.
    """

    def __init__(self, host: str, respond: Respond, tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        self._respond = respond
        self._tls = tls
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = _listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept, self._listener)

    def close(self) -> None:
        """Stop listening, cut every connection and wait for the threads."""
        self._stopped.set()
        self._hang_up()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)

    def refuse(self, seconds: float) -> None:
        """Cut every connection and refuse new ones for so long."""
        self._hang_up()
        self._start(self._reopen, seconds)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        with self._lock:
            self._threads = [other for other in self._threads if other.is_alive()] + [thread]

    def _hang_up(self) -> None:
        # shutdown() wakes the thread that waits in accept(); close() alone does not on Linux.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _reopen(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            return
        listener = _listen(self.port)
        self._listener = listener
        if self._stopped.is_set():
            listener.close()
            return
        self._start(self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(connection)
            self._start(self._converse, connection)

    def _converse(self, connection: socket.socket) -> None:
        raw = connection
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._connections.add(connection)
            unread = b""
            while not self._stopped.is_set():
                head, unread = _read_head(connection, unread)
                if head is None or not self._answer(connection, _parse(self._host, head)):
                    return
        except (OSError, ValueError):
            return
        finally:
            with self._lock:
                self._connections -= {connection, raw}
            connection.close()

    def _answer(self, connection: socket.socket, request: Request) -> bool:
        """Send the answer; return whether the connection may carry another request."""
        exchange, answer = self._respond(request)
        if answer.refuse_seconds:
            self.refuse(answer.refuse_seconds)
            return False
        self._stopped.wait(answer.delay_seconds)
        if answer.delay_seconds and self._stopped.is_set():
            return False
        exchange.status = answer.status
        connection.sendall(_head(answer))
        if request.method != "HEAD" and not self._send_body(connection, answer, exchange):
            return False
        has_body = request.method not in {"GET", "HEAD"}
        asked_to_close = "close" in request.headers.get("connection", "").lower()
        says_so = _header(answer, "connection") == "close"
        return not (has_body or asked_to_close or says_so)

    def _send_body(self, connection: socket.socket, answer: Answer, exchange: Exchange) -> bool:
        """Send the body as planned; return whether it went out in full."""
        cuts = [cut for cut in (answer.reset_after, answer.close_after) if cut is not None]
        end = answer.start + min([answer.body_bytes, *cuts])
        pause_at = (
            end if answer.stall_after is None else min(end, answer.start + answer.stall_after)
        )
        self._send_span(connection, answer, answer.start, pause_at, exchange)
        if answer.stall_after is not None and self._stopped.wait(answer.stall_seconds):
            return False
        self._send_span(connection, answer, pause_at, end, exchange)
        if not cuts:
            return True
        if answer.reset_after is not None and answer.reset_after == min(cuts):
            _reset(connection)
        return False

    def _send_span(
        self, connection: socket.socket, answer: Answer, start: int, stop: int, exchange: Exchange
    ) -> None:
        for piece in _paced(answer, start, stop):
            if answer.bytes_per_second and self._stopped.wait(len(piece) / answer.bytes_per_second):
                return
            # Counted beforehand, so that a client that has it all never sees a smaller count.
            unsent = piece
            exchange.sent_bytes += len(unsent)
            try:
                while unsent:
                    unsent = unsent[connection.send(unsent) :]
            finally:
                exchange.sent_bytes -= len(unsent)


def _listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=128)


def _read_head(connection: socket.socket, unread: bytes) -> tuple[bytes | None, bytes]:
    """Read up to the empty line; return the head (None at the end) and what came after it."""
    while b"\r\n\r\n" not in unread:
        received = connection.recv(_HEAD_LIMIT_BYTES)
        unread += received
        if not received or len(unread) > _HEAD_LIMIT_BYTES:
            return None, b""
    head, _, rest = unread.partition(b"\r\n\r\n")
    return head, rest


def _parse(host: str, head: bytes) -> Request:
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    fields = (line.partition(":") for line in lines[1:])
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    return Request(host, method, target, headers)


def _header(answer: Answer, name: str) -> str:
    return next((v.lower() for k, v in answer.headers.items() if k.lower() == name), "")


def _head(answer: Answer) -> bytes:
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "Unknown"
    fields = {"Date": formatdate(usegmt=True)} | dict(answer.headers)
    lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{k}: {v}" for k, v in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _paced(answer: Answer, start: int, stop: int) -> Iterator[memoryview]:
    """Yield the body in pieces that suit its pace, with the planned bits flipped."""
    pace = answer.bytes_per_second
    limit = max(1, int(pace / _PACED_PIECES_PER_SECOND)) if pace else stop - start
    for piece in pieces(answer.content, start, stop):
        flipped = _flip(piece, start, answer.flipped_offsets)
        start += len(piece)
        for offset in range(0, len(flipped), limit):
            yield flipped[offset : offset + limit]


def _flip(piece: memoryview, start: int, offsets: frozenset[int]) -> memoryview:
    inside = [offset - start for offset in offsets if start <= offset < start + len(piece)]
    if not inside:
        return piece
    data = bytearray(piece)
    for index in inside:
        data[index] ^= 1
    return memoryview(data)


def _reset(connection: socket.socket) -> None:
    """Make closing send RST, once the peer has what was sent: RST would discard the rest."""
    _drain(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _drain(connection: socket.socket, seconds: float = 1.0) -> None:
    if sys.platform != "linux":
        time.sleep(min(seconds, 0.05))
        return
    import fcntl

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        waiting = fcntl.ioctl(connection.fileno(), _TIOCOUTQ, b"\0\0\0\0")
        if not int.from_bytes(waiting, sys.byteorder):
            return
        time.sleep(0.001)
