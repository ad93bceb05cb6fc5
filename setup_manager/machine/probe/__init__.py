"""Probes: one module a source, each reading what the system says and nothing else.

May import: facts and the rooms below.
Invariant: every probe has a time limit, and its failure costs its own fact alone.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.machine.probe.cgroup import read_memory_groups
    from setup_manager.machine.probe.disk import measure_writing
    from setup_manager.machine.probe.machine import read_machine, read_used_vram
    from setup_manager.machine.probe.memory import memory_within, parse_meminfo, parse_pressure
    from setup_manager.machine.probe.power import read_thermal
    from setup_manager.machine.probe.system import LocalCommands, System

__all__ = [
    "LocalCommands",
    "System",
    "measure_writing",
    "memory_within",
    "parse_meminfo",
    "parse_pressure",
    "read_machine",
    "read_memory_groups",
    "read_thermal",
    "read_used_vram",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        cgroup="read_memory_groups",
        disk="measure_writing",
        machine="read_machine read_used_vram",
        memory="memory_within parse_meminfo parse_pressure",
        power="read_thermal",
        system="LocalCommands System",
    )
