"""Smoke tests of a server that fails in the ways that servers do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from setup_manager.errors import RuntimeMissingError, SmokeFailedError
from setup_manager.machine.live import Reading
from setup_manager.runtimes.base import RuntimeEvent
from setup_manager.runtimes.options import StartOptions
from setup_manager.smoke.guard import Limits
from setup_manager.smoke.report import SmokeReport
from setup_manager.smoke.request import SmokeRequest, Watch
from setup_manager.smoke.run import run_smoke
from tests.runtimes.fakes import FakeServer
from tests.runtimes.installed import installed
from tests.support.processes import running_children

GIB = 1024**3
CALM = Watch(lambda: Reading(0.0, 8 * GIB, 16 * GIB))


def smoke(
    fake: FakeServer,
    *,
    drafter: bool = False,
    has_gpu: bool = False,
    watch: Watch = CALM,
    events: list[RuntimeEvent] | None = None,
    total_seconds: float = 60.0,
    long_minutes: float = 0.0,
) -> SmokeReport:
    model = installed(Path("/m.gguf"), drafter=Path("/d.gguf") if drafter else None)
    request = SmokeRequest(
        model,
        fake.find(),
        StartOptions(drafter=drafter),
        has_gpu=has_gpu,
        total_seconds=total_seconds,
        long_minutes=long_minutes,
    )
    observer = events.append if events is not None else lambda _: None
    return run_smoke(fake, request, watch, observer)


def test_a_server_that_answers_paris_passes_with_its_timings(tmp_path: Path) -> None:
    events: list[RuntimeEvent] = []
    report = smoke(FakeServer(tmp_path, "fine"), events=events)
    assert report.passed
    assert report.text.startswith("Paris is")
    assert report.completion.tokens_per_second == 20.0
    assert report.completion.prompt_tokens_per_second == 100.0
    stages = list(dict.fromkeys(event.stage for event in events))
    assert stages == ["load", "warm-up", "question", "measure"]


def test_a_server_that_is_too_old_is_15_even_with_a_gpu(tmp_path: Path) -> None:
    fake = FakeServer(tmp_path, "too-old")
    with pytest.raises(RuntimeMissingError):
        smoke(fake, has_gpu=True)
    assert len(fake.starts) == 1


@pytest.mark.parametrize(
    ("way", "fact"),
    [
        ("html", "not JSON"),
        ("other-json", "no completion"),
        ("error", "the template failed"),
        ("breaks-off", ""),
        ("dies-when-asked", "illegal memory access"),
    ],
)
def test_rubbish_instead_of_an_answer_is_17_with_the_facts(
    tmp_path: Path, way: str, fact: str
) -> None:
    with pytest.raises(SmokeFailedError) as caught:
        smoke(FakeServer(tmp_path, way))
    assert caught.value.exit_code == 17
    assert fact in "\n".join(caught.value.context)
    assert caught.value.hint


def test_a_server_that_hangs_when_asked_is_ended_at_the_deadline(tmp_path: Path) -> None:
    with pytest.raises(SmokeFailedError) as caught:
        smoke(FakeServer(tmp_path, "hangs-when-asked"), total_seconds=1.0)
    assert "longer than 1 seconds" in caught.value.message
    assert running_children() == []


def test_gibberish_is_a_report_that_names_the_known_failure(tmp_path: Path) -> None:
    report = smoke(FakeServer(tmp_path, "gibberish"))
    assert not report.passed
    assert "26088" in "\n".join(report.reasons)
    assert not report.retried_on_cpu


def test_gibberish_on_the_gpu_and_right_on_the_cpu_blames_the_backend(tmp_path: Path) -> None:
    fake = FakeServer(tmp_path, "gpu-gibberish")
    report = smoke(fake, has_gpu=True)
    assert not report.passed
    assert report.retried_on_cpu
    assert "GPU backend" in report.reasons[-1]
    first, second = fake.starts
    assert "--n-gpu-layers" not in first
    assert second[second.index("--n-gpu-layers") + 1] == "0"


def test_a_death_on_the_gpu_and_right_on_the_cpu_blames_the_backend(tmp_path: Path) -> None:
    with pytest.raises(SmokeFailedError) as caught:
        smoke(FakeServer(tmp_path, "gpu-dies"), has_gpu=True)
    assert "GPU backend" in caught.value.context[-1]
    assert "driver" in caught.value.hint


def test_gibberish_on_both_blames_the_model(tmp_path: Path) -> None:
    fake = FakeServer(tmp_path, "gibberish")
    report = smoke(fake, has_gpu=True)
    assert "fails too" in report.reasons[-1]
    assert len(fake.starts) == 2


def test_the_drafter_is_compared_with_plain(tmp_path: Path) -> None:
    fake = FakeServer(tmp_path, "fine")
    report = smoke(fake, drafter=True)
    assert report.drafter is not None
    assert (report.completion.tokens_per_second, report.drafter.tokens_per_second) == (20.0, 40.0)
    assert report.document()["drafter"]["speed_ratio"] == 2.0
    first, second = fake.starts
    assert "--model-draft" not in first
    assert second[second.index("--model-draft") + 1] == "/d.gguf"


def test_a_drafter_that_does_not_run_is_a_reason_and_no_failure(tmp_path: Path) -> None:
    report = smoke(FakeServer(tmp_path, "no-drafter"), drafter=True)
    assert report.passed
    assert report.drafter is None
    assert "drafter" in report.reasons[-1]


def test_the_guard_ends_a_model_when_memory_runs_out(tmp_path: Path) -> None:
    short = Watch(lambda: Reading(0.0, 10 * 1024**2, 16 * GIB), limits=Limits())
    with pytest.raises(SmokeFailedError) as caught:
        smoke(FakeServer(tmp_path, "hangs-when-asked"), watch=short)
    assert "memory was running out" in caught.value.message
    assert running_children() == []


def test_vram_is_the_difference_to_before_the_start(tmp_path: Path) -> None:
    used = iter([2 * GIB, 5 * GIB])
    watch = Watch(CALM.read, used_vram_bytes=lambda: next(used))
    assert smoke(FakeServer(tmp_path, "fine"), watch=watch).vram_bytes == 3 * GIB


def test_a_long_test_shows_the_speed_of_every_round(tmp_path: Path) -> None:
    events: list[RuntimeEvent] = []
    report = smoke(FakeServer(tmp_path, "fine"), long_minutes=0.3 / 60, events=events)
    assert len(report.series) >= 2
    assert set(report.series) == {20.0}
    assert report.document()["series_tokens_per_second"] == list(report.series)
    assert "20.0 tokens/s" in {event.detail for event in events if event.stage == "long"}


def test_ctrl_c_from_the_terminal_ends_tool_and_server_at_once(tmp_path: Path) -> None:
    fake = FakeServer(tmp_path, "hangs-when-asked")
    tool = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert tool.stdout is not None
    assert tool.stdout.readline() == b"question\n"
    children = psutil.Process(tool.pid).children(recursive=True)
    assert children
    started = time.monotonic()
    os.killpg(tool.pid, signal.SIGINT)
    tool.wait(timeout=10)
    tool.stdout.close()
    assert time.monotonic() - started < 3
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    assert len(fake.starts) == 1


INTERRUPTED = """
import sys
from pathlib import Path
from setup_manager.runtimes.options import StartOptions
from setup_manager.machine.live import Reading
from setup_manager.smoke.request import SmokeRequest, Watch
from setup_manager.smoke.run import run_smoke
from tests.runtimes.fakes import FakeServer
from tests.runtimes.installed import installed

fake = FakeServer(Path(sys.argv[1]), "hangs-when-asked")
watch = Watch(lambda: Reading(0.0, 2**33, 2**34))

def tell(event):
    if event.stage == "warm-up":
        print("question", flush=True)

try:
    request = SmokeRequest(installed(Path("m.gguf")), fake.find(), StartOptions())
    run_smoke(fake, request, watch, tell)
except KeyboardInterrupt:
    sys.exit(130)
"""
