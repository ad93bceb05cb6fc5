"""A small real proxy."""

from __future__ import annotations

import base64
import socket
import threading
from contextlib import suppress


class Proxy:
    """Absolute URLs and CONNECT, with a password if one is set.

    Args:
        password: Of ``user``.
        refusal: Status that it answers to everything, or None.
    """

    def __init__(self, password: str | None = None, *, refusal: int | None = None) -> None:
        self._refusal = refusal
        self.seen: list[str] = []
        self._expected = (
            "Basic " + base64.b64encode(f"user:{password}".encode()).decode() if password else None
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        with suppress(OSError), client:
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            first, _, rest = head.decode("latin-1").partition("\r\n")
            method, target, _ = first.split(" ")
            self.seen.append(f"{method} {target.partition('?')[0]}")
            if self._refusal is not None:
                line = f"HTTP/1.1 {self._refusal} No\r\nContent-Length: 0\r\n\r\n"
                client.sendall(line.encode("latin-1"))
                return
            if self._expected and self._expected not in head.decode("latin-1"):
                answer = b"HTTP/1.1 407 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                client.sendall(answer)
                return
            if method == "CONNECT":
                host, _, port = target.partition(":")
                with socket.create_connection((host, int(port))) as server:
                    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    _pipe(client, server)
                return
            place, _, path = target.removeprefix("http://").partition("/")
            host, _, port = place.partition(":")
            rest = rest.replace("Connection: keep-alive", "Connection: close")
            with socket.create_connection((host, int(port))) as server:
                server.sendall(f"{method} /{path} HTTP/1.1\r\n{rest}".encode("latin-1"))
                _pipe(client, server)

    def close(self) -> None:
        self._listener.close()


def _pipe(left: socket.socket, right: socket.socket) -> None:
    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=copy, args=(left, right), daemon=True)
    back.start()
    copy(right, left)
    back.join(1)
