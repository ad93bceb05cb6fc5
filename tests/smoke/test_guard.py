"""The guard: its decision, its readings, and both together in a real control group."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.machine.facts import Thermal
from setup_manager.machine.live import Reading, machine_reader, process_reader
from setup_manager.machine.probe.system import LocalCommands, System
from setup_manager.platforms import this_platform
from setup_manager.smoke.guard import Limits, decide
from setup_manager.units import GIB, MIB
from tests.runtimes.fakes import FakeServer

CALM = Reading(0.0, 8 * GIB, 16 * GIB, 0.0, 100, 50.0)
LIMITS = Limits()


def over_time(*readings: Reading) -> list[Reading]:
    """Put readings one second apart."""
    return [replace(reading, at_seconds=float(i)) for i, reading in enumerate(readings)]


def test_a_calm_machine_is_left_alone() -> None:
    assert decide(over_time(*[CALM] * 10), LIMITS, 10.0) is None
    assert decide([], LIMITS, 0.0) is None


def test_the_deadline_counts_from_the_start() -> None:
    limits = Limits(deadline_seconds=60)
    assert decide([CALM], limits, 59.0) is None
    assert "longer than 60" in (decide([CALM], limits, 61.0) or "")


def test_memory_below_the_floor_ends_it() -> None:
    low = replace(CALM, available_bytes=400 * MIB)
    reason = decide([low, low], LIMITS, 1.0) or ""
    assert "memory was running out" in reason
    assert "400 MiB" in reason


def test_memory_that_falls_fast_ends_it_before_the_floor() -> None:
    before = replace(CALM, available_bytes=3 * GIB)
    now = replace(CALM, available_bytes=int(1.6 * GIB))
    assert decide([before, now], LIMITS, 1.0)
    assert decide([now, now], LIMITS, 1.0) is None


def test_a_small_container_has_a_small_floor() -> None:
    assert LIMITS.floor_bytes(512 * MIB) == 32 * MIB
    assert LIMITS.floor_bytes(8 * GIB) == int(8 * GIB * 0.03)
    assert LIMITS.floor_bytes(256 * GIB) == 512 * MIB


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"pressure_percent": 80.0}, "waiting for memory"),
        ({"celsius": 106.0}, "106 °C"),
    ],
)
def test_pressure_and_heat_count_only_when_they_last(changed: dict[str, float], word: str) -> None:
    bad = replace(CALM, **changed)  # type: ignore[arg-type]
    assert decide(over_time(CALM, CALM, CALM, bad), LIMITS, 4.0) is None
    assert decide(over_time(bad, bad), LIMITS, 2.0) is None
    assert word in (decide(over_time(bad, bad, bad, bad), LIMITS, 4.0) or "")


def test_swapping_in_ends_it_and_old_swap_does_not() -> None:
    pages = [replace(CALM, swapped_in_pages=10_000 * i) for i in range(5)]
    assert "swapping" in (decide(over_time(*pages), LIMITS, 5.0) or "")
    still = [replace(CALM, swapped_in_pages=9_000_000)] * 5
    assert decide(over_time(*still), LIMITS, 5.0) is None


def test_what_cannot_be_read_ends_nothing() -> None:
    for blind in (Reading(0.0, 8 * GIB, 16 * GIB), Reading(0.0, 0, 0)):
        assert decide(over_time(*[blind] * 10), LIMITS, 10.0) is None


@given(
    st.lists(
        st.builds(
            Reading,
            st.floats(0, 1e6),
            st.integers(0, 2**40),
            st.integers(1, 2**40),
            st.none() | st.floats(0, 100),
            st.none() | st.integers(0, 2**40),
            st.none() | st.floats(-20, 150),
        ),
        max_size=8,
    )
)
@settings(deadline=None, max_examples=100)
def test_any_readings_give_a_decision_and_little_memory_always_ends_it(
    readings: list[Reading],
) -> None:
    ordered = sorted(readings, key=lambda reading: reading.at_seconds)
    reason = decide(ordered, LIMITS, 0.0)
    assert reason is None or reason
    if ordered and ordered[-1].available_bytes < 32 * MIB:
        assert reason is not None


def live_system(os_name: str = "linux") -> System:
    here = replace(this_platform(), os=os_name)
    return System(Path("/"), LocalCommands(os.environ), here)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_machine_and_this_process_can_be_read() -> None:
    reading = machine_reader(live_system(), lambda: Thermal(45.0, 3))()
    assert 0 < reading.available_bytes <= reading.capacity_bytes
    assert (reading.celsius, reading.throttle_count) == (45.0, 3)
    memory = process_reader(live_system())(os.getpid())
    assert memory is not None
    assert memory.peak_bytes >= memory.anonymous_bytes > 0
    assert memory.mapped_bytes > 0


def test_a_process_that_is_gone_reads_as_none() -> None:
    for os_name in ("linux", "macos"):
        assert process_reader(live_system(os_name))(2**22 + 1) is None


def test_off_linux_memory_is_read_all_the_same() -> None:
    reading = machine_reader(live_system("macos"))()
    assert 0 < reading.available_bytes <= reading.capacity_bytes
    assert decide([reading], LIMITS, 0.0) is None
    memory = process_reader(live_system("windows"))(os.getpid())
    assert memory is not None
    assert memory.peak_bytes > 1_000_000


def test_slow_sensors_are_asked_once_a_second() -> None:
    asked: list[int] = []

    def thermal() -> Thermal:
        asked.append(1)
        return Thermal(50.0)

    read = machine_reader(live_system(), thermal)
    assert {read().celsius for _ in range(20)} == {50.0}
    assert len(asked) == 1


def test_a_process_with_a_name_that_looks_like_fields_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "proc" / "7"
    folder.mkdir(parents=True)
    (folder / "stat").write_text("7 (a) R 9 (b) S 1 1 1 0 -1 4194560 12 0 34 0 5 6")
    (folder / "status").write_text(
        "Name:\ta\nVmHWM:\t  2000 kB\nVmRSS:\t 1000 kB\nRssAnon:\t 600 kB\nRssFile:\t 400 kB\n"
    )
    memory = process_reader(System(tmp_path, LocalCommands(), this_platform()))(7)
    assert memory is not None
    assert memory.peak_bytes == 2000 * 1024
    assert memory.anonymous_bytes == 600 * 1024
    assert memory.major_faults == 34


LIMIT_BYTES = 400 * 1000 * 1000


@pytest.fixture
def group() -> Iterator[Path]:
    """A memory control group with a limit, v1 or v2; skips where none can be made."""
    v1 = Path("/sys/fs/cgroup/memory")
    root = v1 if v1.is_dir() else Path("/sys/fs/cgroup")
    folder = root / f"gemma-setup-test-{os.getpid()}"
    limit = "memory.limit_in_bytes" if v1.is_dir() else "memory.max"
    try:
        folder.mkdir()
        (folder / limit).write_text(str(LIMIT_BYTES))
    except OSError:
        pytest.skip("no memory control group can be made here")
    yield folder
    folder.rmdir()


def kills_in(group: Path) -> int:
    for name in ("memory.oom_control", "memory.events"):
        path = group / name
        if path.exists():
            lines = dict(line.split() for line in path.read_text().splitlines())
            return int(lines.get("oom_kill", 0))
    return 0


def run_in(group: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.smoke.in_group", str(group), *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_in_a_control_group_the_child_is_ended_with_17_and_not_by_the_kernel(
    group: Path, tmp_path: Path
) -> None:
    FakeServer(tmp_path, "eats-memory")
    done = run_in(group, "eats-memory", str(tmp_path), "4096")
    assert done.returncode == 17, done.stderr
    error = json.loads(done.stdout)
    assert "memory was running out" in error["message"]
    assert "381 MiB" in error["message"]
    assert "must stay free" in error["message"]
    assert kills_in(group) == 0


@pytest.mark.real_runtime
def test_in_a_control_group_an_engine_whose_cache_does_not_fit_is_ended_the_same_way(
    group: Path, random_model: Path
) -> None:
    pytest.importorskip("xllamacpp")
    done = run_in(group, "embedded", str(random_model), "8000000")
    assert done.returncode == 17, done.stderr
    error = json.loads(done.stdout)
    assert "could not allocate the memory" in error["message"]
    assert "It is limited to" in error["context"][0]
    assert kills_in(group) == 0


@pytest.mark.real_runtime
def test_in_a_control_group_a_model_that_fits_runs_through(group: Path, random_model: Path) -> None:
    pytest.importorskip("xllamacpp")
    done = run_in(group, "embedded", str(random_model), "4096")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["tokens_per_second"] > 0
