"""Readings of the machine and of a process, cheap enough to take ten times a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from setup_manager.machine.facts import Machine, Thermal
from setup_manager.machine.probe import (
    LocalCommands,
    System,
    measure_writing,
    memory_within,
    parse_meminfo,
    parse_pressure,
    read_memory_groups,
    read_thermal,
    read_used_vram,
)
from setup_manager.platforms import this_platform
from setup_manager.units import KIB

_STAT_MAJOR_FAULTS = 9
_HEAT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of the machine at one moment.

    Attributes:
        at_seconds: On a monotonic clock.
        available_bytes: Memory to be had without swapping, container limits included.
        capacity_bytes: What this process may use at most: the machine's memory or a limit; 0 if
            memory cannot be read.
        pressure_percent: PSI ``some avg10``, None without PSI.
        swapped_in_pages: Pages read back from swap since boot, None if unknown.
        celsius: Hottest processor sensor, None if unknown.
        throttle_count: Times the CPU was slowed by heat since boot, None if unknown.
    """

    at_seconds: float
    available_bytes: int
    capacity_bytes: int
    pressure_percent: float | None = None
    swapped_in_pages: int | None = None
    celsius: float | None = None
    throttle_count: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Memory of one process at its peak.

    Attributes:
        peak_bytes: Largest resident size.
        anonymous_bytes: Of it at that moment, memory that only swap could free.
        mapped_bytes: Of it at that moment, pages of mapped files, which can be dropped.
        major_faults: Times it waited for the disk to give a page.
    """

    peak_bytes: int = 0
    anonymous_bytes: int = 0
    mapped_bytes: int = 0
    major_faults: int = 0


class Live:
    """A machine as it is at this moment.

    Args:
        machine: What is known of it.
        environment: Variables for the commands that read its sensors.
    """

    def __init__(self, machine: Machine, environment: Mapping[str, str]) -> None:
        system = System(Path("/"), LocalCommands(environment), this_platform())
        self._machine = machine
        self._system = system
        self.read = machine_reader(system, lambda: read_thermal(system))
        self.read_process = process_reader(system)

    @property
    def used_vram_bytes(self) -> Callable[[], int] | None:
        """Reads the used memory of all cards; None where there is none to read."""
        if all(gpu.unified for gpu in self._machine.gpus):
            return None
        return lambda: read_used_vram(self._system, self._machine.memory)

    @staticmethod
    def measure_writing(folder: Path) -> float:
        """Measure how fast a folder takes a file, in bytes per second; see the probe."""
        return measure_writing(folder)


def machine_reader(
    system: System, thermal: Callable[[], Thermal] = Thermal
) -> Callable[[], Reading]:
    """Return a function that reads the state of a machine.

    Args:
        system: Where its files are. Off Linux only memory is read, by psutil.
        thermal: Reads temperature and throttling, asked once a second since sensors are slow;
            without it heat is unknown.
    """
    heat = _OncePer(_HEAT_SECONDS, thermal)
    read = _read_linux if system.platform.os == "linux" else _read_elsewhere
    return lambda: read(system, heat())


def process_reader(system: System) -> Callable[[int], ProcessMemory | None]:
    """Return a function that reads the memory of a process; off Linux only its resident size."""
    if system.platform.os == "linux":
        return lambda pid: _process_on_linux(system, pid)
    return _process_elsewhere


class _OncePer:
    """A reading that is taken at most once in some seconds."""

    def __init__(self, seconds: float, read: Callable[[], Thermal]) -> None:
        self._seconds = seconds
        self._read = read
        self._due = 0.0
        self._last = Thermal()

    def __call__(self) -> Thermal:
        now = time.monotonic()
        if now >= self._due:
            self._last, self._due = self._read(), now + self._seconds
        return self._last


def _read_linux(system: System, heat: Thermal) -> Reading:
    meminfo = parse_meminfo(system.read("/proc/meminfo") or "")
    total, limit, available, _ = memory_within(meminfo, read_memory_groups(system))
    return Reading(
        at_seconds=time.monotonic(),
        available_bytes=available,
        capacity_bytes=limit or total,
        pressure_percent=parse_pressure(system.read("/proc/pressure/memory") or ""),
        swapped_in_pages=_swapped_in(system.read("/proc/vmstat") or ""),
        celsius=heat.hottest_celsius,
        throttle_count=heat.throttle_count,
    )


def _read_elsewhere(_: System, heat: Thermal) -> Reading:
    import psutil

    memory = psutil.virtual_memory()
    return Reading(
        at_seconds=time.monotonic(),
        available_bytes=int(memory.available),
        capacity_bytes=int(memory.total),
        celsius=heat.hottest_celsius,
        throttle_count=heat.throttle_count,
    )


def _process_on_linux(system: System, pid: int) -> ProcessMemory | None:
    status = _status_fields(system.read(f"/proc/{pid}/status") or "")
    if "VmRSS" not in status:
        return None
    return ProcessMemory(
        peak_bytes=status.get("VmHWM", status["VmRSS"]),
        anonymous_bytes=status.get("RssAnon", 0) + status.get("RssShmem", 0),
        mapped_bytes=status.get("RssFile", 0),
        major_faults=_major_faults(system.read(f"/proc/{pid}/stat") or ""),
    )


def _process_elsewhere(pid: int) -> ProcessMemory | None:
    import psutil

    try:
        return ProcessMemory(peak_bytes=int(psutil.Process(pid).memory_info().rss))
    except psutil.Error:  # gone, or not ours to see
        return None


def _status_fields(text: str) -> dict[str, int]:
    """Read the sizes of ``/proc/PID/status`` as bytes; its ``kB`` are KiB (proc_pid_status(5))."""
    fields = (line.partition(":") for line in text.splitlines())
    return {
        name: int(value.split()[0]) * KIB
        for name, _, value in fields
        if value.strip().endswith("kB") and value.split()[0].isdecimal()
    }


def _major_faults(stat: str) -> int:
    """Read field 12 of ``/proc/PID/stat``, counted behind the name, which may contain anything."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[_STAT_MAJOR_FAULTS]) if len(fields) > _STAT_MAJOR_FAULTS else 0


def _swapped_in(vmstat: str) -> int | None:
    for line in vmstat.splitlines():
        name, _, value = line.partition(" ")
        if name == "pswpin" and value.strip().isdecimal():
            return int(value)
    return None
