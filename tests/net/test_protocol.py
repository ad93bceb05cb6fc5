"""The protocol tables, row by row, and how addresses are shown and dialled."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.catalog.artifact import Artifact
from setup_manager.net.dialing import interleaved
from setup_manager.net.faults import Action, Fault, Verdict, shown
from setup_manager.net.protocol import (
    Accepted,
    Located,
    Moved,
    Range,
    judge_answer,
    judge_content,
    judge_resolve,
    resolve_url,
    retry_after,
    strong_etag,
)

SIZE = 1000
ARTIFACT = Artifact("org/model", "sub dir/w.gguf", "c" * 40, SIZE, "a" * 64)


def content(
    status: int, headers: dict[str, str], *, whole: bool = False, from_hub: bool = False
) -> Verdict | Accepted:
    asked = Range(100, 200, SIZE, '"tag"', whole=whole)
    return judge_content(status, headers, asked, from_hub=from_hub, authorized=from_hub, now=0.0)


ACCEPT = None
GOOD = {"content-range": "bytes 100-199/1000", "content-length": "100", "etag": '"tag"'}


@pytest.mark.parametrize(
    ("status", "headers", "action"),
    [
        (206, GOOD, ACCEPT),
        (206, GOOD | {"content-range": "bytes 100-199/*"}, ACCEPT),
        (206, GOOD | {"content-range": "bytes 100-150/1000"}, ACCEPT),
        (206, GOOD | {"content-range": "bytes 0-199/1000"}, Action.RESOLVE),
        (206, GOOD | {"content-range": "bytes 100-199/1001"}, Action.RESOLVE),
        (206, GOOD | {"content-range": "items 1-2/3"}, Action.AGAIN),
        (206, GOOD | {"etag": '"other"'}, Action.RESOLVE),
        (206, GOOD | {"etag": 'W/"other"'}, ACCEPT),
        (206, GOOD | {"content-encoding": "gzip"}, Action.RESOLVE),
        (206, GOOD | {"content-encoding": "identity"}, ACCEPT),
        (206, {}, Action.AGAIN),
        (200, {"content-length": "1000", "etag": '"tag"'}, ACCEPT),
        (200, {}, ACCEPT),
        (200, {"content-length": "1000", "etag": '"other"'}, Action.RESOLVE),
        (200, {"content-length": "999"}, Action.RESOLVE),
        (200, {"content-length": "999", "content-type": "text/html; charset=x"}, Action.RESOLVE),
        (304, {}, Action.DROP),
        (302, {"location": "/x"}, Action.RESOLVE),
        (400, {}, Action.DROP),
        (401, {}, Action.RESOLVE),
        (403, {}, Action.RESOLVE),
        (404, {}, Action.RESOLVE),
        (407, {}, Action.DROP),
        (408, {}, Action.RETRY),
        (416, {}, Action.RESOLVE),
        (429, {}, Action.WAIT),
        (500, {}, Action.RETRY),
        (503, {}, Action.RETRY),
        (503, {"retry-after": "3"}, Action.WAIT),
        (511, {}, Action.DROP),
    ],
)
def test_what_an_answer_with_content_means(
    status: int, headers: dict[str, str], action: Action | None
) -> None:
    judged = content(status, headers)
    assert (judged.action if isinstance(judged, Verdict) else ACCEPT) is action


def test_a_200_says_how_much_comes_before_the_range() -> None:
    assert content(200, {}) == Accepted(skip_bytes=100, ranges=False)
    assert content(206, GOOD) == Accepted()


def test_a_server_that_does_not_say_which_part_is_asked_for_the_whole_once() -> None:
    judged = content(206, {}, whole=True)
    assert isinstance(judged, Verdict)
    assert (judged.action, judged.fault) == (Action.DROP, Fault.SERVER)
    assert Range(5, 10, 20, whole=True).headers == {}


def test_a_refusal_of_the_hub_itself_means_what_it_says() -> None:
    judged = content(401, {}, from_hub=True)
    assert isinstance(judged, Verdict)
    assert (judged.action, judged.fault) == (Action.DROP, Fault.TOKEN)


def resolve(status: int, headers: dict[str, str], *, authorized: bool = False) -> object:
    url = resolve_url("https://hub.example", ARTIFACT)
    return judge_resolve(
        status,
        headers,
        url=url,
        endpoint="https://hub.example",
        artifact=ARTIFACT,
        authorized=authorized,
        now=0.0,
    )


LINKED = {
    "location": "https://cdn.example/x?Signature=s",
    "x-linked-etag": f'"{"a" * 64}"',
    "x-linked-size": "1000",
    "x-repo-commit": "c" * 40,
}


def test_a_redirect_with_the_right_identity_is_followed_without_the_token() -> None:
    assert resolve(302, LINKED) == Located("https://cdn.example/x?Signature=s", same_origin=False)
    assert resolve(302, LINKED | {"x-linked-etag": f'W/"{"A" * 64}"'}) == resolve(302, LINKED)
    assert resolve(302, LINKED | {"x-linked-etag": '"a git digest"'}) == resolve(302, LINKED)


@pytest.mark.parametrize(
    ("status", "headers", "fault"),
    [
        (302, LINKED | {"x-linked-etag": f'"{"b" * 64}"'}, Fault.IDENTITY),
        (302, LINKED | {"x-linked-size": "1"}, Fault.IDENTITY),
        (302, LINKED | {"x-repo-commit": "d" * 40}, Fault.IDENTITY),
        (302, LINKED | {"location": "http://cdn.example/x"}, Fault.INSECURE),
        (302, LINKED | {"location": "file:///etc/passwd"}, Fault.INSECURE),
        (200, {"content-length": "17", "content-type": "text/html"}, Fault.PORTAL),
        (401, {}, Fault.REPOSITORY),
        (401, {"x-error-code": "GatedRepo"}, Fault.GATED),
        (403, {"x-error-code": "GatedRepo"}, Fault.GATED),
        (403, {}, Fault.ACCESS),
        (404, {"x-error-code": "RepoNotFound"}, Fault.REPOSITORY),
        (404, {"x-error-code": "EntryNotFound"}, Fault.MISSING),
        (404, {"x-error-code": "RevisionNotFound"}, Fault.REVISION),
        (404, {}, Fault.MISSING),
        (418, {}, Fault.SERVER),
    ],
)
def test_what_ends_an_origin(status: int, headers: dict[str, str], fault: Fault) -> None:
    verdict = resolve(status, headers)
    assert isinstance(verdict, Verdict)
    assert (verdict.action, verdict.fault) == (Action.DROP, fault)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, 60.0),
        ({"retry-after": "Thu, 01 Jan 1960 00:01:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"ratelimit": '"resolvers";r=0;t=55'}, 55.0),
        ({"ratelimit": '"fixed window";"resolvers";r=0'}, None),
        ({"ratelimit": '"api"; r=0; t=55'}, 55.0),
        ({"ratelimit": "t=x"}, None),
        ({"retry-after": "3", "ratelimit": '"a";t=9'}, 9.0),
        ({"retry-after": "5", "ratelimit": '"api";r=0;t=55'}, 55.0),
        ({"retry-after": "70", "ratelimit": '"api";r=0;t=9'}, 70.0),
        ({"retry-after": "5", "ratelimit": '"api";r=400;t=200'}, 5.0),
        ({"ratelimit": '"api";r=0;t=9, "resolvers";r=1;t=200'}, 9.0),
        ({"ratelimit": '"api";r=400;t=200'}, None),
        ({}, None),
    ],
)
def test_how_long_a_server_wants_us_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=0.0) == seconds


@given(st.integers(100, 599), st.dictionaries(st.sampled_from(sorted({*GOOD, *LINKED})), st.text()))
@settings(deadline=None)
def test_no_answer_breaks_the_tables(status: int, headers: dict[str, str]) -> None:
    assert isinstance(content(status, headers), Verdict) or status in {200, 206}
    assert isinstance(resolve(status, headers), Verdict | Located | Moved)
    assert ask(status, headers) is not None or status == 200


def ask(status: int, headers: dict[str, str], *, authorized: bool = False) -> object:
    url = "https://hub.example/api/models/org/model/revision/main?blobs=true"
    return judge_answer(status, headers, url=url, authorized=authorized, now=0.0)


@pytest.mark.parametrize(
    ("status", "headers", "authorized", "action", "fault"),
    [
        (401, {}, False, Action.DROP, Fault.REPOSITORY),
        (401, {}, True, Action.DROP, Fault.TOKEN),
        (401, {"x-error-code": "GatedRepo"}, True, Action.DROP, Fault.GATED),
        (404, {}, True, Action.DROP, Fault.REPOSITORY),
        (404, {"x-error-code": "RevisionNotFound"}, False, Action.DROP, Fault.REVISION),
        (403, {}, False, Action.DROP, Fault.ACCESS),
        (451, {}, False, Action.DROP, Fault.ACCESS),
        (429, {}, False, Action.WAIT, Fault.QUOTA),
        (500, {}, False, Action.RETRY, Fault.SERVER),
        (407, {}, False, Action.DROP, Fault.PROXY),
        (511, {}, False, Action.DROP, Fault.PORTAL),
        (200, {"content-type": "text/html"}, False, Action.DROP, Fault.PORTAL),
        (302, {"location": "http://hub.example/x"}, True, Action.DROP, Fault.INSECURE),
        (302, {}, False, Action.DROP, Fault.INSECURE),
        (418, {}, False, Action.DROP, Fault.SERVER),
    ],
)
def test_what_an_answer_about_a_repository_means(
    status: int, headers: dict[str, str], authorized: bool, action: Action, fault: Fault
) -> None:
    judged = ask(status, headers, authorized=authorized)
    assert isinstance(judged, Verdict)
    assert (judged.action, judged.fault) == (action, fault)


def test_a_question_follows_the_hub_to_the_right_name() -> None:
    moved = ask(307, {"location": "/api/models/Org/Model/revision/main"})
    assert moved == Moved("https://hub.example/api/models/Org/Model/revision/main")
    assert ask(200, {"content-type": "application/json"}) is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://user:secret@host:3128/", "http://host:3128/"),
        ("http://user:se@cret@host", "http://host"),
        ("http://user:se/cret@host:1", "http://host:1"),
        ("http://user:1/se?cret@host:1", "http://host:1"),
        ("http://user:secret@host:99999", "http://host:99999"),
        ("http://user:secret@[::1]:80/x", "http://[::1]:80/x"),
        ("user:secret@host:3128", "host:3128"),
        ("socks5h://u:secret@h:1", "socks5h://h:1"),
        ("ftp:/nowhere", "ftp:/nowhere"),
        ("nonsense", "nonsense"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, expected: str) -> None:
    assert shown(url) == expected


@given(st.text(), st.text(alphabet=st.characters(codec="ascii"), min_size=1))
def test_no_password_is_ever_shown(user: str, host: str) -> None:
    assert "s3cr3t" not in shown(f"http://{user}:s3cr3t@{host.replace('@', '')}")


def test_urls_are_shown_without_secrets_and_paths_are_quoted() -> None:
    assert shown("https://user:pw@h.x:8/p?Signature=s#f") == "https://h.x:8/p"
    assert resolve_url("https://h/", ARTIFACT).endswith(f"/resolve/{'c' * 40}/sub%20dir/w.gguf")
    assert strong_etag({"etag": 'W/"x"'}) is None
    assert Range(0, 10, 20, '"t"').headers == {"Range": "bytes=0-9", "If-Range": '"t"'}
    assert "If-Range" not in Range(0, 10, 20).headers


def test_address_families_take_turns() -> None:
    import socket

    six, four = socket.AF_INET6, socket.AF_INET
    addresses = [(six, ("a", 1)), (six, ("b", 1)), (four, ("c", 1))]
    found = interleaved(list(addresses))
    assert [name[0] for _, name in found] == ["a", "c", "b"]
    assert interleaved([]) == []
