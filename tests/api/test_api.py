"""The Python API, used as a program would use it."""

from __future__ import annotations

import doctest
import inspect
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import setup_manager
from setup_manager import api
from setup_manager.errors import (
    DownloadFailedError,
    InterruptedByUserError,
    SetupError,
    UsageError,
)
from setup_manager.rehearsal.model import FILE_NAME, model_path
from setup_manager.session.events import Silence, StageEvent
from tests.api.conftest import Surroundings

FUNCTIONS = [api.check, api.recommend, api.explain, api.download, api.install]


def test_the_example_of_the_module_runs_as_it_stands(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in surroundings.environment.items():
        monkeypatch.setenv(name, value)
    outcome = doctest.testmod(api)
    assert outcome.attempted >= 4
    assert outcome.failed == 0


def test_a_download_is_verified_and_the_next_one_costs_nothing(surroundings: Surroundings) -> None:
    environment = surroundings.environment
    first = api.download("rehearsal", environment=environment)
    served = surroundings.hub.served_bytes
    second = api.download("rehearsal", environment=environment)
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
    used = api.download("rehearsal", environment=environment)
    unused = api.download("rehearsal", recover=False, environment=fresh)
    assert used.fetched_bytes < unused.fetched_bytes == model_path().stat().st_size


def test_a_models_dir_that_is_given_beats_the_environment(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    environment = {**surroundings.environment, "GEMMA_SETUP_MODELS_DIR": str(tmp_path / "named")}
    named = api.download("rehearsal", environment=environment)
    given = api.download("rehearsal", models_dir=tmp_path / "given", environment=environment)
    assert named.path.is_relative_to(tmp_path / "named")
    assert given.path.is_relative_to(tmp_path / "given")


def test_an_environment_that_is_given_counts_instead_of_the_process_s(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "elsewhere"))
    fetched = api.download("rehearsal", environment=surroundings.environment)
    assert fetched.path.is_relative_to(surroundings.environment["HOME"])


@pytest.mark.real_runtime
def test_install_ends_with_a_model_that_answers(surroundings: Surroundings) -> None:
    pytest.importorskip("xllamacpp")
    stages: list[str] = []

    class Listener(Silence):
        def stage(self, event: StageEvent) -> None:
            stages.append(f"{event.stage} {event.status}")

    done = api.install(
        "rehearsal",
        context=4096,
        runtime="embedded",
        observer=Listener(),
        environment=surroundings.environment,
    )
    assert done.smoke.passed
    assert done.path.is_file()
    assert done.model.complete
    assert done.plan.runtime.name == "embedded"
    assert "rehearsal" in done.commands.start
    assert [stage.name for stage in done.stages][-1] == "smoke"
    assert stages[-2:] == ["smoke running", "smoke done"]


def test_an_install_that_is_declined_raises_and_fetches_nothing(surroundings: Surroundings) -> None:
    pytest.importorskip("xllamacpp")
    with pytest.raises(SetupError) as caught:
        api.install("rehearsal", confirm=lambda _: False, environment=surroundings.environment)
    assert caught.value.code == "declined"
    assert surroundings.hub.served_bytes == 0


def test_check_tells_the_machine_and_what_the_model_needs(surroundings: Surroundings) -> None:
    result = api.check("rehearsal", context=4096, environment=surroundings.environment)
    names = {check.name for check in result.checks}
    assert result.machine.memory.total_bytes > 0
    assert {"model memory", "hub"} <= names


def test_a_machine_from_elsewhere_can_be_planned_for(surroundings: Surroundings) -> None:
    environment = surroundings.environment
    machine = api.check(environment=environment).machine
    there = api.check("rehearsal", machine=machine, context=4096, environment=environment)
    assert there.runtimes == ()
    found = api.recommend(machine=machine, prefer="speed", environment=environment)
    assert found.machine is machine
    assert found.recommendation.choices[0].model == "rehearsal:F16"


def test_explain_counts_the_cache_of_a_longer_context(surroundings: Surroundings) -> None:
    environment = surroundings.environment
    short = api.explain("rehearsal", context=4096, environment=environment)
    long = api.explain("rehearsal", context=65536, kv_type="q8_0", environment=environment)
    assert short.settings.context == 4096
    assert long.memory.kv_cache_bytes > short.memory.kv_cache_bytes


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda e: api.explain("e9b", environment=e), "e9b"),
        (lambda e: api.explain("rehearsal", context=0, environment=e), "context"),
        (lambda e: api.explain("rehearsal", kv_type=wrong("f8"), environment=e), "kv_type"),
        (lambda e: api.recommend(prefer=wrong("best"), environment=e), "prefer"),
        (lambda e: api.recommend(task=wrong("chess"), environment=e), "task"),
        (lambda e: api.check(runtime=wrong("vllm"), environment=e), "runtime"),
        (lambda e: api.download("rehearsal", connections=0, environment=e), "connections"),
        (lambda e: api.download("rehearsal", rate_bytes_per_second=0, environment=e), "rate"),
    ],
)
def test_a_wrong_argument_is_a_usage_error_that_says_which(
    surroundings: Surroundings, call: Any, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        call(surroundings.environment)
    assert words in " ".join((caught.value.message, *caught.value.context)).lower()
    assert caught.value.hint


def wrong(value: str) -> Any:
    """Hand in what the types forbid."""
    return value


def test_a_hub_that_is_not_there_is_a_download_error(surroundings: Surroundings) -> None:
    surroundings.hub.close()
    environment = {**surroundings.environment, "HF_HUB_OFFLINE": "1"}
    with pytest.raises(DownloadFailedError):
        api.download("rehearsal", environment=environment)


def test_a_download_stops_when_it_is_cancelled(surroundings: Surroundings) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(InterruptedByUserError):
        api.download("rehearsal", cancel=cancel, environment=surroundings.environment)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_every_parameter_is_typed_documented_and_but_for_the_model_a_keyword(
    function: Any,
) -> None:
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for name, parameter in signature.parameters.items():
        assert parameter.annotation is not inspect.Parameter.empty
        assert f"{name}:" in function.__doc__
        assert name == "model" or parameter.kind is inspect.Parameter.KEYWORD_ONLY


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(os.path.dirname(setup_manager.__file__)) / "py.typed").is_file()
