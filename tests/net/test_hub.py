"""Questions to a real (loopback) hub, and what goes wrong."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from setup_manager.download import Downloader, FileJob
from setup_manager.errors import AccessDeniedError, DownloadFailedError, SetupError, UsageError
from setup_manager.library.layout import PlainFolderLayout
from setup_manager.net.choosing import RemoteFile
from setup_manager.net.hub import Hub, Pulse
from setup_manager.net.options import NetworkOptions
from setup_manager.net.origin import HubAccess
from tests.support import faults as f
from tests.support.exchange import Fault
from tests.support.loopback import Access, LoopbackHub
from tests.support.waiting import let_pass

StartHub = Callable[..., LoopbackHub]
REPO = "org/model"
FILES = {"a-Q4_0.gguf": b"GGUF", "README.md": b"hi"}


@pytest.fixture
def hub(start_hub: StartHub) -> LoopbackHub:
    return start_hub({REPO: FILES})


def ask(endpoint: str, repository: str = REPO, token: str | None = None, **options: object) -> str:
    pauses: list[float] = []
    hub = Hub(HubAccess(endpoint, token), sleep=pauses.append, **options)  # type: ignore[arg-type]
    return hub.look_up(repository).commit


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class TestAnswers:
    def test_a_branch_is_resolved_to_its_commit(self, hub: LoopbackHub) -> None:
        first = ask(hub.endpoint)
        second = hub.push(REPO, FILES)
        assert ask(hub.endpoint + "/") == second != first
        assert Hub(HubAccess(hub.endpoint)).look_up(REPO, first[:10]).commit == first

    def test_files_come_with_size_and_digest(self, hub: LoopbackHub) -> None:
        readme, weights = Hub(HubAccess(hub.endpoint)).look_up(REPO, ask(hub.endpoint)).files
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
        assert "hf_secret" not in repr(Hub(HubAccess("https://u:hf_secret@x.test", "hf_secret")))


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
            Hub(HubAccess(hub.endpoint)).look_up(REPO, "v1")
        assert caught.value.code == "no-revision"
        assert caught.value.context[-1] == "it has: main"

    @pytest.mark.parametrize("name", ["a b/c", "org/x--y", "a/b/c", "/x"])
    def test_an_impossible_name_is_a_usage_error(self, hub: LoopbackHub, name: str) -> None:
        with pytest.raises(UsageError, match="cannot be a repository"):
            ask(hub.endpoint, name)
        assert hub.requests == []

    @pytest.mark.parametrize("endpoint", ["hub.test", "ftp://x", "http://", "http://[x", ""])
    def test_an_impossible_endpoint_is_a_usage_error(self, endpoint: str) -> None:
        with pytest.raises(UsageError, match="not the address of a hub"):
            ask(endpoint)


class TestTrouble:
    @pytest.mark.parametrize(
        ("fault", "code", "hint"),
        [
            (f.too_many_requests(55, style="ratelimit"), "rate-limited", "Wait 55 s"),
            (f.too_many_requests(90), "rate-limited", "Wait 1 min 30 s"),
            (f.too_many_requests(9, style="nothing"), "rate-limited", "Wait five minutes"),
            (f.status(500), "hub-unavailable", "few minutes"),
            (f.status(403), "forbidden", "browser"),
            (f.html_page(), "login-page", "browser"),
            (f.status(200, text="[]"), "not-a-hub", "HF_ENDPOINT"),
            (f.status(200, text='{"id": "org/model"}'), "not-a-hub", "HF_ENDPOINT"),
            (f.reset_after(10), "download-failed", "network"),
            (f.close_early(10), "download-failed", "network"),
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
            ask(hub.endpoint, seconds=0.5)
        assert time.monotonic() - started < 3

    def test_offline_opens_no_socket_and_imports_no_other_client(self) -> None:
        code = """
import sys, socket
def refuse(*_, **__): raise AssertionError("a socket")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from setup_manager.errors import DownloadFailedError
from setup_manager.net import Hub, HubAccess, NetworkOptions
hub = Hub(HubAccess(), NetworkOptions(offline=True))
for question in (lambda: hub.look_up("org/x"), hub.probe):
    try:
        question()
    except DownloadFailedError as error:
        assert error.code == "offline", error.code
    else:
        raise AssertionError("answered")
assert not {"huggingface_hub.hf_api", "huggingface_hub.utils._http"} & set(sys.modules)
"""
        child = subprocess.run([sys.executable, "-c", code], timeout=30, capture_output=True)
        assert (child.returncode, child.stderr) == (0, b"")


class TestCertificates:
    @pytest.fixture
    def secure(self, start_hub: StartHub, tls: ssl.SSLContext) -> LoopbackHub:
        return start_hub({REPO: FILES}, tls=tls)

    def test_an_unknown_authority_is_named_as_the_reason(self, secure: LoopbackHub) -> None:
        for question in (lambda: ask(secure.endpoint), lambda: probe(secure.endpoint)):
            with pytest.raises(DownloadFailedError, match="certificate is not trusted") as caught:
                question()
            assert "SSL_CERT_FILE" in caught.value.hint

    def test_a_company_s_authority_can_be_given(
        self, secure: LoopbackHub, certificate: Path
    ) -> None:
        network = NetworkOptions(ca_bundle=certificate)
        commit = secure.artifact(REPO, "a-Q4_0.gguf").commit
        assert ask(secure.endpoint, network=network) == commit
        assert probe(secure.endpoint, network).seconds > 0


def probe(endpoint: str, network: NetworkOptions | None = None, **options: Any) -> Pulse:
    return Hub(HubAccess(endpoint), network).probe(**options)


class TestReachability:
    def test_a_hub_that_answers_is_reachable_and_its_clock_is_compared(
        self, hub: LoopbackHub
    ) -> None:
        found = probe(hub.endpoint, now=lambda: time.time() + 7200)
        assert found.clock_skew_seconds == pytest.approx(7200, abs=2.5)
        (exchange,) = hub.requests
        assert "authorization" not in exchange.request.headers

    def test_without_a_date_nothing_is_said_of_the_clock(self, start_hub: StartHub) -> None:
        nonsense = f.always(f.with_header("Date", "yesterday"), lambda _: True)
        assert probe(start_hub({}, faults=[nonsense]).endpoint).clock_skew_seconds is None

    def test_a_login_page_of_the_network_is_told_apart(self, start_hub: StartHub) -> None:
        away = f.always(f.redirected_to("http://login.hotel.test/"), lambda _: True)
        with pytest.raises(DownloadFailedError) as caught:
            probe(start_hub({}, faults=[away]).endpoint)
        assert caught.value.code == "login-page"
        assert "login.hotel.test" in caught.value.context[0]
        assert "browser" in caught.value.hint

    def test_a_refusal_is_quick_and_silence_is_bounded(self, start_hub: StartHub) -> None:
        with pytest.raises(DownloadFailedError) as refusal:
            probe(f"http://127.0.0.1:{closed_port()}")
        assert "refused" in refusal.value.context[0]
        hub = start_hub({}, faults=[f.always(f.stall_before_headers(60), lambda _: True)])
        started = time.monotonic()
        with pytest.raises(DownloadFailedError, match="cannot be reached"):
            probe(hub.endpoint, seconds=0.4)
        assert time.monotonic() - started < 2

    def test_a_name_server_that_is_silent_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def silent(*_: object, **__: object) -> None:
            let_pass(3)
            raise socket.gaierror(socket.EAI_AGAIN, "too late")

        monkeypatch.setattr(socket, "getaddrinfo", silent)
        started = time.monotonic()
        with pytest.raises(DownloadFailedError, match="cannot be reached") as caught:
            ask("http://hub.test", seconds=0.2)
        assert "DNS" in caught.value.context[0]
        assert time.monotonic() - started < 2.5

    def test_a_broken_certificate_file_is_a_finding(self, tmp_path: Path) -> None:
        bundle = tmp_path / "ca.pem"
        bundle.write_text("no certificate")
        with pytest.raises(DownloadFailedError) as caught:
            probe("https://127.0.0.1:9", NetworkOptions(ca_bundle=bundle))
        assert caught.value.code in {"certificate", "no-route"}
        with pytest.raises(DownloadFailedError) as caught:
            ask("https://huggingface.co", network=NetworkOptions(ca_bundle=bundle))
        assert str(bundle) in caught.value.context[0]


def token_of(environment: Mapping[str, str], hub_home: Path) -> str | None:
    return HubAccess.from_environment(environment, hub_home).token


class TestEnvironment:
    def test_the_endpoint_and_what_decided_it(self, tmp_path: Path) -> None:
        read = HubAccess.from_environment
        assert read({}, tmp_path) == HubAccess("https://huggingface.co")
        given = read({"HF_ENDPOINT": " https://hub.test/ "}, tmp_path, ("https://mirror/",))
        assert (given.endpoint, given.variable) == ("https://hub.test", "HF_ENDPOINT")
        assert [origin.variable for origin in given.origins] == ["HF_ENDPOINT", "--mirror"]
        assert given.origins[1].endpoint == "https://mirror"

    def test_only_the_hub_gets_the_token(self, tmp_path: Path) -> None:
        access = HubAccess.from_environment({"HF_TOKEN": "hf_x"}, tmp_path, ("https://mirror",))
        hub, mirror = access.origins
        assert hub.token_for("https://huggingface.co/x") == {"Authorization": "Bearer hf_x"}
        for other in ("http://huggingface.co/x", "https://huggingface.co:8443/x", "https://cdn/x"):
            assert hub.token_for(other) == {}
        assert mirror.token_for("https://mirror/x") == {}

    def test_the_variable_beats_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("hf_file\n")
        assert token_of({"HF_TOKEN": " hf_env\n"}, tmp_path) == "hf_env"
        assert token_of({"HUGGING_FACE_HUB_TOKEN": "hf_old"}, tmp_path) == "hf_old"
        assert token_of({"HF_TOKEN": ""}, tmp_path) == "hf_file"

    def test_the_file_may_lie_elsewhere_or_nowhere(self, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.write_text("hf_other")
        assert token_of({"HF_TOKEN_PATH": str(other)}, tmp_path) == "hf_other"
        assert token_of({}, tmp_path / "missing") is None
        (tmp_path / "token").write_bytes(b"\xff\xfe")
        assert token_of({}, tmp_path) is None

    def test_implicit_tokens_can_be_forbidden(self, tmp_path: Path) -> None:
        environment = {"HF_TOKEN": "hf_env", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
        assert token_of(environment, tmp_path) is None

    @pytest.mark.parametrize("value", ["hf_ä", "hf_q q", "hf_\x00", "q\tq"])
    def test_what_cannot_be_a_token_is_refused_without_showing_it(
        self, tmp_path: Path, value: str
    ) -> None:
        with pytest.raises(AccessDeniedError) as caught:
            token_of({"HF_TOKEN": value}, tmp_path)
        assert value not in str(caught.value) + str(caught.value.context) + caught.value.hint

    @pytest.mark.parametrize(
        ("environment", "expected"),
        [({}, False), ({"HF_HUB_OFFLINE": "1"}, True), ({"HF_HUB_OFFLINE": "yes"}, True),
         ({"HF_HUB_OFFLINE": "0"}, False), ({"TRANSFORMERS_OFFLINE": "ON"}, True)],
    )  # fmt: skip
    def test_offline_mode_is_read_as_the_hub_client_reads_it(
        self, environment: dict[str, str], expected: bool
    ) -> None:
        assert NetworkOptions.from_environment(environment).offline is expected


class TestRequests:
    def test_a_look_up_is_one_request(self, hub: LoopbackHub) -> None:
        ask(hub.endpoint)
        assert asked_of(hub) == [f"GET /api/models/{REPO}/revision/main?blobs=true"]

    def test_a_wrong_revision_is_two(self, hub: LoopbackHub) -> None:
        with pytest.raises(AccessDeniedError):
            Hub(HubAccess(hub.endpoint)).look_up(REPO, "refs/pr/7")
        assert asked_of(hub) == [
            f"GET /api/models/{REPO}/revision/refs%2Fpr%2F7?blobs=true",
            f"GET /api/models/{REPO}/refs",
        ]

    def test_the_token_does_not_follow_a_redirect_to_another_host(
        self, start_hub: StartHub
    ) -> None:
        other = start_hub({REPO: FILES})
        target = f"{other.endpoint}/api/models/{REPO}/revision/main?blobs=true"
        hub = start_hub({}, faults=[f.always(f.redirected_to(target), f.api_requests)])
        assert ask(hub.endpoint, token="hf_in") == other.artifact(REPO, "a-Q4_0.gguf").commit
        assert hub.requests[0].request.headers["authorization"] == "Bearer hf_in"
        assert "authorization" not in other.requests[0].request.headers

    def test_a_redirect_from_https_to_http_is_refused(
        self, start_hub: StartHub, tls: ssl.SSLContext, certificate: Path
    ) -> None:
        plain = start_hub({REPO: FILES})
        away = f.always(f.redirected_to(f"{plain.endpoint}/x"), f.api_requests)
        hub = start_hub({}, faults=[away], tls=tls)
        with pytest.raises(DownloadFailedError) as caught:
            ask(hub.endpoint, network=NetworkOptions(ca_bundle=certificate))
        assert caught.value.code == "insecure-redirect"
        assert plain.requests == []

    def test_an_answer_without_an_end_is_refused(self, start_hub: StartHub) -> None:
        text = " " * (17 * 1024 * 1024)
        hub = start_hub({}, faults=[f.always(f.status(200, text=text), f.api_requests)])
        with pytest.raises(DownloadFailedError, match="not a model hub") as caught:
            ask(hub.endpoint)
        assert "too long" in caught.value.context[0]


def asked_of(hub: LoopbackHub) -> list[str]:
    return [f"{e.request.method} {e.request.target}" for e in hub.requests]


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"id": REPO},
        {"id": REPO, "sha": "main"},
        {"id": REPO, "sha": "a" * 40, "siblings": {}},
        {"id": REPO, "sha": "a" * 40, "siblings": [{"rfilename": 7}]},
        {"id": REPO, "sha": "a" * 40, "siblings": [{"rfilename": "x", "size": -1}]},
        {"id": REPO, "sha": "a" * 40, "siblings": [{"rfilename": "x", "size": True}]},
        {"id": REPO, "sha": "a" * 40, "siblings": [{"rfilename": "x", "lfs": {"sha256": "b"}}]},
    ],
)
def test_an_answer_of_other_types_is_no_hub_s(start_hub: StartHub, document: Any) -> None:
    said = f.status(200, text=json.dumps(document))
    hub = start_hub({}, faults=[f.always(said, f.api_requests)])
    with pytest.raises(DownloadFailedError) as caught:
        ask(hub.endpoint)
    assert caught.value.code == "not-a-hub"


@pytest.mark.parametrize("kind", ["gated", "missing"])
def test_gated_and_missing_are_one_error_whichever_part_asks(
    start_hub: StartHub, tmp_path: Path, kind: str
) -> None:
    hub = start_hub({REPO: FILES})
    artifact = hub.artifact(REPO, "a-Q4_0.gguf")
    code = {"gated": "GatedRepo", "missing": "RepoNotFound"}[kind]
    hub.faults = (f.always(f.status(403, {"X-Error-Code": code}), lambda _: True),)
    with pytest.raises(AccessDeniedError) as asked:
        ask(hub.endpoint)
    job = FileJob(artifact, HubAccess(hub.endpoint).origins)
    with pytest.raises(AccessDeniedError) as fetched:
        Downloader(PlainFolderLayout(tmp_path)).fetch([job])
    for name in ("code", "message", "hint"):
        assert getattr(asked.value, name) == getattr(fetched.value, name)
    assert hub.endpoint in asked.value.hint
    assert "huggingface.co" not in asked.value.hint
