"""Questions to a real (loopback) hub through the real huggingface_hub, and what goes wrong."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from huggingface_hub import set_client_factory
from huggingface_hub.utils._http import default_client_factory

from setup_manager.errors import AccessDeniedError, DownloadFailedError, SetupError, UsageError
from setup_manager.hub.failures import wait_seconds
from setup_manager.hub.metadata import HubMetadata, RemoteFile
from setup_manager.hub.reachability import probe_hub
from setup_manager.hub.token import find_token, is_offline
from setup_manager.rehearsal import faults as f
from setup_manager.rehearsal.exchange import Fault
from setup_manager.rehearsal.loopback import Access, LoopbackHub

StartHub = Callable[..., LoopbackHub]
REPO = "org/model"
FILES = {"a-Q4_0.gguf": b"GGUF", "README.md": b"hi"}


@pytest.fixture
def hub(start_hub: StartHub) -> LoopbackHub:
    return start_hub({REPO: FILES})


def ask(endpoint: str, repository: str = REPO, token: str | None = None, **options: object) -> str:
    pauses: list[float] = []
    metadata = HubMetadata(endpoint, token, sleep=pauses.append, **options)  # type: ignore[arg-type]
    return metadata.resolve_revision(repository)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class TestAnswers:
    def test_a_branch_is_resolved_to_its_commit(self, hub: LoopbackHub) -> None:
        first = ask(hub.endpoint)
        second = hub.push(REPO, FILES)
        assert ask(hub.endpoint + "/") == second != first
        assert HubMetadata(hub.endpoint).resolve_revision(REPO, first[:10]) == first

    def test_files_come_with_size_and_digest(self, hub: LoopbackHub) -> None:
        commit = ask(hub.endpoint)
        readme, weights = HubMetadata(hub.endpoint).list_files(REPO, commit)
        artifact = hub.artifact(REPO, "a-Q4_0.gguf")
        assert (weights.path, weights.size_bytes, weights.sha256) == (
            artifact.path, artifact.size_bytes, artifact.sha256
        )  # fmt: skip
        sha1 = "32f95c0d1244a78b2be1bab8de17906fabb2c4a8"  # git hash-object of "hi"
        assert readme == RemoteFile("README.md", 2, None, sha1)

    def test_a_transient_failure_is_asked_again(self, start_hub: StartHub) -> None:
        hub = start_hub({REPO: FILES}, faults=[f.first(2, f.status(503), f.api_requests)])
        assert ask(hub.endpoint) == hub.artifact(REPO, "a-Q4_0.gguf").commit
        assert [e.status for e in hub.requests] == [503, 503, 200]

    def test_the_token_is_sent_when_given_and_never_looked_for(
        self, start_hub: StartHub, home: Path
    ) -> None:
        token_file = home / ".cache/huggingface/token"
        token_file.parent.mkdir(parents=True)
        token_file.write_text("hf_stray")
        hub = start_hub(
            {REPO: FILES}, access={REPO: Access.PRIVATE}, tokens={"hf_in": frozenset({REPO})}
        )
        ask(hub.endpoint, token="hf_in")
        with pytest.raises(AccessDeniedError):
            ask(hub.endpoint)
        sent = [e.request.headers.get("authorization") for e in hub.requests]
        assert sent == ["Bearer hf_in", None]

    def test_the_token_is_in_no_text_form(self) -> None:
        assert "hf_secret" not in repr(HubMetadata("https://x.test", "hf_secret"))


class TestRefusals:
    @pytest.fixture
    def closed(self, start_hub: StartHub) -> LoopbackHub:
        return start_hub(
            {"org/gated": FILES, "org/private": FILES, REPO: FILES},
            access={"org/gated": Access.GATED, "org/private": Access.PRIVATE},
            tokens={"hf_out": frozenset()},
        )

    @pytest.mark.parametrize(
        ("repo", "token", "code", "hint"),
        [
            ("org/private", None, "no-repository", "Check the spelling"),
            ("org/private", "hf_out", "no-repository", "Check the spelling"),
            ("org/modell", None, "no-repository", "Did you mean org/model?"),
            (REPO, "hf_wrong", "bad-token", "/settings/tokens"),
        ],
    )
    def test_what_cannot_be_had_is_access_denied(
        self, closed: LoopbackHub, repo: str, token: str | None, code: str, hint: str
    ) -> None:
        with pytest.raises(AccessDeniedError) as caught:
            ask(closed.endpoint, repo, token, known_repositories=(REPO,))
        assert caught.value.code == code
        assert hint in caught.value.hint
        assert token is None or token not in str(caught.value.context) + caught.value.hint

    @pytest.mark.parametrize("token", [None, "hf_out"])
    def test_a_gated_repository_names_the_page(
        self, start_hub: StartHub, token: str | None
    ) -> None:
        gate = f.status(403 if token else 401, {"X-Error-Code": "GatedRepo"})
        hub = start_hub({REPO: FILES}, faults=[f.always(gate, f.api_requests)])
        with pytest.raises(AccessDeniedError, match="gated") as caught:
            ask(hub.endpoint, token=token)
        assert f"{hub.endpoint}/{REPO}" in caught.value.hint
        assert ("HF_TOKEN" in caught.value.hint) == (token is None)

    def test_a_missing_revision_names_those_that_exist(self, hub: LoopbackHub) -> None:
        with pytest.raises(AccessDeniedError) as caught:
            HubMetadata(hub.endpoint).resolve_revision(REPO, "v1")
        assert caught.value.code == "no-revision"
        assert list(caught.value.context) == ["it has: main"]

    @pytest.mark.parametrize("name", ["a b/c", "org/x--y", "a/b/c", "/x"])
    def test_an_impossible_name_is_a_usage_error(self, hub: LoopbackHub, name: str) -> None:
        with pytest.raises(UsageError, match="cannot be a repository"):
            ask(hub.endpoint, name)
        assert hub.requests == []

    @pytest.mark.parametrize("endpoint", ["hub.test", "ftp://x", "http://", "http://[x", ""])
    def test_an_impossible_endpoint_is_a_usage_error(self, endpoint: str) -> None:
        with pytest.raises(UsageError, match="not the address of a hub"):
            HubMetadata(endpoint)


class TestTrouble:
    @pytest.mark.parametrize(
        ("fault", "code", "hint"),
        [
            (f.too_many_requests(55, style="ratelimit"), "rate-limited", "Wait 55 s"),
            (f.too_many_requests(90), "rate-limited", "Wait 1 min 30 s"),
            (f.too_many_requests(9, style="nothing"), "rate-limited", "Wait five minutes"),
            (f.status(500), "hub-unavailable", "few minutes"),
            (f.status(403), "forbidden", "browser"),
            (f.html_page(), "not-a-hub", "browser"),
            (f.status(200, text="[]"), "not-a-hub", "HF_ENDPOINT"),
            (f.status(200, text='{"id": "org/model"}'), "not-a-hub", "HF_ENDPOINT"),
            (f.reset_after(10), "no-route", "network"),
            (f.close_early(10), "no-route", "network"),
        ],
    )
    def test_it_ends_in_one_clear_error(
        self, start_hub: StartHub, fault: Fault, code: str, hint: str
    ) -> None:
        hub = start_hub({REPO: FILES}, faults=[f.always(fault, f.api_requests)])
        with pytest.raises(SetupError) as caught:
            ask(hub.endpoint)
        assert caught.value.code == code
        assert hint in caught.value.hint
        assert caught.value.exit_code == (14 if code == "forbidden" else 12)

    def test_no_route_is_a_failed_download_with_a_hint(self) -> None:
        with pytest.raises(DownloadFailedError, match="cannot be reached") as caught:
            ask(f"http://127.0.0.1:{closed_port()}")
        assert "HF_ENDPOINT" in caught.value.hint

    def test_silence_is_bounded(self, start_hub: StartHub) -> None:
        silent = f.always(f.stall_before_headers(60), f.api_requests)
        hub = start_hub({REPO: FILES}, faults=[silent])
        started = time.monotonic()
        with pytest.raises(DownloadFailedError, match="cannot be reached"):
            ask(hub.endpoint, timeout_seconds=0.5)
        assert time.monotonic() - started < 3

    def test_offline_opens_no_socket_and_imports_nothing(self) -> None:
        code = """
import sys, socket
def refuse(*_, **__): raise AssertionError("a socket")
socket.socket = refuse
from setup_manager.errors import DownloadFailedError
from setup_manager.hub.metadata import HubMetadata
from setup_manager.hub.reachability import probe_hub
try:
    HubMetadata("https://huggingface.co", offline=True).resolve_revision("org/x")
except DownloadFailedError as error:
    print(error.code)
print(probe_hub("https://huggingface.co", offline=True).reachable)
print(sorted({"huggingface_hub", "httpx", "httpx2"} & set(sys.modules)))
"""
        finished = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
        )
        assert finished.stdout.splitlines() == ["offline", "False", "[]"], finished.stderr


class TestCertificates:
    @pytest.fixture
    def secure(self, start_hub: StartHub, tls: ssl.SSLContext) -> Iterator[LoopbackHub]:
        yield start_hub({REPO: FILES}, tls=tls)
        set_client_factory(default_client_factory)

    def test_an_unknown_authority_is_named_as_the_reason(self, secure: LoopbackHub) -> None:
        with pytest.raises(DownloadFailedError, match="certificate is not trusted") as caught:
            ask(secure.endpoint)
        assert "SSL_CERT_FILE" in caught.value.hint
        assert "certificate is not trusted" in probe_hub(secure.endpoint).problem

    def test_a_company_s_authority_can_be_given(
        self, secure: LoopbackHub, certificate: Path
    ) -> None:
        commit = secure.artifact(REPO, "a-Q4_0.gguf").commit
        assert ask(secure.endpoint, ca_bundle=certificate) == commit
        assert probe_hub(secure.endpoint, ca_bundle=certificate).reachable


class TestReachability:
    def test_a_hub_that_answers_is_reachable_and_its_clock_is_compared(
        self, hub: LoopbackHub
    ) -> None:
        found = probe_hub(hub.endpoint, now=lambda: time.time() + 7200)
        assert found.reachable
        assert found.clock_skew_seconds == pytest.approx(7200, abs=2.5)

    def test_without_a_date_nothing_is_said_of_the_clock(self, start_hub: StartHub) -> None:
        nonsense = f.always(f.with_header("Date", "yesterday"), lambda _: True)
        found = probe_hub(start_hub({}, faults=[nonsense]).endpoint)
        assert (found.reachable, found.clock_skew_seconds) == (True, None)

    def test_a_login_page_of_the_network_is_told_apart(self, start_hub: StartHub) -> None:
        away = f.always(f.redirected_to("http://login.hotel.test/"), lambda _: True)
        found = probe_hub(start_hub({}, faults=[away]).endpoint)
        assert not found.reachable
        assert "login.hotel.test" in found.problem
        assert "browser" in found.hint

    def test_a_refusal_is_quick_and_silence_is_bounded(self, start_hub: StartHub) -> None:
        assert "refused" in probe_hub(f"http://127.0.0.1:{closed_port()}").problem
        hub = start_hub({}, faults=[f.always(f.stall_before_headers(60), lambda _: True)])
        started = time.monotonic()
        found = probe_hub(hub.endpoint, timeout_seconds=0.4)
        assert not found.reachable
        assert time.monotonic() - started < 2

    def test_a_broken_certificate_file_is_a_finding(self, tmp_path: Path) -> None:
        bundle = tmp_path / "ca.pem"
        bundle.write_text("no certificate")
        found = probe_hub("https://huggingface.co", ca_bundle=bundle)
        assert str(bundle) in found.problem


class TestEnvironment:
    def test_the_variable_beats_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("hf_file\n")
        assert find_token({"HF_TOKEN": " hf_env\n"}, tmp_path) == "hf_env"
        assert find_token({"HUGGING_FACE_HUB_TOKEN": "hf_old"}, tmp_path) == "hf_old"
        assert find_token({"HF_TOKEN": ""}, tmp_path) == "hf_file"

    def test_the_file_may_lie_elsewhere_or_nowhere(self, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.write_text("hf_other")
        assert find_token({"HF_TOKEN_PATH": str(other)}, tmp_path) == "hf_other"
        assert find_token({}, tmp_path / "missing") is None
        (tmp_path / "token").write_bytes(b"\xff\xfe")
        assert find_token({}, tmp_path) is None

    def test_implicit_tokens_can_be_forbidden(self, tmp_path: Path) -> None:
        environment = {"HF_TOKEN": "hf_env", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
        assert find_token(environment, tmp_path) is None

    @pytest.mark.parametrize("value", ["hf_ä", "hf_q q", "hf_\x00", "q\tq"])
    def test_what_cannot_be_a_token_is_refused_without_showing_it(
        self, tmp_path: Path, value: str
    ) -> None:
        with pytest.raises(AccessDeniedError) as caught:
            find_token({"HF_TOKEN": value}, tmp_path)
        assert value not in str(caught.value) + str(caught.value.context) + caught.value.hint

    @pytest.mark.parametrize(
        ("environment", "expected"),
        [({}, False), ({"HF_HUB_OFFLINE": "1"}, True), ({"HF_HUB_OFFLINE": "yes"}, True),
         ({"HF_HUB_OFFLINE": "0"}, False), ({"TRANSFORMERS_OFFLINE": "ON"}, True)],
    )  # fmt: skip
    def test_offline_mode_is_read_as_the_hub_client_reads_it(
        self, environment: dict[str, str], expected: bool
    ) -> None:
        assert is_offline(environment) is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ratelimit": '"api";r=0;t=55'}, 55), ({"ratelimit": '"api"; r=0; t=55'}, 55),
        ({"ratelimit": '"api";t=9', "retry-after": "70"}, 9), ({"retry-after": "70"}, 70),
        ({"retry-after": "Wed, 01 Jul 2026 00:01:00 GMT"}, 60),
        ({"retry-after": "Tue, 30 Jun 2026 00:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None), ({"ratelimit": "t=x"}, None), ({}, None),
    ],
)  # fmt: skip
def test_the_wait_is_read_from_every_kind_of_header(
    headers: dict[str, str], expected: float | None
) -> None:
    assert wait_seconds(headers, datetime(2026, 7, 1, tzinfo=UTC)) == expected
