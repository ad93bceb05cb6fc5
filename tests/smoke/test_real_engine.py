"""Smoke tests of real engines on real files."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from setup_manager import rehearsal
from setup_manager.errors import SmokeFailedError
from setup_manager.library.inventory import InstalledModel
from setup_manager.machine.live import machine_reader, process_reader
from setup_manager.machine.probe.system import LocalCommands, System
from setup_manager.platforms import this_platform
from setup_manager.runtimes.base import Runtime, RuntimeEvent
from setup_manager.runtimes.options import StartOptions
from setup_manager.runtimes.registry import REGISTRY
from setup_manager.smoke.report import Prediction, require_passed
from setup_manager.smoke.request import SmokeRequest, Watch
from setup_manager.smoke.run import run_smoke
from tests.runtimes.installed import Place, installed
from tests.runtimes.random_gguf import write_random_drafter, write_random_projector
from tests.support.processes import running_children

pytestmark = pytest.mark.real_runtime
WEIGHTS = next(Path(rehearsal.__file__).parent.glob("data/*.gguf"))


@pytest.fixture(params=["embedded", "llama.cpp"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Runtime:
    found = REGISTRY[request.param](Place(tmp_path, {"PATH": os.environ["PATH"]}))
    if not found.ready(found.find()):
        pytest.skip(f"{request.param} is not here")
    return found


def request_for(
    runtime: Runtime, model: InstalledModel, *, drafter: bool = False, image: bool = False
) -> SmokeRequest:
    options = StartOptions(threads=1, drafter=drafter)
    return SmokeRequest(model, runtime.find(), options, image=image)


@pytest.fixture
def watch() -> Watch:
    system = System(Path("/"), LocalCommands(os.environ), this_platform())
    return Watch(machine_reader(system), process_reader(system))


def test_random_weights_fail_with_reasons_and_measurements(
    runtime: Runtime, random_model: Path, watch: Watch
) -> None:
    events: list[RuntimeEvent] = []
    predicted = Prediction(memory_bytes=10**8, tokens_per_second=100.0, low=50.0, high=200.0)
    request = replace(request_for(runtime, installed(random_model)), predicted=predicted)
    report = run_smoke(runtime, request, watch, events.append)
    document = report.document()
    assert document["passed"] is False
    assert document["reasons"]
    assert document["runtime"] == runtime.name
    assert document["load_seconds"] > 0
    assert document["first_token_seconds"] > 0
    assert document["prompt_tokens_per_second"] > 0
    assert document["tokens_per_second"] > 0
    assert 5_000_000 < document["peak_memory_bytes"] < 2_000_000_000
    memory = document["memory"]
    assert memory["peak_bytes"] >= memory["anonymous_bytes"] + memory["mapped_bytes"]
    ratio = document["tokens_per_second"] / 100.0
    assert math.isclose(document["predicted"]["speed_ratio"], ratio, abs_tol=0.001)
    stages = list(dict.fromkeys(event.stage for event in events))
    assert stages == ["load", "warm-up", "question"]
    with pytest.raises(SmokeFailedError) as caught:
        require_passed(report)
    assert set(report.reasons) <= set(caught.value.context)


def test_nothing_is_left_running_after_a_test(
    runtime: Runtime, random_model: Path, watch: Watch
) -> None:
    run_smoke(runtime, request_for(runtime, installed(random_model)), watch)
    assert running_children() == []


def test_the_rehearsal_model_answers_rightly_and_is_measured(
    runtime: Runtime, watch: Watch
) -> None:
    report = run_smoke(runtime, request_for(runtime, installed(WEIGHTS)), watch)
    assert report.passed, report.reasons
    assert "Paris" in report.text
    assert report.completion.tokens == 48
    assert report.completion.first_half_tokens_per_second > 0
    assert report.completion.second_half_tokens_per_second > 0
    require_passed(report)


def test_a_real_drafter_is_used_and_compared(
    runtime: Runtime, watch: Watch, tmp_path: Path
) -> None:
    drafter = write_random_drafter(
        tmp_path / "mtp.gguf", target_hidden=64, global_head=64, vocabulary_size=1152
    )
    request = request_for(runtime, installed(WEIGHTS, drafter=drafter), drafter=True)
    report = run_smoke(runtime, request, watch)
    assert report.passed
    assert report.drafter is not None, report.reasons
    assert report.drafter.drafted_tokens > 0
    assert report.drafter.accepted_tokens < report.drafter.drafted_tokens
    assert report.completion.drafted_tokens == 0


def test_a_picture_goes_through_a_real_projector(
    runtime: Runtime, watch: Watch, tmp_path: Path
) -> None:
    projector = write_random_projector(tmp_path / "mmproj.gguf", target_hidden=64)
    request = request_for(runtime, installed(WEIGHTS, projector), image=True)
    report = run_smoke(runtime, request, watch)
    # The projector is random and the model knows no pictures: what counts is that it was read.
    assert report.completion.prompt_tokens > 70
    assert not report.passed
    assert "expected 'red'" in "\n".join(report.reasons)
