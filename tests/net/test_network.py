"""Proxies and certificates, whichever part asks: questions, the probe, a transfer."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from setup_manager.download import Downloader, DownloadOptions, FileJob
from setup_manager.errors import DownloadFailedError
from setup_manager.library.layout import PlainFolderLayout
from setup_manager.net.hub import Hub
from setup_manager.net.options import NetworkOptions
from setup_manager.net.origin import HubAccess
from tests.net.proxy import Proxy
from tests.support.loopback import LoopbackHub

StartHub = Callable[..., LoopbackHub]
Ask = Callable[[LoopbackHub, NetworkOptions], object]
REPO, FILE = "org/model", "weights.bin"


def look_up(hub: LoopbackHub, network: NetworkOptions) -> object:
    return Hub(HubAccess(hub.endpoint), network, sleep=lambda _: None).look_up(REPO)


def probe(hub: LoopbackHub, network: NetworkOptions) -> object:
    return Hub(HubAccess(hub.endpoint), network).probe()


@pytest.fixture(params=["look_up", "probe", "fetch"])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Ask:
    def transfer(hub: LoopbackHub, network: NetworkOptions) -> object:
        job = FileJob(hub.artifact(REPO, FILE), HubAccess(hub.endpoint).origins)
        options = DownloadOptions(patience_seconds=3, first_backoff_seconds=0.01)
        return Downloader(PlainFolderLayout(tmp_path), options, network=network).fetch([job])

    return {"look_up": look_up, "probe": probe, "fetch": transfer}[str(request.param)]


@pytest.fixture
def secure(start_hub: StartHub, tls: ssl.SSLContext) -> LoopbackHub:
    return start_hub({REPO: {FILE: b"weights"}}, tls=tls)


@pytest.fixture
def plain(start_hub: StartHub) -> LoopbackHub:
    return start_hub({REPO: {FILE: b"weights"}})


@pytest.fixture(params=[407, 403])
def refusing(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    with closing(Proxy(refusal=request.param)) as proxy:
        yield proxy


def surroundings(**variables: str) -> NetworkOptions:
    found = NetworkOptions.from_environment(variables)
    return replace(found, connect_seconds=1.0, stall_seconds=1.0)


def failure(ask: Ask, hub: LoopbackHub, network: NetworkOptions) -> DownloadFailedError:
    with pytest.raises(DownloadFailedError) as caught:
        ask(hub, network)
    error = caught.value
    assert "s3cr3t" not in repr((error.message, error.context, error.hint))
    return error


def test_a_proxy_that_refuses_connect_is_named(
    ask: Ask, secure: LoopbackHub, refusing: Proxy
) -> None:
    address = f"http://user:s3cr3t@127.0.0.1:{refusing.port}"
    error = failure(ask, secure, surroundings(https_proxy=address, HTTP_PROXY="http://other"))
    assert error.code == "proxy"
    assert f"http://127.0.0.1:{refusing.port} (https_proxy)" in error.context[0]
    assert "https_proxy" in error.hint
    assert secure.requests == []


def test_a_proxy_that_wants_a_password_is_named_without_a_tunnel_too(
    ask: Ask, plain: LoopbackHub
) -> None:
    with closing(Proxy("right")) as proxy:
        address = f"http://user:s3cr3t@127.0.0.1:{proxy.port}"
        error = failure(ask, plain, surroundings(HTTP_PROXY=address))
    assert error.code == "proxy"
    assert "HTTP_PROXY" in error.context[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_dead_proxy_is_named_within_seconds(
    ask: Ask, plain: LoopbackHub, secure: LoopbackHub, scheme: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    hub = {"http": plain, "https": secure}[scheme]
    started = time.monotonic()
    error = failure(ask, hub, surroundings(ALL_PROXY=f"http://u:s3cr3t@127.0.0.1:{port}"))
    assert error.code == "proxy"
    assert "(ALL_PROXY) does not answer: the connection was refused" in error.context[0]
    assert time.monotonic() - started < 12


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("http://u:s3cr3t@host:99999", "not a valid address"),
        ("http://u:s3cr3t@", "not a valid address"),
        ("nonsense://u:s3cr3t@host:1", "not supported"),
        ("socks://u:s3cr3t@127.0.0.1:7890/", "SOCKS"),
        ("socks5h://u:s3cr3t@127.0.0.1:7890", "SOCKS"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(
    ask: Ask, plain: LoopbackHub, address: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("setup_manager.net.options.find_spec", lambda _: None)
    error = failure(ask, plain, surroundings(ALL_PROXY=address))
    assert error.code == "proxy"
    assert problem in error.context[0]
    assert "ALL_PROXY" in error.hint


def test_a_proxy_that_is_not_used_does_not_matter(ask: Ask, plain: LoopbackHub) -> None:
    with closing(Proxy()) as proxy:
        network = surroundings(
            http_proxy=f"http://127.0.0.1:{proxy.port}", ALL_PROXY="socks://127.0.0.1:7890/"
        )
        ask(plain, network)
        assert proxy.seen
    ask(plain, surroundings(ALL_PROXY="socks://127.0.0.1:7890/", NO_PROXY="127.0.0.1,localhost"))


def test_the_variable_that_decided_the_certificates_is_named(
    ask: Ask, secure: LoopbackHub, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    import certifi

    other = tmp_path / "other.pem"
    other.write_text(Path(certifi.where()).read_text("ascii"))
    error = failure(ask, secure, surroundings(REQUESTS_CA_BUNDLE=str(other), SSL_CERT_FILE="/x"))
    assert error.code == "certificate"
    assert f"{other} (REQUESTS_CA_BUNDLE)" in error.context[0]
    assert "REQUESTS_CA_BUNDLE" in error.hint
    assert "SSL_CERT_FILE" not in error.hint


def test_an_endpoint_that_is_dead_is_named_with_the_way_around(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    endpoint = f"http://user:s3cr3t@127.0.0.1:{port}"
    access = HubAccess.from_environment({"HF_ENDPOINT": endpoint}, tmp_path)
    hub = Hub(access, sleep=lambda _: None)
    with LoopbackHub({REPO: {FILE: b"weights"}}) as elsewhere:
        job = FileJob(elsewhere.artifact(REPO, FILE), access.origins)
    started = time.monotonic()
    for question in (
        lambda: hub.look_up(REPO),
        hub.probe,
        lambda: Downloader(PlainFolderLayout(tmp_path)).fetch([job]),
    ):
        with pytest.raises(DownloadFailedError) as caught:
            question()
        error = caught.value
        assert error.code == "no-route"
        assert f"HF_ENDPOINT names http://127.0.0.1:{port}" in error.hint
        assert "https://huggingface.co" in error.hint
        assert "--mirror" in error.hint
        assert "s3cr3t" not in repr((error.message, error.context, error.hint))
    assert time.monotonic() - started < 15


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
    assert options.variables == {"http": "http_proxy", "https": "HTTPS_PROXY"}
    assert options.no_proxy == "x"
    assert read({"SSL_CERT_FILE": "/b"}).ca_bundle == Path("/b")
    both = read({"SSL_CERT_FILE": "/b", "REQUESTS_CA_BUNDLE": "/a"})
    assert both.ca_bundle == Path("/a")
    assert both.variables == {"ca_bundle": "REQUESTS_CA_BUNDLE"}
    assert read({"HTTP_PROXY": "http://evil", "REQUEST_METHOD": "GET"}).proxies == {}
    assert read({}) == NetworkOptions()
