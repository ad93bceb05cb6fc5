"""HTTP and content rows of the fault catalogue: what a server can answer that is not the file."""

from __future__ import annotations

import hashlib
import json
import ssl
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from setup_manager.download.events import Kind
from setup_manager.errors import (
    AccessDeniedError,
    DownloadFailedError,
    SetupError,
    VerificationFailedError,
)
from tests.download.conftest import MakeRig
from tests.download.rig import CHUNK, DATA, PATH, QUICK_NETWORK, REPOSITORY, SHA, overlap
from tests.support import faults as f
from tests.support.content import HeldContent
from tests.support.exchange import Answer, Exchange, Fault, Request, text_answer
from tests.support.exchange import Kind as RequestKind
from tests.support.loopback import Access, LoopbackHub

OTHER = bytes(reversed(DATA))
LONGER = DATA + b"more"

Make = Callable[[], list[Fault]]
ENDS_RIGHT: dict[str, Make] = {
    "200 to one range": lambda: [f.nth(3, f.range_ignored())],
    "200 to every range": lambda: [f.always(f.range_ignored())],
    "200 to every range, and resets": lambda: [
        f.always(f.range_ignored()),
        f.nth(2, f.reset_after(9 * CHUNK)),
    ],
    "206 from elsewhere once": lambda: [f.nth(3, f.range_moved(5000))],
    "206 from before once": lambda: [f.nth(3, f.range_moved(-5000))],
    "206 with another total once": lambda: [f.nth(3, f.wrong_total(5))],
    "206 without Content-Range once": lambda: [f.nth(3, f.with_header("Content-Range", None))],
    "206 without Content-Range for ever": lambda: [f.always(f.with_header("Content-Range", None))],
    "a web page from the CDN once": lambda: [f.nth(3, f.html_page())],
    "416 once": lambda: [f.nth(3, f.status(416))],
    "another file once, with its own tag and length": lambda: [
        f.nth(3, f.other_content(HeldContent(LONGER)))
    ],
    "an encoded answer once": lambda: [f.nth(3, f.encoded())],
    "a signed address good for three requests": lambda: [f.UrlsWearOut(3)],
    "a signed address good for one request": lambda: [f.UrlsWearOut(1)],
    "403 once": lambda: [f.nth(3, f.status(403))],
    "404 from the CDN once": lambda: [f.nth(3, f.status(404))],
    "a weak tag": lambda: [f.always(f.with_header("ETag", 'W/"x"'))],
    "no tag": lambda: [f.always(f.with_header("ETag", None))],
    "a weak linked tag": lambda: [
        f.always(f.with_header("X-Linked-Etag", f'W/"{SHA}"'), f.resolve_requests)
    ],
    "a hub that knows no HEAD": lambda: [
        f.always(f.status(405), lambda r: f.resolve_requests(r) and r.method == "HEAD")
    ],
    "one bit flipped once": lambda: [f.FlippedBit(3 * CHUNK + 5, 1)],
    "two bits flipped once, far apart": lambda: [
        f.FlippedBit(5, 1),
        f.FlippedBit(15 * CHUNK, 1),
    ],
}


@pytest.mark.parametrize("name", ENDS_RIGHT)
def test_the_file_is_right_after(name: str, make_rig: MakeRig) -> None:
    rig = make_rig(ENDS_RIGHT[name]())
    rig.fetch()
    rig.assert_right()
    assert rig.hub.served_bytes < 4 * len(DATA)


ENDS: dict[str, tuple[Make, type[SetupError], str]] = {
    "206 from elsewhere for ever": (
        lambda: [f.always(f.range_moved(5000))],
        DownloadFailedError,
        "the wrong part",
    ),
    "another total for ever": (
        lambda: [f.always(f.wrong_total(5))],
        VerificationFailedError,
        "5 bytes long",
    ),
    "416 for ever": (lambda: [f.always(f.status(416))], VerificationFailedError, "416"),
    "another file of another length behind the same name": (
        lambda: [f.always(f.other_content(HeldContent(LONGER)))],
        VerificationFailedError,
        "bytes long",
    ),
    "an encoded answer for ever": (
        lambda: [f.always(f.encoded())],
        DownloadFailedError,
        "a compressed answer",
    ),
    "403 for ever": (lambda: [f.always(f.status(403))], DownloadFailedError, "403"),
    "expired addresses for ever": (lambda: [f.always(f.expired())], DownloadFailedError, "403"),
    "404 from the CDN for ever": (lambda: [f.always(f.status(404))], DownloadFailedError, "404"),
    "400 from the CDN": (lambda: [f.always(f.status(400))], DownloadFailedError, "400"),
    "a login page with 200": (lambda: [f.always(f.html_page())], DownloadFailedError, "login"),
    "a login page from the hub": (
        lambda: [f.always(f.html_page(), f.resolve_requests)],
        DownloadFailedError,
        "login",
    ),
    "511 from the network": (lambda: [f.always(f.status(511))], DownloadFailedError, "login"),
    "407 from a proxy": (
        lambda: [f.always(f.status(407), f.resolve_requests)],
        DownloadFailedError,
        "proxy",
    ),
    "a hub that names another digest": (
        lambda: [f.always(f.with_header("X-Linked-Etag", f'"{"0" * 64}"'), f.resolve_requests)],
        VerificationFailedError,
        f"expected {SHA}",
    ),
    "a hub that names another size": (
        lambda: [f.always(f.with_header("X-Linked-Size", "17"), f.resolve_requests)],
        VerificationFailedError,
        "expected 667705, got 17",
    ),
    "a hub that names another commit": (
        lambda: [f.always(f.with_header("X-Repo-Commit", "0" * 40), f.resolve_requests)],
        VerificationFailedError,
        "another commit",
    ),
    "a redirect without a target": (
        lambda: [f.always(f.with_header("Location", None), f.resolve_requests)],
        DownloadFailedError,
        "without a target",
    ),
    "a redirect to another scheme": (
        lambda: [f.always(f.redirected_to("ftp://localhost/x"), f.resolve_requests)],
        DownloadFailedError,
        "unsafe",
    ),
    "one bit flipped for ever": (
        lambda: [f.FlippedBit(3 * CHUNK + 5)],
        VerificationFailedError,
        "expected SHA-256",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_it_ends_with_the_documented_error_and_no_file(name: str, make_rig: MakeRig) -> None:
    make, kind, word = ENDS[name]
    rig = make_rig(make())
    with pytest.raises(kind) as caught:
        rig.fetch(patience_seconds=0.5)
    assert type(caught.value) is kind
    assert word in " ".join((caught.value.message, *caught.value.context, caught.value.hint))
    rig.assert_not_installed()
    assert rig.hub.served_bytes <= 2 * len(DATA) + 4 * CHUNK, "no loop"


def test_the_observer_is_told_once_which_host_has_the_bytes(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.fetch(connections=4)
    (told,) = rig.told(Kind.RESOLVED)
    assert told.message == f"{rig.hub.endpoint}: the bytes come from localhost"
    assert "Signature" not in told.message


def test_the_observer_is_told_again_when_a_signed_address_expired(make_rig: MakeRig) -> None:
    rig = make_rig([f.nth(3, f.expired())])
    rig.fetch(connections=1)
    assert len(rig.told(Kind.RESOLVED)) == 2


def test_a_redirect_loop_ends(make_rig: MakeRig) -> None:
    def loop(request: Request, answer: Answer) -> Answer:
        if request.kind is not RequestKind.RESOLVE:
            return answer
        return text_answer(302, headers={"Location": request.target})

    rig = make_rig([loop])
    with pytest.raises(DownloadFailedError, match="could not be downloaded"):
        rig.fetch()
    assert len(rig.hub.requests) < 12


def test_a_mirror_that_sends_on_to_the_hub_is_followed_without_its_token(
    make_rig: MakeRig,
) -> None:
    rig = make_rig()

    def send_on(request: Request, answer: Answer) -> Answer:
        return text_answer(302, headers={"Location": f"{rig.hub.endpoint}{request.target}"})

    with LoopbackHub({REPOSITORY: {PATH: DATA}}, faults=[send_on]) as mirror:
        file = rig.fetch_from(mirror.endpoint, token="secret-token")
        rig.assert_right()
        assert file.fetched_bytes == len(DATA)
        assert any("authorization" in e.request.headers for e in mirror.requests)
        assert all("authorization" not in e.request.headers for e in rig.hub.requests)


def test_a_repository_in_another_letter_case_is_followed(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.artifact = replace(rig.artifact, repository="ORG/Model")
    rig.fetch()
    rig.assert_right()


def test_content_that_changes_between_chunks_is_never_spliced(make_rig: MakeRig) -> None:
    changed = f.other_content(HeldContent(OTHER))
    rig = make_rig([f.from_nth(6, changed)])
    with pytest.raises(VerificationFailedError):
        rig.fetch()
    rig.assert_not_installed()


def test_content_that_changes_without_a_tag_is_refused_by_its_digest(make_rig: MakeRig) -> None:
    def changed(request: Request, answer: Answer) -> Answer:
        return replace(answer, content=HeldContent(OTHER))

    no_tag = f.always(f.with_header("ETag", None))
    rig = make_rig([no_tag, f.from_nth(6, changed)])
    with pytest.raises(VerificationFailedError) as caught:
        rig.fetch()
    assert any(SHA in fact for fact in caught.value.context)
    rig.assert_not_installed()


def test_content_that_changes_between_runs_is_never_spliced(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.interrupt_after(len(DATA) // 2)
    rig.hub.faults = (f.always(f.other_content(HeldContent(OTHER))),)
    with pytest.raises(VerificationFailedError):
        rig.fetch()
    rig.assert_not_installed()
    rig.hub.faults = ()
    rig.fetch()
    rig.assert_right()


def test_a_bit_flipped_once_changes_one_chunk_only(make_rig: MakeRig) -> None:
    """Nothing says which chunk it was, so they are compared; the one that differs is stored."""
    rig = make_rig([f.FlippedBit(3 * CHUNK + 5, 1)])
    file = rig.fetch()
    rig.assert_right()
    (damaged,) = rig.told(Kind.DAMAGED)
    assert f"bytes {3 * CHUNK} to {4 * CHUNK - 1} " in damaged.message
    assert file.fetched_bytes < 2 * len(DATA), "comparing ends when the file is right"
    assert overlap(rig.content_requests(), 3 * CHUNK, 4 * CHUNK) == 3


def test_a_wrong_digest_that_no_server_names_is_refused_after_two_looks(
    make_rig: MakeRig,
) -> None:
    quiet = f.always(f.with_header("X-Linked-Etag", None), f.resolve_requests)
    rig = make_rig([quiet])
    rig.artifact = replace(rig.artifact, sha256="1" * 64)
    with pytest.raises(VerificationFailedError) as caught:
        rig.fetch()
    assert f"expected SHA-256 {'1' * 64}" in caught.value.context
    assert f"actual SHA-256   {SHA}" in caught.value.context
    assert rig.hub.served_bytes == 2 * len(DATA)
    assert not rig.places.partial.exists(), "wrong bytes are not kept"


def test_a_file_that_is_no_gguf_is_refused_in_its_first_chunk(make_rig: MakeRig) -> None:
    rig = make_rig(path="model.gguf")
    with pytest.raises(VerificationFailedError) as caught:
        rig.fetch(connections=1)
    assert "GGUF" in " ".join(caught.value.context)
    assert rig.hub.served_bytes <= 2 * CHUNK
    rig.assert_not_installed()


def test_a_login_page_of_the_right_length_is_refused_in_the_first_chunk(
    make_rig: MakeRig,
) -> None:
    page = b"<!DOCTYPE html><html>".ljust(len(DATA), b" ")
    rig = make_rig([f.always(f.other_content(HeldContent(page)))], path="model.gguf")
    with pytest.raises(DownloadFailedError) as caught:
        rig.fetch(connections=1)
    assert caught.value.code == "login-page"
    assert rig.hub.served_bytes <= 2 * CHUNK


GGUF = b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + DATA


def claims_the_range(request: Request, answer: Answer) -> Answer:
    """Bytes of something else, under the right length, range and tag."""
    page = HeldContent(b"<!DOCTYPE html><html>".ljust(answer.content.size_bytes))
    return replace(answer, content=page, fault="other bytes")


def starts(request: Request) -> bool:
    return (
        f.content_requests(request)
        and request.span(len(GGUF)) is not None
        and (request.headers.get("range", "").startswith("bytes=0-"))
    )


def test_other_bytes_at_the_beginning_are_fetched_again_once(make_rig: MakeRig) -> None:
    rig = make_rig([f.first(1, claims_the_range, starts)], path="model.gguf", data=GGUF)
    rig.fetch()
    rig.assert_right(GGUF)
    assert any("web page" in event.message for event in rig.told(Kind.RETRY))


def test_other_bytes_are_fetched_again_from_another_origin(make_rig: MakeRig) -> None:
    rig = make_rig([f.always(claims_the_range, starts)], path="model.gguf", data=GGUF)
    with LoopbackHub({REPOSITORY: {"model.gguf": GGUF}}) as mirror:
        rig.mirrors = (mirror.endpoint,)
        rig.fetch()
    rig.assert_right(GGUF)
    assert sum(starts(e.request) for e in rig.content_requests()) <= 1


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_files_of_any_small_size(size: int, make_rig: MakeRig) -> None:
    rig = make_rig(data=DATA[:size])
    file = rig.fetch()
    rig.assert_right(DATA[:size])
    assert file.fetched_bytes == size


# Access


def test_a_gated_repository_names_the_page_to_accept_at(make_rig: MakeRig) -> None:
    rig = make_rig(hub_options={"access": {REPOSITORY: Access.GATED}})
    with pytest.raises(AccessDeniedError) as caught:
        rig.fetch()
    assert f"{rig.hub.endpoint}/{REPOSITORY}" in caught.value.hint


def test_a_private_repository_is_denied_without_a_token_and_given_with_one(
    make_rig: MakeRig,
) -> None:
    options = {
        "access": {REPOSITORY: Access.PRIVATE},
        "tokens": {"secret-token": frozenset({REPOSITORY})},
    }
    rig = make_rig(hub_options=options)
    with pytest.raises(AccessDeniedError):
        rig.fetch()
    rig.token = "secret-token"
    rig.fetch()
    rig.assert_right()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("RepoNotFound", AccessDeniedError),
        ("RevisionNotFound", AccessDeniedError),
        ("EntryNotFound", DownloadFailedError),
    ],
)
def test_what_the_hub_does_not_have(code: str, kind: type[SetupError], make_rig: MakeRig) -> None:
    missing = f.status(404, {"X-Error-Code": code, "X-Error-Message": "not here"})
    rig = make_rig([f.always(missing, f.resolve_requests)])
    with pytest.raises(kind) as caught:
        rig.fetch()
    assert "not here" in caught.value.context[0]
    assert len(rig.hub.requests) <= 4, "a 404 is not tried again"


# The token


def _secret_rig(make_rig: MakeRig) -> tuple[object, list[Exchange]]:
    options = {
        "access": {REPOSITORY: Access.PRIVATE},
        "tokens": {"secret-token": frozenset({REPOSITORY})},
    }
    rig = make_rig([f.nth(3, f.status(503)), f.UrlsWearOut(9)], hub_options=options)
    rig.token = "secret-token"
    rig.fetch()
    rig.assert_right()
    return rig, rig.hub.requests


def test_the_token_goes_to_the_hub_and_nowhere_else(make_rig: MakeRig) -> None:
    _, exchanges = _secret_rig(make_rig)
    for exchange in exchanges:
        has_token = "authorization" in exchange.request.headers
        assert has_token == (exchange.request.host == "hub")


def test_the_token_does_not_follow_a_redirect_to_another_port(make_rig: MakeRig) -> None:
    rig = make_rig(hub_options={"tokens": {"secret-token": frozenset()}})
    with LoopbackHub({REPOSITORY: {PATH: DATA}}) as other:
        url = f"{other.endpoint}/{REPOSITORY}/resolve/{rig.artifact.commit}/{PATH}"
        rig.hub.faults = (f.always(f.redirected_to(url), f.resolve_requests),)
        rig.token = "secret-token"
        rig.fetch()
        rig.assert_right()
        assert other.requests
        assert all("authorization" not in e.request.headers for e in other.requests)


def test_netrc_puts_no_credentials_into_any_request(
    make_rig: MakeRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login a password b\nmachine 127.0.0.1 login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    rig = make_rig()
    rig.fetch()
    assert all("authorization" not in e.request.headers for e in rig.hub.requests)


def test_no_token_and_no_signature_reaches_disk_events_or_errors(make_rig: MakeRig) -> None:
    options = {"tokens": {"secret-token": frozenset({REPOSITORY})}}
    rig = make_rig([f.from_nth(8, f.status(503))], hub_options=options)
    rig.token = "secret-token"
    with pytest.raises(DownloadFailedError) as caught:
        rig.fetch(patience_seconds=0.3)
    error = caught.value
    text = json.dumps([event.document() for event in rig.events])
    text += " ".join((error.message, *error.context, error.hint, repr(rig.job)))
    text += rig.places.journal.read_text()
    signatures = {e.request.target.partition("?")[2] for e in rig.content_requests()}
    assert signatures
    assert all(signature not in text for signature in signatures)
    assert "Signature=" not in text
    assert "secret-token" not in text


def test_https_is_never_left_for_http(
    make_rig: MakeRig, tls: ssl.SSLContext, certificate: Path
) -> None:
    with LoopbackHub({REPOSITORY: {PATH: DATA}}) as plain:
        rig = make_rig(
            [f.always(f.redirected_to(f"{plain.cdn_endpoint}/x"), f.resolve_requests)],
            hub_options={"tls": tls},
            network=replace(QUICK_NETWORK, ca_bundle=certificate),
        )
        with pytest.raises(DownloadFailedError) as caught:
            rig.fetch()
        assert caught.value.code == "insecure-redirect"
        assert not plain.requests


# Mirrors


def test_a_mirror_that_sends_bad_data_is_dropped_and_the_file_is_right(
    make_rig: MakeRig,
) -> None:
    bad = bytearray(DATA)
    for start in range(0, len(bad), 2 * CHUNK):
        bad[start] ^= 1
    quiet = f.always(f.with_header("X-Linked-Etag", None), f.resolve_requests)
    with LoopbackHub({REPOSITORY: {PATH: bytes(bad)}}, faults=[quiet]) as mirror:
        rig = make_rig([f.always(f.trickle(900_000))], mirrors=(mirror.endpoint,))
        rig.fetch()
        rig.assert_right()
        assert mirror.served_bytes, "the faster mirror was used"
        assert any("wrong bytes" in event.message for event in rig.told(Kind.DROPPED))


def test_a_mirror_that_names_another_digest_gives_no_byte(make_rig: MakeRig) -> None:
    with LoopbackHub({REPOSITORY: {PATH: OTHER}}) as mirror:
        rig = make_rig(mirrors=(mirror.endpoint,))
        rig.fetch()
        rig.assert_right()
        assert mirror.served_bytes == 0
        assert rig.hub.served_bytes == len(DATA)


def test_a_hub_that_is_down_is_replaced_by_a_mirror(make_rig: MakeRig) -> None:
    with LoopbackHub({REPOSITORY: {PATH: DATA}}) as mirror:
        rig = make_rig([f.always(f.status(503), f.resolve_requests)], mirrors=(mirror.endpoint,))
        rig.fetch()
        rig.assert_right()
        assert mirror.served_bytes == len(DATA)


def test_a_mirror_that_dies_in_the_middle_costs_nothing(make_rig: MakeRig) -> None:
    dead = f.from_nth(3, f.reset_after(0))
    with LoopbackHub({REPOSITORY: {PATH: DATA}}, faults=[dead]) as mirror:
        rig = make_rig([f.always(f.trickle(400_000))], mirrors=(mirror.endpoint,))
        file = rig.fetch()
        rig.assert_right()
        assert file.fetched_bytes == len(DATA)


def test_the_faster_of_two_origins_does_most_of_the_work(make_rig: MakeRig) -> None:
    with LoopbackHub({REPOSITORY: {PATH: DATA}}) as mirror:
        rig = make_rig([f.always(f.trickle(150_000))], mirrors=(mirror.endpoint,))
        rig.fetch(connections=3)
        rig.assert_right()
        assert mirror.served_bytes > rig.hub.served_bytes


def test_a_mirror_never_gets_the_hubs_token(make_rig: MakeRig) -> None:
    options = {"tokens": {"secret-token": frozenset({REPOSITORY})}}
    with LoopbackHub({REPOSITORY: {PATH: DATA}}) as mirror:
        rig = make_rig(hub_options=options, mirrors=(mirror.endpoint,))
        rig.token = "secret-token"
        rig.fetch()
        assert all("authorization" not in e.request.headers for e in mirror.requests)


def test_a_damaged_chunk_is_fetched_from_the_other_mirror_first(make_rig: MakeRig) -> None:
    with LoopbackHub({REPOSITORY: {PATH: DATA}}) as mirror:
        rig = make_rig([f.FlippedBit(2 * CHUNK)])
        quick = replace(rig.options, connections=1, patience_seconds=20.0)
        rig.options = quick
        rig.mirrors = (mirror.endpoint,)
        mirror.faults = (f.first(40, f.status(503)),)
        rig.fetch()
        rig.assert_right()
        assert hashlib.sha256(rig.places.visible.read_bytes()).hexdigest() == SHA
