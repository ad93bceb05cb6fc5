"""HTTP to a server on this machine: events as they come, errors by kind, bounds."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from setup_manager.net.faults import BadAnswerError, Fault, RequestError
from setup_manager.net.local import MAX_ANSWER_BYTES, LocalClient

Serve = Callable[[socket.socket, str], None]


class Server:
    """Answers every request of every connection with a function of the test's."""

    def __init__(self, answer: Serve) -> None:
        self.heads: list[str] = []
        self.connections = 0
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            while head := self._read_head(client):
                self.heads.append(head)
                self._answer(client, head)

    @staticmethod
    def _read_head(client: socket.socket) -> str:
        head = b""
        while b"\r\n\r\n" not in head:
            block = client.recv(65536)
            if not block:
                return ""
            head += block
        text, _, body = head.partition(b"\r\n\r\n")
        length = next(
            (
                int(line.partition(":")[2])
                for line in text.decode("latin-1").split("\r\n")
                if line.lower().startswith("content-length")
            ),
            0,
        )
        while len(body) < length:
            body += client.recv(65536)
        return f"{text.decode('latin-1')}\r\n\r\n{body.decode('latin-1')}"

    def close(self) -> None:
        self._listener.close()


def whole(status: int, body: str, kind: str = "application/json") -> Serve:
    text = (
        f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    return lambda client, _: client.sendall(text.encode())


@pytest.fixture
def serve() -> Iterator[Callable[[Serve], tuple[Server, LocalClient]]]:
    opened: list[Any] = []

    def start(answer: Serve) -> tuple[Server, LocalClient]:
        server = Server(answer)
        client = LocalClient(server.endpoint + "/", timeout_seconds=5.0)
        opened.extend([closing(server), client])
        return server, client

    yield start
    for one in opened:
        one.__exit__(None, None, None)


Start = Callable[[Serve], tuple[Server, LocalClient]]


def test_documents_come_over_one_kept_connection(serve: Start) -> None:
    server, client = serve(whole(200, '{"a": 1}'))
    assert client.get("/x") == {"a": 1}
    assert client.post("/y", {"b": [2]}) == {"a": 1}
    assert client.status("/z", method="HEAD") == 200
    assert server.connections == 1
    assert server.heads[1].startswith("POST /y HTTP/1.1")
    assert "Content-Type: application/json" in server.heads[1]
    assert server.heads[1].endswith('{"b": [2]}')


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "until close"])
def test_events_are_given_as_they_come(serve: Start, chunked: bool) -> None:
    seen = threading.Event()

    def answer(client: socket.socket, _: str) -> None:
        coding = "Transfer-Encoding: chunked" if chunked else "Connection: close"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{coding}\r\n\r\n"
        client.sendall(head.encode())
        for text in ('data: {"n": 1}\n\n', 'data: {"n": 2}\n\ndata: [DONE]\n\n'):
            client.sendall(f"{len(text):x}\r\n{text}\r\n".encode() if chunked else text.encode())
            assert seen.wait(5), "the first event was held back"
        client.sendall(b"0\r\n\r\n" if chunked else b"")
        client.shutdown(socket.SHUT_RDWR)

    _, client = serve(answer)
    events = client.stream("/x", {})
    assert next(events) == {"n": 1}
    seen.set()
    assert list(events) == [{"n": 2}]


def test_an_answer_that_does_not_flow_is_one_document(serve: Start) -> None:
    _, client = serve(whole(200, '{"error": "no"}'))
    assert list(client.stream("/x", {})) == [{"error": "no"}]


@pytest.mark.parametrize(
    ("status", "body", "detail"),
    [
        (404, '{"error": {"message": "no model"}}', "no model"),
        (500, '{"error": "out of memory"}', "out of memory"),
        (500, "", "no explanation"),
        (503, "<html>", "<html>"),
        (200, "<html>", "not JSON"),
        (200, "[" * 100_000, "not JSON"),
    ],
)
def test_what_a_server_says_is_kept(serve: Start, status: int, body: str, detail: str) -> None:
    _, client = serve(whole(status, body))
    with pytest.raises(BadAnswerError) as caught:
        client.get("/x")
    assert caught.value.status == status
    assert detail in caught.value.detail


def test_nothing_that_answers_is_no_bad_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with LocalClient(f"http://127.0.0.1:{port}") as client, pytest.raises(RequestError) as caught:
        client.get("/x")
    assert not isinstance(caught.value, BadAnswerError)
    assert caught.value.verdict.fault is Fault.UNREACHABLE
    assert str(caught.value) == "the connection was refused"


@pytest.mark.parametrize("address", ["http://[::1", "http://host:99999", "http://"])
def test_an_address_that_is_none_is_a_request_error(address: str) -> None:
    with LocalClient(address) as client, pytest.raises(RequestError):
        client.get("/x")


def test_an_answer_that_breaks_off_is_a_request_error(serve: Start) -> None:
    def answer(client: socket.socket, _: str) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        client.shutdown(socket.SHUT_RDWR)

    _, client = serve(answer)
    with pytest.raises(RequestError, match="closed early") as caught:
        client.get("/x")
    assert not isinstance(caught.value, BadAnswerError)


def test_silence_ends_at_the_time_limit_of_the_request(serve: Start) -> None:
    _, client = serve(lambda *_: None)
    with pytest.raises(RequestError, match="no answer in time"):
        client.post("/x", {}, timeout_seconds=0.2)


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_an_answer_without_an_end_is_refused(serve: Start, kind: str) -> None:
    def answer(client: socket.socket, _: str) -> None:
        client.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
        for _block in range(2 * MAX_ANSWER_BYTES // 65536):
            client.sendall(b" " * 65536)

    _, client = serve(answer)
    with pytest.raises(BadAnswerError, match="too long"):
        list(client.stream("/x", {}))


def test_an_upload_says_its_length_and_how_far_it_is(serve: Start, tmp_path: Path) -> None:
    file = tmp_path / "blob"
    file.write_bytes(b"x" * 300_000)
    server, client = serve(whole(201, ""))
    seen: list[int] = []
    client.upload("/blob", file, seen.append)
    assert "Content-Length: 300000" in server.heads[0]
    assert server.heads[0].endswith("x" * 1000)
    assert seen == sorted(seen)
    assert seen[-1] == 300_000


def test_no_proxy_is_asked(serve: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    _, client = serve(whole(200, "{}"))
    assert client.get("/x") == {}
