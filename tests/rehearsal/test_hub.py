"""The rehearsal's own hub: what a client meets on its line."""

from __future__ import annotations

import http.client
import random
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from setup_manager.rehearsal.hub import MISHAPS, RehearsalHub
from tests.support.waiting import wait_until

CONTENT = random.Random(1).randbytes(300_000)
SPAN = "bytes=1000-201000"


@pytest.fixture
def hub() -> Iterator[RehearsalHub]:
    with RehearsalHub("org/model", "model.gguf", CONTENT) as hub:
        yield hub


def get(
    url: str, method: str = "GET", *, timeout: float = 30.0, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request(method, parts.path, headers=headers)
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, named, answer.read()
    finally:
        connection.close()


def past_the_mishaps(hub: RehearsalHub) -> None:
    while hub.next_mishap():
        continue


def test_a_file_is_resolved_to_another_host_with_its_digest(hub: RehearsalHub) -> None:
    status, headers, body = get(f"{hub.endpoint}/org/model/resolve/abc/model.gguf", "HEAD")
    assert (status, body) == (302, b"")
    assert headers["x-repo-commit"] == "abc"
    assert headers["x-linked-size"] == str(len(CONTENT))
    assert headers["x-linked-etag"] == f'"{hub.digest}"'
    assert urlsplit(headers["location"]).hostname != urlsplit(hub.endpoint).hostname


def test_what_it_does_not_have_is_404(hub: RehearsalHub) -> None:
    assert get(f"{hub.endpoint}/org/model/resolve/abc/other.gguf")[0] == 404


def test_a_span_comes_as_asked_for_once_the_mishaps_are_over(hub: RehearsalHub) -> None:
    past_the_mishaps(hub)
    status, headers, body = get(hub.content_url, Range=SPAN)
    assert status == 206
    assert headers["content-range"] == f"bytes 1000-201000/{len(CONTENT)}"
    assert body == CONTENT[1000:201001]
    wait_until(lambda: hub.served_bytes == len(body), what="the hub counts what it sent")


def test_the_line_resets_twice_is_overloaded_once_and_falls_silent_once(
    hub: RehearsalHub,
) -> None:
    broken = (ConnectionError, http.client.IncompleteRead)
    with pytest.raises(broken):
        get(hub.content_url, Range=SPAN)
    assert get(hub.content_url, Range=SPAN)[0] == 503
    with pytest.raises(broken):
        get(hub.content_url, Range=SPAN)
    with pytest.raises(TimeoutError):
        get(hub.content_url, timeout=0.5, Range=SPAN)
    assert get(hub.content_url, Range=SPAN)[2] == CONTENT[1000:201001]
    assert tuple(hub.mishaps) == MISHAPS


def test_it_ends_at_once_even_while_it_is_silent() -> None:
    with RehearsalHub("org/model", "model.gguf", CONTENT) as hub:
        for _ in MISHAPS[:-1]:
            hub.next_mishap()
        with pytest.raises(TimeoutError):
            get(hub.content_url, timeout=0.5, Range=SPAN)
    with pytest.raises(ConnectionError):
        get(hub.endpoint)
