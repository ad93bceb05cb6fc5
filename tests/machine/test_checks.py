"""Checks: what stops fails, what slows warns, and the exact thing to do is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from setup_manager.machine.checks import Check, Status, machine_checks
from setup_manager.machine.facts import (
    Bandwidth,
    Basis,
    Container,
    Disk,
    Finding,
    FindingKind,
    Gpu,
    Machine,
    Memory,
    MemoryUser,
    Power,
    Processor,
    Thermal,
    Vendor,
)
from tests.machine.test_document import machines

GIB = 1024**3
GROUPS = ("machine", "memory", "gpu", "disk", "power", "surroundings")

GOOD = Machine(
    os="linux",
    os_version="6.1",
    arch="x86_64",
    cpu=Processor("Good CPU", 8, 16, 16.0, frozenset({"avx2"})),
    memory=Memory(32 * GIB, None, 24 * GIB, "/proc/meminfo MemAvailable"),
    memory_bandwidth_bytes_per_second=Bandwidth(50e9, Basis.MEASURED),
    disks=(Disk("/models", 10**12, 2 * 10**12, "ext4", "/dev/sda2"),),
    power=Power(on_battery=False, mode="balanced", laptop=True),
)


def checks(machine: Machine) -> dict[str, Check]:
    return {check.name: check for check in machine_checks(machine)}


def memory(**changes: Any) -> Machine:
    return replace(GOOD, memory=replace(GOOD.memory, **changes))


def card(free: int, **changes: Any) -> Gpu:
    gpu = Gpu(
        Vendor.NVIDIA, "RTX 3060", 12 * GIB, free, unified=False, driver="570", source="nvidia-smi"
    )
    return replace(gpu, **changes)


def apu(total: int, carve_out: int) -> Gpu:
    return Gpu(
        Vendor.AMD, "Radeon 780M", total, total, unified=True, driver="", source="sysfs",
        integrated=True, carve_out_bytes=carve_out, lent_bytes=total,
    )  # fmt: skip


def test_good_machine_has_nothing_to_do() -> None:
    found = machine_checks(GOOD)
    assert all(check.status in (Status.OK, Status.SKIP) for check in found)
    assert all(not check.hint for check in found)


@given(machines)
@settings(deadline=None, max_examples=40)
def test_any_machine_is_judged_in_single_lines_by_group(machine: Machine) -> None:
    found = machine_checks(machine)
    positions = [GROUPS.index(check.group) for check in found]
    assert positions == sorted(positions)
    assert {check.group for check in found} == set(GROUPS)
    assert all(check.detail for check in found)


@given(machines)
@settings(deadline=None, max_examples=40)
def test_whatever_is_not_well_comes_with_a_thing_to_do(machine: Machine) -> None:
    for check in machine_checks(machine):
        assert check.hint or check.status in (Status.OK, Status.SKIP)


# --- memory ----------------------------------------------------------------------------------


def test_too_little_for_any_model_fails_and_names_the_browser() -> None:
    users = (MemoryUser("firefox", 6 * GIB, 14),)
    found = checks(memory(available_bytes=GIB, users=users))["memory"]
    assert found.status is Status.FAIL
    assert "close firefox (6.0 GiB in 14 processes)" in found.hint


def test_little_memory_beside_a_large_card_does_not_fail() -> None:
    machine = replace(memory(available_bytes=GIB), gpus=(card(11 * GIB),))
    assert checks(machine)["memory"].status is Status.OK


def test_unified_memory_is_no_second_memory() -> None:
    machine = replace(memory(available_bytes=GIB), gpus=(apu(16 * GIB, 0),))
    assert checks(machine)["memory"].status is Status.FAIL


@pytest.mark.parametrize(
    ("surroundings", "words"),
    [
        (Container(wsl=2), ".wslconfig, under [wsl2], set memory=48GB"),
        (Container(kind="docker-desktop"), "Settings > Resources > Advanced"),
    ],
)
def test_virtual_machine_of_a_desktop_is_given_more(surroundings: Container, words: str) -> None:
    machine = replace(memory(available_bytes=4 * GIB), container=surroundings)
    found = checks(machine)["memory"]
    assert found.status is Status.WARN
    assert words in found.hint


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ("docker", "docker update --memory"),
        ("docker-desktop", "docker run --memory"),
        ("podman", "podman update --memory"),
        ("kubernetes", "resources.limits.memory"),
        ("lxc", "pct set ID --memory"),
        ("none", "MemoryMax"),
    ],
)
def test_limit_is_raised_where_it_was_set(container: str, words: str) -> None:
    machine = memory(limit_bytes=4 * GIB, available_bytes=3 * GIB)
    found = checks(replace(machine, container=Container(kind=container)))
    assert found["memory-limit"].status is Status.WARN
    assert words in found["memory-limit"].hint
    assert words in found["memory"].hint


def test_generous_limit_is_fine() -> None:
    found = checks(memory(limit_bytes=16 * GIB, available_bytes=15 * GIB))
    assert found["memory-limit"].status is Status.OK
    assert "16.0 GiB of the machine's 32.0 GiB" in found["memory-limit"].detail


def test_pressure_and_full_swap_warn() -> None:
    machine = memory(
        pressure_percent=35.0, swap_total_bytes=8 * GIB, swap_free_bytes=GIB, zram_bytes=4 * GIB
    )
    found = checks(machine)
    assert found["memory-pressure"].status is Status.WARN
    assert found["swap"].status is Status.WARN
    assert "zram" in found["swap"].detail


# --- GPUs ------------------------------------------------------------------------------------


def test_program_that_holds_the_card_is_named() -> None:
    gpu = card(3 * GIB, users=(MemoryUser("ollama", 8 * GIB, 1),))
    found = checks(replace(GOOD, gpus=(gpu,)))["gpu-0"]
    assert found.status is Status.WARN
    assert "used by ollama (8.0 GiB)" in found.detail
    assert found.hint == "end ollama to free its memory"


def test_windows_holds_the_card_of_wsl() -> None:
    machine = replace(GOOD, gpus=(card(3 * GIB),), container=Container(wsl=2))
    assert "Task Manager" in checks(machine)["gpu-0"].hint


def test_apple_gpu_may_be_given_more() -> None:
    gpu = Gpu(
        Vendor.APPLE, "Apple M3 Max", 48 * GIB, 40 * GIB, unified=True, driver="metal3", source="",
        integrated=True,
    )  # fmt: skip
    mac = replace(GOOD, os="macos", memory=replace(GOOD.memory, total_bytes=64 * GIB), gpus=(gpu,))
    found = checks(mac)["gpu-0"]
    assert found.status is Status.OK
    assert f"sudo sysctl iogpu.wired_limit_mb={56 * 1024}" in found.hint
    raised = replace(mac, gpus=(replace(gpu, total_bytes=56 * GIB),))
    assert checks(raised)["gpu-0"].hint == ""


def test_amd_gpu_may_be_lent_more() -> None:
    found = checks(replace(GOOD, gpus=(apu(15 * GIB, GIB // 2),)))["gpu-0"]
    pages = 24 * GIB // 4096
    assert f"ttm.pages_limit={pages}" in found.hint
    assert checks(replace(GOOD, gpus=(apu(24 * GIB, GIB // 2),)))["gpu-0"].hint == ""


def test_large_carve_out_is_given_back() -> None:
    starved = memory(total_bytes=16 * GIB, available_bytes=5 * GIB)
    gpu = replace(apu(16 * GIB, 16 * GIB), unified=False, free_bytes=GIB)
    found = checks(replace(starved, gpus=(gpu,)))
    assert "UMA frame buffer" in found["gpu-0"].hint
    assert "UMA frame buffer" in found["memory"].hint


def test_broken_tool_warns_with_its_hint_and_a_missing_one_does_not() -> None:
    broken = Finding("nvidia-smi", FindingKind.BROKEN, "no answer", "restart")
    missing = Finding("nvidia-smi", FindingKind.NOT_FOUND, "no nvidia-smi")
    found = checks(replace(GOOD, findings=(broken,)))
    assert (found["nvidia-smi"].status, found["nvidia-smi"].hint) == (Status.WARN, "restart")
    assert "gpu" not in found
    assert "nvidia-smi" not in checks(replace(GOOD, findings=(missing,)))
    assert checks(GOOD)["gpu"].status is Status.SKIP


# --- disks, power, the rest ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"writable": False}, Status.FAIL, "--models-dir"),
        ({"free_bytes": 50_000_000}, Status.FAIL, "free some space"),
        ({"free_bytes": 3 * 10**9}, Status.WARN, "free some space"),
        ({"filesystem": "vfat", "file_size_limit_bytes": 2**32 - 1}, Status.WARN, "4.3 GB"),
        ({"filesystem": "tmpfs"}, Status.WARN, "in RAM"),
        ({"filesystem": "nfs", "network": True}, Status.WARN, "network"),
        ({"rotational": True}, Status.OK, ""),
    ],
)
def test_models_folder(changes: dict[str, Any], status: Status, words: str) -> None:
    machine = replace(GOOD, disks=(replace(GOOD.disks[0], **changes),))
    found = checks(machine)["disk-models"]
    assert found.status is status
    assert words in found.hint


def test_other_folders_never_stop() -> None:
    full = replace(GOOD.disks[0], purpose="temporary", free_bytes=0, writable=False)
    assert checks(replace(GOOD, disks=(full,)))["disk-temporary"].status is Status.WARN


def test_windows_drive_under_wsl_is_slow() -> None:
    machine = replace(
        GOOD,
        disks=(replace(GOOD.disks[0], filesystem="9p"),),
        container=Container(wsl=2),
    )
    assert "inside Linux" in checks(machine)["disk-models"].hint


def test_folders_that_share_a_file_system_are_told() -> None:
    first = GOOD.disks[0]
    other = replace(first, path="/ollama", purpose="ollama")
    found = checks(replace(GOOD, disks=(first, other)))["disk-sharing"]
    assert found.detail == "models and ollama share one file system"
    assert "disk-sharing" not in checks(GOOD)


@pytest.mark.parametrize(
    ("os", "power", "words"),
    [
        ("linux", Power(on_battery=True, charge_percent=50.0), "plug it in"),
        ("linux", Power(on_battery=False, mode="low-power"), "powerprofilesctl set performance"),
        ("linux", Power(on_battery=None, mode="powersave"), "cpupower"),
        ("macos", Power(on_battery=False, mode="low power mode"), "lowpowermode 0"),
    ],
)
def test_power_that_slows_warns(os: str, power: Power, words: str) -> None:
    found = checks(replace(GOOD, os=os, power=power))["power"]
    assert found.status is Status.WARN
    assert words in found.hint


def test_heat() -> None:
    assert checks(replace(GOOD, thermal=Thermal(95.0, 12)))["heat"].status is Status.WARN
    assert checks(replace(GOOD, thermal=Thermal(60.0)))["heat"].status is Status.OK


def test_few_cores_and_old_processors_warn() -> None:
    quota = replace(GOOD, cpu=replace(GOOD.cpu, usable_cores=0.5))
    assert "--cpus" in checks(quota)["processor"].hint
    old = replace(GOOD, cpu=replace(GOOD.cpu, features=frozenset({"avx"})))
    assert "no AVX2" in checks(old)["processor"].detail
    unknown = replace(GOOD, cpu=replace(GOOD.cpu, features=frozenset()))
    assert checks(unknown)["processor"].status is Status.OK


def test_surroundings_are_told() -> None:
    around = Container("lxc", 0, "kvm", "", ("HTTPS_PROXY", "NO_PROXY"), clock_plausible=False)
    found = checks(replace(GOOD, container=around))
    assert found["surroundings"].detail == "lxc container, virtual machine (kvm)"
    assert found["proxy"].detail == "HTTPS_PROXY, NO_PROXY are set"
    assert found["clock"].status is Status.WARN
    assert "--set-version" in checks(replace(GOOD, container=Container(wsl=1)))["surroundings"].hint


def test_probe_that_failed_is_a_warning_of_its_group() -> None:
    finding = Finding("disks", FindingKind.BROKEN, "did not answer in time")
    found = checks(replace(GOOD, findings=(finding,)))["disks"]
    assert (found.status, found.group) == (Status.WARN, "machine")
