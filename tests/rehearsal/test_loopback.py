"""The loopback hub over real sockets, seen by plain clients."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import faults as f
from tests.support.content import GeneratedContent, as_content, pieces
from tests.support.exchange import Answer, Fault, Kind, Request, content_answer
from tests.support.loopback import Access, LoopbackHub
from tests.support.waiting import wait_until

StartHub = Callable[..., LoopbackHub]
REPO = "org/model"
FILE = "model-Q4_0.gguf"
DATA = random.Random(0).randbytes(300_000)
FILES = {FILE: DATA, "config.json": b"{}", "BF16/model-BF16-00001-of-00002.gguf": b"GGUF1"}


def resolve(
    hub: LoopbackHub, path: str = FILE, repo: str = REPO, **options: Any
) -> requests.Response:
    url = f"{hub.endpoint}/{repo}/resolve/main/{path}"
    return requests.head(url, allow_redirects=False, timeout=5, **options)


def fetch(
    hub: LoopbackHub, span: str | None = None, url: str | None = None, **headers: str
) -> requests.Response:
    url = url or resolve(hub).headers["Location"]
    if span:
        headers["Range"] = f"bytes={span}"
    return requests.get(url, headers=headers, timeout=5)


def answers(hub: LoopbackHub, url: str) -> bool:
    try:
        return fetch(hub, url=url).ok
    except requests.ConnectionError:
        return False


@pytest.fixture
def hub(start_hub: StartHub) -> LoopbackHub:
    return start_hub({REPO: FILES})


class TestResolve:
    def test_a_large_file_is_redirected_to_another_host_with_its_digest(
        self, hub: LoopbackHub
    ) -> None:
        answer = resolve(hub)
        assert answer.status_code == 302
        assert answer.headers["X-Linked-Size"] == str(len(DATA))
        assert answer.headers["X-Linked-Etag"] == f'"{hashlib.sha256(DATA).hexdigest()}"'
        assert answer.headers["X-Repo-Commit"] == hub.artifact(REPO, FILE).commit
        location = urlsplit(answer.headers["Location"])
        assert location.hostname == "localhost"
        assert location.port != urlsplit(hub.endpoint).port

    def test_a_small_file_is_served_directly_with_its_git_sha1(self, hub: LoopbackHub) -> None:
        answer = requests.get(f"{hub.endpoint}/{REPO}/resolve/main/config.json", timeout=5)
        expected = hashlib.sha1(b"blob 2\0{}", usedforsecurity=False).hexdigest()
        assert (answer.status_code, answer.content) == (200, b"{}")
        assert answer.headers["ETag"] == f'"{expected}"'

    @pytest.mark.parametrize(
        ("target", "status", "code"),
        [
            (f"/{REPO}/resolve/main/none.gguf", 404, "EntryNotFound"),
            (f"/{REPO}/resolve/nope/{FILE}", 404, "RevisionNotFound"),
            (f"/api/models/{REPO}/revision/nope", 404, "RevisionNotFound"),
            ("/org/none/resolve/main/a", 401, None),
            ("/api/models/org/none", 401, None),
        ],
    )
    def test_what_is_missing_is_named_by_the_code(
        self, hub: LoopbackHub, target: str, status: int, code: str | None
    ) -> None:
        answer = requests.get(hub.endpoint + target, timeout=5)
        assert (answer.status_code, answer.headers.get("X-Error-Code")) == (status, code)

    def test_an_older_commit_stays_readable_and_main_moves(self, hub: LoopbackHub) -> None:
        old = hub.artifact(REPO, FILE).commit
        new = hub.push(REPO, {FILE: b"GGUF new"})
        url = f"{hub.endpoint}/{REPO}/resolve/{old}/{FILE}"
        assert requests.get(url, timeout=5).content == DATA
        assert resolve(hub).headers["X-Repo-Commit"] == new
        assert fetch(hub).content == b"GGUF new"

    def test_an_altered_signature_and_an_expired_url_are_refused(self, start_hub: StartHub) -> None:
        hub = start_hub({REPO: FILES}, url_lifetime_seconds=0.3)
        url = resolve(hub).headers["Location"]
        assert fetch(hub, url=url).status_code == 200
        assert fetch(hub, url=url[:-1] + "x").status_code == 403
        wait_until(lambda: fetch(hub, url=url).status_code == 403, 2, "the URL expires")


class TestAccess:
    @pytest.fixture
    def closed(self, start_hub: StartHub) -> LoopbackHub:
        return start_hub(
            {"org/gated": FILES, "org/private": FILES},
            access={"org/gated": Access.GATED, "org/private": Access.PRIVATE},
            tokens={"hf_in": frozenset({"org/gated", "org/private"}), "hf_out": frozenset()},
        )

    @pytest.mark.parametrize(
        ("repo", "token", "status", "code"),
        [
            ("org/gated", None, 401, "GatedRepo"),
            ("org/gated", "hf_out", 403, "GatedRepo"),
            ("org/gated", "hf_in", 302, None),
            ("org/private", None, 401, None),
            ("org/private", "hf_out", 404, "RepoNotFound"),
            ("org/private", "hf_in", 302, None),
            ("org/private", "hf_wrong", 401, None),
        ],
    )
    def test_files_need_the_right_token(
        self, closed: LoopbackHub, repo: str, token: str | None, status: int, code: str | None
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = resolve(closed, repo=repo, headers=headers)
        assert (answer.status_code, answer.headers.get("X-Error-Code")) == (status, code)

    def test_a_gated_repository_shows_what_it_holds(self, closed: LoopbackHub) -> None:
        answer = requests.get(f"{closed.endpoint}/api/models/org/gated", timeout=5)
        assert answer.json()["gated"] == "manual"


class TestListing:
    def test_pages_lead_to_every_file_once(self, start_hub: StartHub) -> None:
        hub = start_hub({REPO: {f"{i:03}.gguf": b"%d" % i for i in range(23)}}, page_size=5)
        url: str | None = f"{hub.endpoint}/api/models/{REPO}/tree/main?recursive=true"
        paths: list[str] = []
        while url:
            answer = requests.get(url, timeout=5)
            paths += [entry["path"] for entry in answer.json()]
            url = answer.links.get("next", {}).get("url")
        assert paths == [f"{i:03}.gguf" for i in range(23)]

    def test_folders_are_entries_and_hold_their_files(self, hub: LoopbackHub) -> None:
        url = f"{hub.endpoint}/api/models/{REPO}/tree/main"
        top = {e["path"]: e["type"] for e in requests.get(url, timeout=5).json()}
        assert top == {"BF16": "directory", FILE: "file", "config.json": "file"}
        inside = requests.get(f"{url}/BF16", timeout=5).json()
        assert [e["path"] for e in inside] == ["BF16/model-BF16-00001-of-00002.gguf"]
        assert inside[0]["lfs"]["oid"] == hashlib.sha256(b"GGUF1").hexdigest()


class TestRanges:
    @given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 300))
    @settings(deadline=None)
    def test_a_range_is_cut_to_the_content_or_refused(
        self, start: int, last: int, size: int
    ) -> None:
        content = as_content(DATA[:size])
        headers = {"range": f"bytes={start}-{last}"}
        answer = content_answer(Request("cdn", "GET", "/", headers), content, '"e"')
        if start > last or start >= size:
            assert answer.status == 416
            assert answer.headers["Content-Range"] == f"bytes */{size}"
            return
        body = b"".join(pieces(answer.content, answer.start, answer.stop))
        assert body == DATA[:size][start : last + 1]
        assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(body) - 1}/{size}"

    @pytest.mark.parametrize(("span", "expected"), [("10-19", DATA[10:20]), ("-7", DATA[-7:])])
    def test_a_part_comes_as_206(self, hub: LoopbackHub, span: str, expected: bytes) -> None:
        answer = fetch(hub, span)
        assert (answer.status_code, answer.content) == (206, expected)

    def test_if_range_with_another_tag_gets_everything(self, hub: LoopbackHub) -> None:
        etag = fetch(hub, "0-0").headers["ETag"]
        assert fetch(hub, "0-9", **{"If-Range": etag}).status_code == 206
        answer = fetch(hub, "0-9", **{"If-Range": '"other"'})
        assert (answer.status_code, answer.content) == (200, DATA)

    def test_the_cdn_s_tag_is_not_the_digest(self, hub: LoopbackHub) -> None:
        assert hub.artifact(REPO, FILE).sha256 not in fetch(hub, "0-0").headers["ETag"]

    def test_one_connection_carries_many_requests(self, hub: LoopbackHub) -> None:
        url = urlsplit(resolve(hub).headers["Location"])
        connection = http.client.HTTPConnection("localhost", url.port, timeout=5)
        connection.connect()
        port = connection.sock.getsockname()[1]
        for start in range(0, 5000, 1000):
            span = {"Range": f"bytes={start}-{start + 999}"}
            connection.request("GET", f"{url.path}?{url.query}", headers=span)
            assert connection.getresponse().read() == DATA[start : start + 1000]
            assert connection.sock.getsockname()[1] == port
        connection.close()

    def test_offsets_above_4_gib_need_no_disk(self, start_hub: StartHub) -> None:
        content = GeneratedContent(6 << 30)
        content.__dict__["sha256"] = "0" * 64  # reading six gigabytes is not the point here
        hub = start_hub({REPO: {FILE: content}})
        start = (5 << 30) + 12_345
        answer = fetch(hub, f"{start}-{start + (2 << 20)}")
        expected = b"".join(pieces(content, start, start + (2 << 20) + 1))
        assert answer.content == expected
        assert answer.headers["Content-Range"].endswith(f"/{6 << 30}")

    @given(st.integers(0, 3 << 20), st.integers(0, 3 << 20))
    @settings(deadline=None, max_examples=30)
    def test_generated_content_is_the_same_from_wherever_it_is_read(
        self, start: int, stop: int
    ) -> None:
        content = GeneratedContent(3 << 20, seed=7)
        whole = b"".join(pieces(content, 0, 3 << 20))
        assert b"".join(pieces(content, start, stop)) == whole[start:stop]
        assert hashlib.sha256(whole).hexdigest() == content.sha256

    def test_a_file_on_disk_is_served(self, start_hub: StartHub, tmp_path: Path) -> None:
        path = tmp_path / "source.gguf"
        path.write_bytes(DATA)
        empty = tmp_path / "empty.gguf"
        empty.touch()
        hub = start_hub({REPO: {FILE: path, "empty.gguf": empty}})
        assert fetch(hub).content == DATA
        assert fetch(hub, url=resolve(hub, "empty.gguf").headers["Location"]).content == b""


class TestFaults:
    def broken(self, start_hub: StartHub, *faults: Fault) -> LoopbackHub:
        return start_hub({REPO: FILES}, faults=faults)

    def raw(self, hub: LoopbackHub) -> tuple[bytes, Exception | None]:
        """Fetch without any cleverness: the bytes that arrived, and how it ended."""
        url = urlsplit(resolve(hub).headers["Location"])
        with socket.create_connection(("localhost", url.port), timeout=5) as connection:
            target = f"{url.path}?{url.query}"
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            received = b""
            try:
                while piece := connection.recv(65536):
                    received += piece
                    if received.endswith(DATA):
                        break
            except OSError as error:
                return received.partition(b"\r\n\r\n")[2], error
        return received.partition(b"\r\n\r\n")[2], None

    def test_a_reset_comes_after_exactly_so_many_bytes(self, start_hub: StartHub) -> None:
        hub = self.broken(start_hub, f.always(f.reset_after(100_000)))
        body, error = self.raw(hub)
        assert body == DATA[:100_000]
        assert isinstance(error, ConnectionResetError)
        assert hub.served_bytes == 100_000
        assert hub.seen(Kind.CONTENT)[0].fault == "connection reset"

    def test_an_early_close_is_clean(self, start_hub: StartHub) -> None:
        hub = self.broken(start_hub, f.always(f.close_early(100_000)))
        assert self.raw(hub) == (DATA[:100_000], None)

    def test_a_short_body_is_cut_too(self, start_hub: StartHub) -> None:
        hub = self.broken(start_hub, f.always(f.close_early(1 << 30)))
        assert self.raw(hub) == (DATA[: len(DATA) // 2], None)

    def test_a_stall_ends_after_its_time(self, start_hub: StartHub) -> None:
        hub = self.broken(start_hub, f.nth(1, f.stall_in_body(1000, 0.3)))
        started = time.monotonic()
        assert fetch(hub).content == DATA
        assert time.monotonic() - started >= 0.3

    def test_closing_the_hub_ends_a_stall(self, start_hub: StartHub) -> None:
        hub = self.broken(start_hub, f.always(f.stall_before_headers(3600)))
        client = threading.Thread(target=self.raw, args=(hub,), daemon=True)
        client.start()
        wait_until(lambda: hub.seen(Kind.CONTENT), what="the request has come")
        started = time.monotonic()
        hub.close()
        client.join(2)
        assert not client.is_alive()
        assert time.monotonic() - started < 2

    def test_a_trickle_keeps_its_pace(self, start_hub: StartHub) -> None:
        hub = self.broken(start_hub, f.always(f.trickle(600_000)))
        started = time.monotonic()
        assert fetch(hub).content == DATA
        assert 0.4 < time.monotonic() - started < 3

    @pytest.mark.parametrize(
        ("fault", "status", "header", "value"),
        [
            (f.status(503), 503, "Content-Length", "0"),
            (f.too_many_requests(2), 429, "Retry-After", "2"),
            (f.too_many_requests(2, style="ratelimit"), 429, "RateLimit", '"resolvers";r=0;t=2'),
            (f.too_many_requests(2, style="nothing"), 429, "Retry-After", None),
            (f.wrong_total(9), 206, "Content-Range", "bytes 10-19/9"),
            (f.encoded(), 206, "Content-Encoding", "gzip"),
            (f.expired(), 403, "Content-Type", "application/xml"),
            (f.redirected_to("http://x.test/"), 302, "Location", "http://x.test/"),
            (f.html_page(), 200, "Content-Type", "text/html; charset=utf-8"),
            (f.range_moved(5), 206, "Content-Range", f"bytes 15-24/{len(DATA)}"),
            (f.range_ignored(), 200, "Content-Length", str(len(DATA))),
            (f.with_header("ETag", None), 206, "ETag", None),
        ],
    )
    def test_the_head_says_what_was_planned(
        self, start_hub: StartHub, fault: Fault, status: int, header: str, value: str | None
    ) -> None:
        hub = self.broken(start_hub, f.always(fault))
        location = resolve(hub).headers["Location"]
        answer = requests.get(
            location,
            headers={"Range": "bytes=10-19"},
            stream=True,
            allow_redirects=False,
            timeout=5,
        )
        assert (answer.status_code, answer.headers.get(header)) == (status, value)

    def test_a_moved_range_brings_the_bytes_from_there(self, start_hub: StartHub) -> None:
        hub = self.broken(start_hub, f.always(f.range_moved(5)))
        assert fetch(hub, "10-19").content == DATA[15:25]

    def test_without_a_length_the_end_of_the_connection_counts(self, start_hub: StartHub) -> None:
        hub = self.broken(start_hub, f.always(f.no_length()))
        answer = fetch(hub)
        assert "Content-Length" not in answer.headers
        assert answer.content == DATA

    def test_a_bit_flips_once_and_only_where_it_lies(self, start_hub: StartHub) -> None:
        hub = self.broken(start_hub, f.FlippedBit(1000, times=1))
        assert fetch(hub, "0-999").content == DATA[:1000]
        assert fetch(hub, "500-1500").content != DATA[500:1501]
        assert fetch(hub, "500-1500").content == DATA[500:1501]

    def test_a_bit_flips_always(self, start_hub: StartHub) -> None:
        hub = self.broken(start_hub, f.FlippedBit(0))
        wrong = bytes([DATA[0] ^ 1]) + DATA[1:]
        assert [fetch(hub).content for _ in range(3)] == [wrong] * 3

    def test_another_file_takes_over_at_a_request(self, start_hub: StartHub) -> None:
        hub = self.broken(start_hub, f.from_nth(2, f.other_content(as_content(b"other"))))
        before, after = fetch(hub), fetch(hub)
        assert (before.content, after.content) == (DATA, b"other")
        assert before.headers["ETag"] != after.headers["ETag"]

    def test_a_url_wears_out_and_a_new_one_works(self, start_hub: StartHub) -> None:
        hub = self.broken(start_hub, f.UrlsWearOut(2))
        url = resolve(hub).headers["Location"]
        assert [fetch(hub, "0-0", url=url).status_code for _ in range(4)] == [206, 206, 403, 403]
        assert fetch(hub, "0-0").status_code == 206

    def test_a_wrong_digest_stands_in_the_metadata(self, start_hub: StartHub) -> None:
        wrong = f.always(f.with_header("X-Linked-Etag", '"00"'), f.resolve_requests)
        assert resolve(self.broken(start_hub, wrong)).headers["X-Linked-Etag"] == '"00"'

    def test_connections_are_refused_for_a_while(self, start_hub: StartHub) -> None:
        hub = self.broken(start_hub)
        url = resolve(hub).headers["Location"]
        hub.refuse(0.4)
        with pytest.raises(requests.ConnectionError):
            fetch(hub, url=url)
        with pytest.raises(requests.ConnectionError):
            resolve(hub)
        wait_until(lambda: answers(hub, url), 2, "connections are taken again")
        assert fetch(hub, url=url).content == DATA

    def test_a_request_can_make_its_server_refuse(self, start_hub: StartHub) -> None:
        hub = self.broken(start_hub, f.nth(1, f.refused(0.2)))
        url = resolve(hub).headers["Location"]
        with pytest.raises(requests.ConnectionError):
            fetch(hub, url=url)
        wait_until(lambda: answers(hub, url), 2, "connections are taken again")
        assert fetch(hub, url=url).content == DATA

    @given(st.integers(1, 6), st.integers(0, 8))
    @settings(deadline=None)
    def test_selectors_count_matching_requests_only(self, number: int, others: int) -> None:
        request = Request("cdn", "GET", "/", {}, Kind.CONTENT, REPO, FILE)
        other = Request("hub", "HEAD", "/", {}, Kind.RESOLVE, REPO, FILE)
        met = {
            name: make(number, f.status(500))
            for name, make in (("nth", f.nth), ("first", f.first), ("from", f.from_nth))
        }
        sequence = [other] * others + [request] * 6
        hit = {
            name: [i for i, r in enumerate(sequence) if fault(r, Answer(200)).status == 500]
            for name, fault in met.items()
        }
        numbers = range(others, others + 6)
        assert hit["nth"] == [others + number - 1]
        assert hit["first"] == list(numbers[:number])
        assert hit["from"] == list(numbers[number - 1 :])

    def test_probability_is_repeatable_by_its_seed(self) -> None:
        request = Request("cdn", "GET", "/", {}, Kind.CONTENT)

        def run(seed: int) -> list[int]:
            fault = f.sometimes(0.3, seed=seed, fault=f.status(500))
            return [fault(request, Answer(200)).status for _ in range(200)]

        assert run(1) == run(1) != run(2)
        assert 30 < run(1).count(500) < 90

    @given(st.lists(st.sampled_from(range(6)), max_size=4), st.integers(0, 9999))
    @settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
    def test_faults_combine(self, chosen: list[int], offset: int) -> None:
        makers: list[Fault] = [
            f.trickle(1e9), f.no_length(), f.FlippedBit(offset), f.stall_in_body(10, 0.01),
            f.with_header("ETag", None), f.stall_before_headers(0.01),
        ]  # fmt: skip
        with LoopbackHub({REPO: FILES}, faults=[f.always(makers[i]) for i in chosen]) as hub:
            content = fetch(hub).content
        flips = chosen.count(2) > 0
        assert content[:offset] + content[offset + 1 :] == DATA[:offset] + DATA[offset + 1 :]
        assert (content[offset] != DATA[offset]) == flips


@pytest.mark.parametrize("connections", [1, 4])
def test_the_bad_line_plays_all_its_mishaps_whatever_the_connections(
    start_hub: StartHub, connections: int
) -> None:
    hub = start_hub({REPO: FILES}, faults=[f.BadLine(1000, stall_seconds=0.2)])

    def insist() -> None:
        for _ in range(10):
            try:
                if fetch(hub).content == DATA:
                    return
            except requests.RequestException:
                continue
        pytest.fail("never came")

    threads = [threading.Thread(target=insist) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    played = sorted(e.fault for e in hub.seen(Kind.CONTENT) if e.fault)
    assert played == ["connection reset", "connection reset", "stall", "status 503"]


class TestRealClient:
    @pytest.fixture
    def hf(self) -> str:
        found = shutil.which("hf", path=str(Path(sys.executable).parent))
        if found is None:
            pytest.skip("the hf command is not installed")
        return found

    def test_hf_downloads_a_whole_repository(
        self, hf: str, start_hub: StartHub, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub = start_hub({REPO: FILES}, page_size=2)
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        subprocess.run([hf, "download", REPO], check=True, capture_output=True, timeout=60)
        commit = hub.artifact(REPO, FILE).commit
        cache = home / ".cache/huggingface/hub/models--org--model"
        snapshot = cache / "snapshots" / commit
        assert {
            str(p.relative_to(snapshot)): p.read_bytes() for p in snapshot.rglob("*.*")
        } == FILES
        assert (cache / "refs/main").read_text() == commit

    def test_the_token_goes_to_the_hub_only(
        self, hf: str, start_hub: StartHub, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub = start_hub(
            {"org/gated": FILES},
            access={"org/gated": Access.GATED},
            tokens={"hf_in": frozenset({"org/gated"})},
        )
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_TOKEN", "hf_in")
        command = [hf, "download", "org/gated", FILE]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        carried = {e.request.host: "authorization" in e.request.headers for e in hub.requests[1:]}
        assert carried == {"hub": True, "cdn": False}


def test_errors_are_json_with_the_message_in_a_header(hub: LoopbackHub) -> None:
    answer = requests.get(f"{hub.endpoint}/{REPO}/resolve/main/none", timeout=5)
    assert json.loads(answer.text)["error"] == answer.headers["X-Error-Message"]


def test_it_serves_https_where_a_certificate_is_given(
    start_hub: StartHub, tls: ssl.SSLContext, certificate: Path
) -> None:
    hub = start_hub({REPO: FILES}, tls=tls, faults=[f.nth(2, f.reset_after(1000))])
    url = resolve(hub, verify=str(certificate)).headers["Location"]
    assert url.startswith("https://localhost:")
    assert requests.get(url, verify=str(certificate), timeout=5).content == DATA
    with pytest.raises(requests.RequestException):
        requests.get(url, verify=str(certificate), timeout=5)
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(url, timeout=5)
