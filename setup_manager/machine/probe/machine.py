"""All probes side by side, each with a time limit: none can crash or hold up the whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from setup_manager.machine.facts import (
    Bandwidth,
    Container,
    Disk,
    Finding,
    FindingKind,
    Gpu,
    Machine,
    Memory,
    Power,
    Processor,
    Thermal,
)
from setup_manager.machine.probe import apple, cpu, drm, nvidia, power, windows
from setup_manager.machine.probe import memory as linux_memory
from setup_manager.machine.probe.bandwidth import bandwidth_from, measure_reading
from setup_manager.machine.probe.disk import RoomReader, read_disks, read_room
from setup_manager.machine.probe.nvidia import GpuAnswer
from setup_manager.machine.probe.surroundings import read_surroundings
from setup_manager.machine.probe.system import CommandRunner, LocalCommands, System
from setup_manager.machine.probe.vulkan import read_vulkan
from setup_manager.machine.vendor import gpu_bandwidth
from setup_manager.platforms import Platform, this_platform

PROBE_SECONDS = 8.0
"""More than the longest chain of command limits in one probe."""

T = TypeVar("T")
BandwidthMeter = Callable[[float, int, int], float]
"""Usable cores, available bytes and cache bytes → bytes per second."""


class _Round:
    """Probes side by side, each in a thread of its own, under one time limit."""

    def __init__(self, seconds: float) -> None:
        self.findings: list[Finding] = []
        self._deadline = time.monotonic() + seconds

    def start(self, name: str, work: Callable[[], T], instead: T) -> Callable[[], T]:
        """Start a probe.

        Args:
            name: Names it in a finding.
            work: The probe.
            instead: Stands in for its answer when it fails or hangs.

        Returns:
            Waits for the answer. A thread that hangs is left behind; it ends with the process.
        """
        answers: list[T] = []
        errors: list[Exception] = []

        def run() -> None:
            try:
                answers.append(work())
            except Exception as error:  # noqa: BLE001 - whatever a probe meets is a finding
                errors.append(error)

        thread = threading.Thread(target=run, name=f"probe {name}", daemon=True)
        thread.start()

        def wait() -> T:
            thread.join(max(self._deadline - time.monotonic(), 0.0))
            if answers:
                return answers[0]
            detail = "did not answer in time"
            if errors:
                detail = f"failed: {type(errors[0]).__name__}: {errors[0]}"
            self.findings.append(Finding(name, FindingKind.BROKEN, detail))
            return instead

        return wait


_UNKNOWN_MEMORY = Memory(0, None, 0, "unknown")
_UNKNOWN_PROCESSOR = Processor("unknown", 1, 1, 1.0)


def read_machine(
    root: Path = Path("/"),
    run: CommandRunner | None = None,
    *,
    places: Mapping[str, Path] | None = None,
    environment: Mapping[str, str] | None = None,
    now: float | None = None,
    platform: Platform | None = None,
    room_of: RoomReader = read_room,
    meter: BandwidthMeter | None = measure_reading,
    seconds: float = PROBE_SECONDS,
) -> Machine:
    """Read everything that decisions are made from.

    Args:
        root: Where the machine's file system starts.
        run: Runs its commands; on this machine, in `environment`, by default.
        places: Paths that matter, by purpose: ``"models"``, ``"ollama"``, ``"temporary"`` …
        environment: Variables for commands (``PATH``) and for the proxies.
        now: The clock, in Unix seconds; None where it is not to be judged.
        platform: The operating system; this one by default.
        room_of: Tells how much room there is under a path.
        meter: Measures memory bandwidth; None to guess.
        seconds: Time limit of each of the two rounds of probes.

    Returns:
        The machine. A probe that fails or hangs leaves its part unknown and a finding.
    """
    environment = environment or {}
    system = System(root, run or LocalCommands(environment), platform or this_platform())
    basis = _Round(seconds)
    processor, memory = _read_basis(system, basis)

    rest = _Round(seconds)
    nothing: GpuAnswer = ((), ())
    no_disks: tuple[Disk, ...] = ()
    no_findings: tuple[Finding, ...] = ()
    cards = rest.start("nvidia-smi", lambda: _read_nvidia(system, memory), nothing)
    others = rest.start("gpus", lambda: _read_gpus(system, memory), nothing)
    bandwidth = rest.start(
        "memory-bandwidth",
        lambda: _measure(system, processor, memory, meter),
        bandwidth_from(0, system.platform.arch),
    )
    disks = rest.start("disks", lambda: read_disks(system, places or {}, room_of), no_disks)
    power_state = rest.start("power", lambda: _read_power(system), Power())
    thermal = rest.start("thermal", lambda: power.read_thermal(system), Thermal())
    supply = rest.start("power-supply", lambda: power.read_undervoltage(system), no_findings)
    around = rest.start(
        "surroundings", lambda: read_surroundings(system, environment, now), Container()
    )
    nvidia_gpus, nvidia_findings = cards()
    other_gpus, other_findings = others()
    machine = Machine(
        os=system.platform.os,
        os_version=system.platform.version,
        arch=system.platform.arch,
        cpu=processor,
        memory=memory,
        memory_bandwidth_bytes_per_second=bandwidth(),
        gpus=order_gpus((*nvidia_gpus, *other_gpus)),
        disks=disks(),
        power=power_state(),
        thermal=thermal(),
        container=around(),
    )
    supply_findings = supply()
    findings = (*nvidia_findings, *other_findings, *supply_findings)
    return replace(machine, findings=(*findings, *basis.findings, *rest.findings))


def _read_basis(system: System, basis: _Round) -> tuple[Processor, Memory]:
    """Read what other probes build on."""
    readers = {
        "linux": (cpu.read_processor, linux_memory.read_memory),
        "macos": (apple.read_processor, apple.read_memory),
    }
    read_processor, read_memory = readers.get(
        system.platform.os, (windows.read_processor, windows.read_memory)
    )
    processor = basis.start("cpu", lambda: read_processor(system), _UNKNOWN_PROCESSOR)
    memory = basis.start("memory", lambda: read_memory(system), _UNKNOWN_MEMORY)
    found = processor(), memory()
    if found[1].total_bytes == 0:
        detail = "the amount of memory cannot be read"
        basis.findings.append(Finding("memory", FindingKind.BROKEN, detail))
    return found


def _measure(
    system: System, processor: Processor, memory: Memory, meter: BandwidthMeter | None
) -> Bandwidth:
    measured = 0.0
    if meter is not None:
        caches = cpu.last_level_cache_bytes(system)
        measured = meter(processor.usable_cores, memory.available_bytes, caches)
    return bandwidth_from(measured, system.platform.arch)


def _read_gpus(system: System, memory: Memory) -> GpuAnswer:
    if system.platform.os == "linux":
        return drm.read_drm(system, memory, read_vulkan(system))
    if system.platform.os == "macos":
        return apple.read_gpus(system, memory)
    return windows.read_gpus(system, memory), ()


def _read_nvidia(system: System, memory: Memory) -> GpuAnswer:
    """Ask nvidia-smi; no Mac has had such a GPU since 2015."""
    if system.platform.os == "macos":
        return (), ()
    return nvidia.read_nvidia(system, memory)


def _read_power(system: System) -> Power:
    readers = {"linux": power.read_power, "macos": apple.read_power}
    return readers.get(system.platform.os, windows.read_power)(system)


def read_used_vram(system: System, memory: Memory) -> int:
    """Read how much memory of all cards is in use now, in bytes; 0 without a card."""
    gpus = (*_read_nvidia(system, memory)[0], *_read_gpus(system, memory)[0])
    return sum(gpu.total_bytes - gpu.free_bytes for gpu in gpus if not gpu.unified)


def order_gpus(gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """Put cards first, the one with most free memory in front, and look their bandwidth up."""
    known = (
        replace(gpu, bandwidth_bytes_per_second=gpu_bandwidth(gpu.name, gpu.total_bytes))
        for gpu in gpus
    )
    return tuple(sorted(known, key=lambda gpu: (gpu.integrated, -gpu.free_bytes)))
