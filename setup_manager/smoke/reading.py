"""Readings of the machine and of a process, cheap enough to take ten times a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from setup_manager.machine.facts import Thermal
from setup_manager.machine.probe.cgroup import read_memory_groups
from setup_manager.machine.probe.memory import memory_within, parse_meminfo, parse_pressure
from setup_manager.machine.probe.system import System
from setup_manager.smoke.guard import Reading
from setup_manager.smoke.report import ProcessMemory
from setup_manager.units import KIB

_STAT_MAJOR_FAULTS = 9


def machine_reader(
    system: System, thermal: Callable[[], Thermal] = Thermal
) -> Callable[[], Reading]:
    """Return a function that reads the state of a Linux machine.

    Args:
        system: Where its files are.
        thermal: Reads temperature and throttling; without it heat is unknown.
    """

    def read() -> Reading:
        meminfo = parse_meminfo(system.read("/proc/meminfo") or "")
        groups = read_memory_groups(system)
        total, limit, available, _ = memory_within(meminfo, groups)
        heat = thermal()
        return Reading(
            at_seconds=time.monotonic(),
            available_bytes=available,
            capacity_bytes=limit or total,
            pressure_percent=parse_pressure(system.read("/proc/pressure/memory") or ""),
            swapped_in_pages=_swapped_in(system.read("/proc/vmstat") or ""),
            celsius=heat.hottest_celsius,
            throttle_count=heat.throttle_count,
        )

    return read


def process_reader(system: System) -> Callable[[int], ProcessMemory | None]:
    """Return a function that reads the memory of a process from ``/proc/PID``."""

    def read(pid: int) -> ProcessMemory | None:
        status = _status_fields(system.read(f"/proc/{pid}/status") or "")
        if "VmRSS" not in status:
            return None
        return ProcessMemory(
            peak_bytes=status.get("VmHWM", status["VmRSS"]),
            anonymous_bytes=status.get("RssAnon", 0) + status.get("RssShmem", 0),
            mapped_bytes=status.get("RssFile", 0),
            major_faults=_major_faults(system.read(f"/proc/{pid}/stat") or ""),
        )

    return read


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
