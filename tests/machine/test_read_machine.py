"""The whole: side by side, in time, and nothing that a probe meets can crash it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from setup_manager.codec import to_plain
from setup_manager.machine.checks import Status, machine_checks
from setup_manager.machine.document import from_document
from setup_manager.machine.facts import Basis, FindingKind
from setup_manager.machine.probe.machine import read_machine
from setup_manager.machine.probe.system import CommandResult, Outcome
from setup_manager.platforms import Platform

LINUX = Platform("linux", "6.1", "x86_64")
MACOS = Platform("macos", "15.1", "arm64")
WINDOWS = Platform("windows", "11", "x86_64")


class Commands:
    """Answers every command in one way."""

    def __init__(self, result: CommandResult) -> None:
        self.result = result

    def __call__(self, argv: Sequence[str], seconds: float) -> CommandResult:
        return self.result


NOTHING = Commands(CommandResult(Outcome.NOT_FOUND))


def test_this_machine_is_read_in_time_and_survives_the_way_back(tmp_path: Path) -> None:
    before = time.monotonic()
    machine = read_machine(
        places={"models": tmp_path}, environment=dict(os.environ), now=time.time()
    )
    assert time.monotonic() - before < 5
    assert machine.memory.total_bytes > 0
    assert machine.memory_bandwidth_bytes_per_second.source is Basis.MEASURED
    assert [disk.purpose for disk in machine.disks] == ["models"]
    document = json.loads(json.dumps(to_plain(machine)))
    assert to_plain(from_document(document)) == document
    assert machine_checks(machine)


@pytest.mark.parametrize("platform", [LINUX, MACOS, WINDOWS])
def test_machine_that_can_be_read_nowhere_is_findings_and_no_crash(
    tmp_path: Path, platform: Platform
) -> None:
    machine = read_machine(tmp_path, NOTHING, platform=platform, meter=None)
    assert machine.memory.total_bytes == 0
    assert machine.cpu.physical_cores == 1
    assert machine.memory_bandwidth_bytes_per_second.source is Basis.GUESS
    memory = next(finding for finding in machine.findings if finding.probe == "memory")
    assert memory.kind is FindingKind.BROKEN
    assert {check.name for check in machine_checks(machine)} >= {"memory", "processor", "power"}


@pytest.mark.parametrize("platform", [LINUX, MACOS, WINDOWS])
def test_raising_runner_becomes_findings(tmp_path: Path, platform: Platform) -> None:
    def explode(argv: Sequence[str], seconds: float) -> CommandResult:
        raise RuntimeError("no commands today")

    machine = read_machine(tmp_path, explode, platform=platform, meter=None)
    broken = [finding for finding in machine.findings if "no commands today" in finding.detail]
    assert broken
    assert all(finding.kind is FindingKind.BROKEN for finding in broken)
    assert any(check.status is Status.WARN for check in machine_checks(machine))


def test_raising_meter_and_room_reader_become_findings(tmp_path: Path) -> None:
    def explode(*arguments: object) -> float:
        raise OSError("gone")

    def explode_room(path: Path) -> None:
        raise OSError("gone")

    machine = read_machine(
        tmp_path, NOTHING, platform=LINUX, meter=explode, room_of=explode_room,
        places={"models": tmp_path},
    )  # fmt: skip
    assert {"disks", "memory-bandwidth"} <= {finding.probe for finding in machine.findings}
    assert machine.memory_bandwidth_bytes_per_second.source is Basis.GUESS


def test_hanging_probe_is_left_behind(tmp_path: Path) -> None:
    release = threading.Event()

    def hang(argv: Sequence[str], seconds: float) -> CommandResult:
        release.wait(20)
        return CommandResult(Outcome.NOT_FOUND)

    before = time.monotonic()
    machine = read_machine(tmp_path, hang, platform=LINUX, meter=None, seconds=0.5)
    assert time.monotonic() - before < 5
    release.set()
    late = [finding for finding in machine.findings if "in time" in finding.detail]
    assert {finding.probe for finding in late} >= {"nvidia-smi", "gpus"}


RUBBISH = st.one_of(
    st.text(max_size=300),
    st.sampled_from(
        [
            '{"SPDisplaysDataType": [[], {"_name": 5}, 7]}', '{"card0": {"Card Series": null}}',
            "[" * 10_000, "name, memory.total [MiB]\n, ,\nX, 99999999999 MiB\n", "GPU0:\n= =\n",
            "hw.memsize: 99999999999999999999\n", "Pages free: 9999999999999999.\n",
            '{"card0": 5}', '"\n"', "total = 9999999999.0T",
        ]
    ),
)  # fmt: skip


@pytest.mark.parametrize("platform", [LINUX, MACOS])
@given(stdout=RUBBISH, stderr=RUBBISH, status=st.integers(-15, 255))
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_commands_that_print_rubbish_never_crash_and_figures_stay_in_range(
    platform: Platform, tmp_path: Path, stdout: str, stderr: str, status: int
) -> None:
    commands = Commands(CommandResult(Outcome.RAN, stdout, stderr, status))
    machine = read_machine(tmp_path, commands, platform=platform, meter=None)
    assert "failed:" not in str([finding.detail for finding in machine.findings])
    assert 0 <= machine.memory.available_bytes <= machine.memory.total_bytes <= 1 << 60
    for gpu in machine.gpus:
        assert 0 <= gpu.free_bytes <= gpu.total_bytes <= 1 << 60
    machine_checks(machine)


FILES = (
    "/proc/meminfo", "/proc/cpuinfo", "/proc/self/cgroup", "/proc/self/mountinfo", "/proc/swaps",
    "/proc/pressure/memory", "/proc/version", "/proc/1/environ", "/proc/7/statm", "/proc/7/comm",
    "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.stat", "/sys/fs/cgroup/cpu.max",
    "/sys/class/drm/card0/device/vendor", "/sys/class/drm/card0/device/resource",
    "/sys/class/drm/card0/device/mem_info_vram_total", "/sys/class/hwmon/hwmon0/name",
    "/sys/class/power_supply/BAT0/type", "/sys/class/power_supply/BAT0/capacity",
    "/sys/devices/system/cpu/online", "/sys/devices/cpu_core/cpus", "/proc/device-tree/model",
    "/sys/devices/system/node/has_memory", "/proc/self/status",
)  # fmt: skip
CONTENT = st.one_of(
    st.binary(max_size=120),
    st.sampled_from(
        [b"0x1002", b"Battery", b"0-9999999", b"max 1", b"9" * 40, b"-1", b"processor: 0\nflags:",
         b"30 24 0:26 / /sys/fs/cgroup rw - cgroup2 c rw\n", b"0::/../..\n", b"MemTotal: 5 kB\n",
         b"MemTotal: 5 kB\nMemAvailable: 99999999999 kB\nSwapFree: 9 kB\n", b"Cpus_allowed_list: x"]
    ),
)  # fmt: skip


@given(contents=st.dictionaries(st.sampled_from(FILES), CONTENT, max_size=12))
@settings(
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_files_full_of_rubbish_never_crash_and_figures_stay_in_range(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes]
) -> None:
    root = tmp_path_factory.mktemp("root")
    for path, content in contents.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    machine = read_machine(root, NOTHING, platform=LINUX, meter=None)
    assert "failed:" not in str([finding.detail for finding in machine.findings])
    memory = machine.memory
    assert 0 <= memory.available_bytes <= memory.total_bytes <= 1 << 60
    assert memory.swap_free_bytes <= memory.swap_total_bytes
    assert machine.cpu.physical_cores >= 1
    assert 0 < machine.cpu.usable_cores <= machine.cpu.logical_cores
    if memory.total_bytes:
        document = to_plain(machine)
        assert to_plain(from_document(document)) == document
    machine_checks(machine)
