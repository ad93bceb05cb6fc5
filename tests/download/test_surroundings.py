"""Proxies, certificates, offline mode, and what an observer sees."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from setup_manager.download.events import Kind
from setup_manager.errors import DownloadFailedError
from setup_manager.net.options import NetworkOptions
from tests.download.conftest import MakeRig
from tests.download.rig import CHUNK, DATA, QUICK_NETWORK
from tests.net.proxy import Proxy
from tests.support import faults as f


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
