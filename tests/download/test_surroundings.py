"""Proxies, certificates, offline mode, and what an observer sees."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from setup_manager.download.events import Kind
from setup_manager.errors import DownloadFailedError
from setup_manager.net.options import NetworkOptions
from setup_manager.rehearsal import faults as f
from tests.download.conftest import MakeRig
from tests.download.rig import CHUNK, DATA, QUICK_NETWORK


class Proxy:
    """A small real proxy: absolute URLs and CONNECT, with a password if one is set."""

    def __init__(self, password: str | None = None) -> None:
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


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    running = Proxy("pass:word")
    yield running
    running.close()


def through(proxy: Proxy, password: str = "pass%3Aword", **more: object) -> NetworkOptions:
    url = f"http://user:{password}@127.0.0.1:{proxy.port}"
    options = replace(QUICK_NETWORK, proxies={"http": url, "https": url})
    return replace(options, **more)  # type: ignore[arg-type]


def test_http_goes_through_a_proxy_with_a_password(make_rig: MakeRig, proxy: Proxy) -> None:
    rig = make_rig(network=through(proxy), data=DATA[: 3 * CHUNK])
    rig.fetch()
    rig.assert_right(DATA[: 3 * CHUNK])
    assert any(line.startswith("HEAD http://127.0.0.1") for line in proxy.seen)
    assert any(line.startswith("GET http://localhost") for line in proxy.seen)


def test_https_goes_through_a_tunnel(
    make_rig: MakeRig, proxy: Proxy, tls: ssl.SSLContext, certificate: Path
) -> None:
    network = through(proxy, ca_bundle=certificate)
    rig = make_rig(hub_options={"tls": tls}, network=network)
    rig.fetch()
    rig.assert_right()
    assert all(line.startswith("CONNECT ") for line in proxy.seen)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_wrong_proxy_password_is_named_and_not_shown(
    secure: bool, make_rig: MakeRig, proxy: Proxy, tls: ssl.SSLContext, certificate: Path
) -> None:
    network = through(proxy, "wrong-secret", ca_bundle=certificate)
    rig = make_rig(hub_options={"tls": tls} if secure else None, network=network)
    with pytest.raises(DownloadFailedError) as caught:
        rig.fetch()
    assert caught.value.code == "proxy"
    assert "wrong-secret" not in repr((caught.value.context, rig.events, network))


def test_a_proxy_that_is_not_there_is_named(make_rig: MakeRig, proxy: Proxy) -> None:
    proxy.close()
    rig = make_rig(network=through(proxy))
    with pytest.raises(DownloadFailedError) as caught:
        rig.fetch(patience_seconds=0.3)
    assert "proxy" in caught.value.context[0]


def test_no_proxy_hosts_are_reached_directly(make_rig: MakeRig, proxy: Proxy) -> None:
    rig = make_rig(network=through(proxy, no_proxy="localhost,127.0.0.0/8"))
    rig.fetch()
    rig.assert_right()
    assert not proxy.seen


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        ("https://huggingface.co/x", "", False),
        ("https://huggingface.co/x", "huggingface.co", True),
        ("https://cdn.huggingface.co/x", "huggingface.co", True),
        ("https://cdn.huggingface.co/x", ".huggingface.co", True),
        ("https://cdn.huggingface.co/x", "*.huggingface.co", True),
        ("https://nothuggingface.co/x", "huggingface.co", False),
        ("https://huggingface.co/x", "a.b, HUGGINGFACE.CO ,c", True),
        ("https://huggingface.co/x", "*", True),
        ("https://huggingface.co/x", "huggingface.co:8080", False),
        ("https://huggingface.co:8080/x", "huggingface.co:8080", True),
        ("http://10.1.2.3/x", "10.0.0.0/8", True),
        ("http://11.1.2.3/x", "10.0.0.0/8", False),
        ("http://[::1]/x", "::1", True),
        ("http://host/x", "10.0.0.0/8", False),
    ],
)
def test_no_proxy_rules(url: str, no_proxy: str, direct: bool) -> None:
    options = NetworkOptions(proxies={"all": "http://proxy:1"}, no_proxy=no_proxy)
    assert (options.proxy_for(url) is None) == direct


def test_network_options_come_from_the_variables_that_curl_and_requests_know() -> None:
    read = NetworkOptions.from_environment
    options = read({"HTTPS_PROXY": "proxy:3128", "http_proxy": "http://a:1", "NO_PROXY": "x"})
    assert options.proxies == {"http": "http://a:1", "https": "http://proxy:3128"}
    assert options.no_proxy == "x"
    assert read({"SSL_CERT_FILE": "/b"}).ca_bundle == Path("/b")
    assert read({"SSL_CERT_FILE": "/b", "REQUESTS_CA_BUNDLE": "/a"}).ca_bundle == Path("/a")
    assert read({"HTTP_PROXY": "http://evil", "REQUEST_METHOD": "GET"}).proxies == {}
    assert read({}) == NetworkOptions()


def test_an_untrusted_certificate_is_refused_and_explained(
    make_rig: MakeRig, tls: ssl.SSLContext
) -> None:
    rig = make_rig(hub_options={"tls": tls})
    with pytest.raises(DownloadFailedError) as caught:
        rig.fetch()
    assert caught.value.code == "certificate"
    assert "REQUESTS_CA_BUNDLE" in caught.value.hint
    assert not rig.hub.requests


def test_a_bundle_that_cannot_be_read_is_named(
    make_rig: MakeRig, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    rig = make_rig(
        hub_options={"tls": tls}, network=replace(QUICK_NETWORK, ca_bundle=tmp_path / "none.pem")
    )
    with pytest.raises(DownloadFailedError) as caught:
        rig.fetch()
    assert "none.pem" in caught.value.context[0]


def test_variables_of_the_environment_have_no_say_below_the_shell(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    rig = make_rig()
    rig.fetch()
    rig.assert_right()


def test_offline_opens_no_socket_and_uses_what_is_here(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig()
    rig.fetch()

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    rig.network = replace(rig.network, offline=True)
    assert rig.fetch().fetched_bytes == 0
    rig.places.content.unlink()
    with pytest.raises(DownloadFailedError) as caught:
        rig.fetch()
    assert "HF_HUB_OFFLINE" in caught.value.context[0]


def test_every_event_is_one_stable_json_object(make_rig: MakeRig) -> None:
    rig = make_rig([f.nth(3, f.reset_after(1000)), f.nth(5, f.too_many_requests(1))])
    rig.fetch()
    documents = [json.loads(json.dumps(event.document())) for event in rig.events]
    names = ["time", "event", "file", "bytes", "total", "rate", "eta", "connections", "retries"]
    for document in documents:
        assert list(document) == [*names, "seconds", "message"]
        assert datetime.fromisoformat(document["time"]).tzinfo is not None
        assert 0 <= document["bytes"] <= document["total"] == len(DATA)
    kinds = [document["event"] for document in documents]
    assert kinds[0] == "start"
    assert kinds[-1] == "done"
    assert {"progress", "retry", "wait"} <= set(kinds)
    assert documents[-1]["bytes"] == len(DATA)
    assert documents[-1]["retries"] == 2


def test_progress_does_not_fall_when_a_damaged_chunk_comes_again(make_rig: MakeRig) -> None:
    rig = make_rig([f.FlippedBit(3 * CHUNK, 1)])
    rig.fetch()
    shown = [event.bytes for event in rig.events]
    assert shown == sorted(shown)
    assert rig.told(Kind.DAMAGED)


def test_the_rate_limit_holds_over_all_connections(make_rig: MakeRig) -> None:
    rig = make_rig()
    file = rig.fetch(rate_bytes_per_second=len(DATA), connections=4)
    rig.assert_right()
    assert 0.8 < file.seconds < 2.5


def test_a_fixed_number_of_connections_is_kept(make_rig: MakeRig) -> None:
    rig = make_rig([f.always(f.trickle(200_000))])
    rig.fetch(connections=3)
    assert max(event.connections for event in rig.events) == 3


def test_low_priority_changes_nothing_of_the_result(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.fetch(polite=True)
    rig.assert_right()
