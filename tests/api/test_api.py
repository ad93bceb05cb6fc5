"""The Python API, used as a program would use it."""

from __future__ import annotations

import doctest
import inspect
import json
import os
import threading
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

import setup_manager
from setup_manager import api
from setup_manager.errors import (
    DownloadFailedError,
    InterruptedByUserError,
    UsageError,
)
from setup_manager.fit import Explanation
from setup_manager.rehearsal.model import FILE_NAME, model_path
from setup_manager.session import Session, Silence, StageEvent
from tests.api.conftest import Surroundings

VERBS = (
    "check",
    "clean",
    "download",
    "install",
    "recommend",
    "recover",
    "register",
    "remove",
    "runtime",
    "serve",
    "smoke",
    "verify",
)


def opened(surroundings: Surroundings, **asked: Any) -> Session:
    return api.open_session(surroundings.environment, **asked)


def download(session: Session, **asked: Any) -> api.download.Result:
    request = api.download.Request(model="rehearsal", **asked)
    return api.download.run(session, api.download.plan(session, request))


def test_the_example_of_the_module_runs_as_it_stands(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in surroundings.environment.items():
        monkeypatch.setenv(name, value)
    outcome = doctest.testmod(api)
    assert outcome.attempted >= 6
    assert outcome.failed == 0


def test_it_hands_out_every_verb_and_a_session_for_them() -> None:
    assert set(VERBS) | {"open_session", "Observer", "SetupError"} <= set(api.__all__)
    for name in api.__all__:
        assert getattr(api, name)


def test_a_download_is_verified_and_the_next_one_costs_nothing(surroundings: Surroundings) -> None:
    first = download(opened(surroundings))
    served = surroundings.hub.served_bytes
    second = download(opened(surroundings))
    assert first.path.read_bytes()[:4] == b"GGUF"
    assert first.fetched_bytes == first.path.stat().st_size
    assert (second.fetched_bytes, surroundings.hub.served_bytes) == (0, served)


def test_what_another_tool_left_is_used_unless_that_is_unwanted(
    surroundings: Surroundings,
) -> None:
    environment = surroundings.environment
    left = Path(environment["HOME"]) / "Downloads" / f"{FILE_NAME}.part"
    left.parent.mkdir()
    left.write_bytes(model_path().read_bytes()[: 1 << 20])
    fresh = {**environment, "HF_HOME": environment["HOME"] + "/other"}
    used = download(api.open_session(environment))
    unused = download(api.open_session(fresh, recovering=False))
    assert used.fetched_bytes < unused.fetched_bytes == model_path().stat().st_size


def test_a_models_dir_that_is_given_beats_the_environment(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    environment = {**surroundings.environment, "GEMMA_SETUP_MODELS_DIR": str(tmp_path / "named")}
    named = download(api.open_session(environment))
    given = download(api.open_session(environment, models_dir=tmp_path / "given"))
    assert named.path.is_relative_to(tmp_path / "named")
    assert given.path.is_relative_to(tmp_path / "given")


def test_an_environment_that_is_given_counts_instead_of_the_process_s(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "elsewhere"))
    fetched = download(opened(surroundings))
    assert fetched.path.is_relative_to(surroundings.environment["HOME"])


@pytest.mark.real_runtime
def test_install_ends_with_a_model_that_answers(surroundings: Surroundings) -> None:
    pytest.importorskip("xllamacpp")
    stages: list[str] = []

    class Listener(Silence):
        def stage(self, event: StageEvent) -> None:
            stages.append(f"{event.stage} {event.status}")

    session = opened(surroundings, observer=Listener())
    request = api.install.Request(model="rehearsal", context=4096, runtime="embedded")
    plan = api.install.plan(session, request)
    assert surroundings.hub.served_bytes == 0
    done = api.install.run(session, plan)
    assert done.smoke.passed
    assert done.path.is_file()
    assert done.model.complete
    assert done.plan.runtime.name == "embedded"
    assert "rehearsal" in done.commands.start
    assert [stage.name for stage in done.stages][-1] == "smoke"
    assert stages[-2:] == ["smoke running", "smoke done"]


def test_an_install_that_fails_raises_with_the_stages_before(surroundings: Surroundings) -> None:
    pytest.importorskip("xllamacpp")
    session = opened(surroundings)
    request = api.install.Request(model="rehearsal", context=4096, runtime="embedded")
    plan = api.install.plan(session, request)
    surroundings.hub.close()
    with pytest.raises(DownloadFailedError) as caught:
        api.install.run(session, plan)
    assert isinstance(caught.value.partial, api.install.Progress)
    ended = [(stage.name, stage.status.value) for stage in caught.value.partial.stages]
    assert ended == [
        ("check", "done"),
        ("recommend", "skipped"),
        ("plan", "done"),
        ("download", "failed"),
    ]


def test_check_tells_the_machine_and_what_the_model_needs(surroundings: Surroundings) -> None:
    request = api.check.Request(model="rehearsal", context=4096)
    result = api.check.run(opened(surroundings), request)
    names = {check.name for check in result.checks}
    assert result.machine.memory.total_bytes > 0
    assert {"model memory", "hub"} <= names


def test_a_machine_from_elsewhere_can_be_planned_for(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    session = opened(surroundings)
    here = api.check.run(session, api.check.Request())
    asked = api.check.Request(model="rehearsal", machine=here.machine, context=4096)
    assert api.check.run(session, asked).runtimes == ()
    found = api.recommend.run(session, api.recommend.Request(machine=here.machine, prefer="speed"))
    assert found.machine is here.machine
    assert found.recommendation.choices[0].model == "rehearsal:F16"
    described = tmp_path / "machine.json"
    described.write_text(json.dumps({"data": here.document()}), "utf-8")
    from_file = api.recommend.run(session, api.recommend.Request(machine=described))
    assert from_file.machine.memory == here.machine.memory


def test_explain_counts_the_cache_of_a_longer_context(surroundings: Surroundings) -> None:
    session = opened(surroundings)
    short = explain(session, context=4096)
    long = explain(session, context=65536, kv_type="q8_0")
    assert short.settings.context == 4096
    assert long.memory.kv_cache_bytes > short.memory.kv_cache_bytes


def explain(session: Session, model: str = "rehearsal", **asked: Any) -> Explanation:
    return api.recommend.explain(session, api.recommend.ExplainRequest(model=model, **asked))


def call_me(event: object) -> None:
    """A callable, which is no observer."""


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda e: explain(api.open_session(e), "e9b"), "e9b"),
        (lambda _: api.recommend.ExplainRequest(model="e4b", context=0), "context"),
        (lambda _: api.recommend.ExplainRequest(model="e4b", kv_type=wrong("f8")), "kv_type"),
        (lambda _: api.recommend.Request(prefer=wrong("best")), "prefer"),
        (lambda _: api.recommend.Request(task=wrong("chess")), "task"),
        (lambda _: api.check.Request(runtime=wrong("vllm")), "runtime"),
        (
            lambda e: api.open_session(e, downloading=api.DownloadOptions(connections=0)),
            "connections",
        ),
        (
            lambda e: api.open_session(e, downloading=api.DownloadOptions(rate_bytes_per_second=0)),
            "rate",
        ),
        (lambda e: api.open_session(e, observer=wrong(call_me)), "observer"),
    ],
)
def test_a_wrong_argument_is_a_usage_error_that_says_which(
    surroundings: Surroundings, call: Any, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        call(surroundings.environment)
    assert words in " ".join((caught.value.message, *caught.value.context)).lower()
    assert caught.value.hint


def wrong(value: object) -> Any:
    """Hand in what the types forbid."""
    return value


def test_a_hub_that_is_not_there_is_a_download_error(surroundings: Surroundings) -> None:
    surroundings.hub.close()
    environment = {**surroundings.environment, "HF_HUB_OFFLINE": "1"}
    with pytest.raises(DownloadFailedError):
        download(api.open_session(environment))


def test_a_download_stops_when_it_is_cancelled(surroundings: Surroundings) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(InterruptedByUserError):
        download(opened(surroundings, cancel=cancel))


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_is_planned_from_its_request_and_then_carried_out(name: str) -> None:
    verb = getattr(api, name)
    assert is_dataclass(verb.Request)
    assert not any(field.init and not field.kw_only for field in fields(verb.Request))
    session, second = list(inspect.signature(verb.run).parameters)[:2]
    assert session == "session"
    if hasattr(verb, "plan"):
        assert list(inspect.signature(verb.plan).parameters)[:2] == ["session", "request"]
        assert second == "plan"
    else:
        assert second == "request"


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(os.path.dirname(setup_manager.__file__)) / "py.typed").is_file()
