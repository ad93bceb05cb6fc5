"""The network part of the fault catalogue: every row a real connection that really breaks."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from setup_manager.download.events import Kind
from setup_manager.errors import DownloadFailedError
from setup_manager.net.options import NetworkOptions
from tests.download.conftest import MakeRig
from tests.download.rig import CHUNK, DATA, QUICK_NETWORK
from tests.support import faults as f
from tests.support.exchange import Fault

Make = Callable[[], list[Fault]]


def cut_long(size_bytes: int, cut: Callable[[int], Fault]) -> Fault:
    """Cut every answer that is longer; shorter ones come whole, so that the file can end."""
    fault = cut(size_bytes)
    return lambda request, answer: (
        fault(request, answer) if answer.body_bytes > size_bytes else answer
    )


ENDS_RIGHT: dict[str, Make] = {
    "a reset at once": lambda: [f.nth(1, f.reset_after(0))],
    "a reset in the middle of one answer": lambda: [f.nth(3, f.reset_after(1000))],
    "a reset of each of the first ten answers": lambda: [f.first(10, f.reset_after(5000))],
    "a reset after 20 kB of every answer": lambda: [cut_long(20_000, f.reset_after)],
    "a clean close early": lambda: [f.nth(2, f.close_early(1000))],
    "a clean close before the first byte": lambda: [f.nth(2, f.close_early(0))],
    "a clean close early of every answer": lambda: [cut_long(20_000, f.close_early)],
    "answers without a length": lambda: [f.always(f.no_length())],
    "answers without a length that end early": lambda: [
        f.always(f.no_length()),
        f.first(4, f.close_early(9000)),
    ],
    "refused for half a second": lambda: [f.nth(3, f.refused(0.5))],
    "a stall in one of several connections": lambda: [f.nth(2, f.stall_in_body(1000, 30))],
    "a stall at the first byte of three": lambda: [f.first(3, f.stall_in_body(0, 30))],
    "a stall before the headers": lambda: [f.nth(2, f.stall_before_headers(30))],
    "a stall before the hub's answer": lambda: [
        f.nth(1, f.stall_before_headers(30), f.resolve_requests)
    ],
    "500 once": lambda: [f.nth(2, f.status(500))],
    "502 once": lambda: [f.nth(2, f.status(502))],
    "503 once": lambda: [f.nth(2, f.status(503))],
    "504 once": lambda: [f.nth(2, f.status(504))],
    "408 once": lambda: [f.nth(2, f.status(408))],
    "503 for the first six answers": lambda: [f.first(6, f.status(503))],
    "503 with Retry-After": lambda: [f.nth(2, f.status(503, {"Retry-After": "1"}))],
    "503 from the hub": lambda: [f.nth(1, f.status(503), f.resolve_requests)],
    "429 from the hub": lambda: [f.nth(1, f.too_many_requests(1), f.resolve_requests)],
    "a fifth of all answers reset": lambda: [
        f.sometimes(0.2, seed=5, fault=f.reset_after(3000)),
    ],
    "resets, 503s and early closes mixed": lambda: [
        f.sometimes(0.1, seed=1, fault=f.reset_after(9000)),
        f.sometimes(0.1, seed=2, fault=f.status(503)),
        f.sometimes(0.1, seed=3, fault=f.close_early(9000)),
    ],
    "the line of the rehearsal": lambda: [f.BadLine(reset_bytes=9000)],
}


@pytest.mark.parametrize("name", ENDS_RIGHT)
def test_the_file_is_right_after(name: str, make_rig: MakeRig) -> None:
    rig = make_rig(ENDS_RIGHT[name]())
    file = rig.fetch()
    rig.assert_right()
    assert file.fetched_bytes == len(DATA), "what arrived before a break is not fetched again"
    assert all(event.bytes <= event.total for event in rig.events)
    shown = [event.bytes for event in rig.events]
    assert shown == sorted(shown), "progress never goes back"
    assert rig.hub.served_bytes < 1.5 * len(DATA)


ENDS_WITH_12: dict[str, Make] = {
    "500 for ever": lambda: [f.always(f.status(500))],
    "502 for ever": lambda: [f.always(f.status(502))],
    "503 for ever": lambda: [f.always(f.status(503))],
    "504 for ever": lambda: [f.always(f.status(504))],
    "503 for ever from the hub": lambda: [f.always(f.status(503), f.resolve_requests)],
    "a reset at once for ever": lambda: [f.always(f.reset_after(0))],
    "a stall for ever": lambda: [f.always(f.stall_in_body(0, 60))],
    "a stall before the headers for ever": lambda: [f.always(f.stall_before_headers(60))],
    "429 for an hour": lambda: [f.always(f.too_many_requests(3600))],
    "503 for an hour": lambda: [f.always(f.status(503, {"Retry-After": "3600"}))],
}


@pytest.mark.parametrize("name", ENDS_WITH_12)
def test_download_failed_after(name: str, make_rig: MakeRig) -> None:
    rig = make_rig(ENDS_WITH_12[name]())
    began = time.monotonic()
    with pytest.raises(DownloadFailedError) as caught:
        rig.fetch(patience_seconds=0.4)
    assert time.monotonic() - began < 3
    rig.assert_not_installed()
    assert caught.value.context[0].startswith("http://127.0.0.1")
    assert rig.told(Kind.FAILED)


def test_what_came_before_the_line_died_is_kept_and_used(make_rig: MakeRig) -> None:
    rig = make_rig([f.from_nth(9, f.status(503))])
    with pytest.raises(DownloadFailedError) as caught:
        rig.fetch(patience_seconds=0.4)
    assert any("kept" in fact for fact in caught.value.context)
    served = rig.hub.served_bytes
    assert served >= 5 * CHUNK
    rig.hub.faults = ()
    file = rig.fetch()
    rig.assert_right()
    assert file.reused_bytes >= served - 2 * CHUNK
    assert file.fetched_bytes == len(DATA) - file.reused_bytes


@pytest.mark.parametrize("style", ["seconds", "date", "ratelimit"])
def test_429_waits_as_long_as_the_server_says_and_shows_it(style: str, make_rig: MakeRig) -> None:
    rig = make_rig([f.nth(1, f.too_many_requests(1 if style != "date" else 2, style=style))])
    began = time.monotonic()
    rig.fetch()
    rig.assert_right()
    assert time.monotonic() - began > 0.7
    (waiting, *_) = rig.told(Kind.WAIT)
    assert waiting.seconds is not None
    assert 0.3 < waiting.seconds <= 2


def test_429_without_a_time_is_retried_after_a_pause_of_our_own(make_rig: MakeRig) -> None:
    rig = make_rig([f.first(2, f.too_many_requests(1, style="nothing"))])
    rig.fetch()
    rig.assert_right()
    assert rig.told(Kind.WAIT)


def test_waiting_for_a_429_does_not_use_up_the_patience(make_rig: MakeRig) -> None:
    rig = make_rig([f.first(2, f.too_many_requests(1))])
    rig.fetch(patience_seconds=0.3, connections=1)
    rig.assert_right()


def test_a_hub_that_is_not_there_ends_with_12_and_says_what_to_check(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.hub.close()
    with pytest.raises(DownloadFailedError) as caught:
        rig.fetch(patience_seconds=0.3)
    assert "refused" in caught.value.context[0]
    assert "proxy" in caught.value.hint


def test_a_name_that_cannot_be_found_is_tried_again_and_named(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = socket.getaddrinfo, [3]

    def resolve(host: Any, *rest: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    rig = make_rig()
    rig.fetch()
    rig.assert_right()
    assert any("DNS" in event.message for event in rig.told(Kind.RETRY))


def test_a_trickle_is_given_up_where_others_are_faster(make_rig: MakeRig) -> None:
    rig = make_rig([f.nth(2, f.trickle(2000))])
    began = time.monotonic()
    rig.fetch()
    rig.assert_right()
    assert time.monotonic() - began < 6, "a chunk at that pace alone takes 16 s"


def test_a_line_that_is_slow_everywhere_is_never_given_up(make_rig: MakeRig) -> None:
    patient = replace(QUICK_NETWORK, stall_seconds=3)
    rig = make_rig([f.always(f.trickle(40_000))], data=DATA[: 6 * CHUNK], network=patient)
    file = rig.fetch(connections=3)
    rig.assert_right(DATA[: 6 * CHUNK])
    assert file.retries == 0


def test_tls_works_and_survives_a_cut_in_the_middle_of_a_record(
    make_rig: MakeRig, tls: ssl.SSLContext, certificate: Path
) -> None:
    rig = make_rig(
        [f.first(5, f.reset_after(20_001))],
        hub_options={"tls": tls},
        network=replace(QUICK_NETWORK, ca_bundle=certificate),
    )
    file = rig.fetch()
    rig.assert_right()
    assert file.retries >= 5


def test_an_address_that_does_not_answer_costs_only_its_head_start(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener whose queue is full drops SYNs: to a client it looks like broken IPv6."""
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen(0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(silent.getsockname())
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        found = real(host, port, *rest, **options)
        family, kind, protocol, name, _ = found[0]
        return [(family, kind, protocol, name, silent.getsockname()), *found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    rig = make_rig(network=NetworkOptions(connect_seconds=5, stall_seconds=1, family_seconds=0.05))
    began = time.monotonic()
    rig.fetch()
    rig.assert_right()
    assert time.monotonic() - began < 3
    for open_socket in (silent, *fillers):
        open_socket.close()
