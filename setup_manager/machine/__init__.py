"""What this machine is: frozen facts, the probes that read them, the checks that judge them.

May import: errors, units.
Invariant: a probe that fails costs its own fact and no other.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.machine.checks import Check, Status, machine_checks
    from setup_manager.machine.document import from_document, mask, to_document
    from setup_manager.machine.facts import (
        Basis,
        Gpu,
        Machine,
        MemoryUser,
        Power,
        Processor,
        Thermal,
        Vendor,
    )
    from setup_manager.machine.probe import (
        LocalCommands,
        System,
        live_memory,
        measure_writing,
        memory_within,
        parse_meminfo,
        parse_pressure,
        read_machine,
        read_memory_groups,
        read_thermal,
        read_used_vram,
        resident_bytes,
        this_platform,
    )

__all__ = [
    "Basis",
    "Check",
    "Gpu",
    "LocalCommands",
    "Machine",
    "MemoryUser",
    "Power",
    "Processor",
    "Status",
    "System",
    "Thermal",
    "Vendor",
    "from_document",
    "live_memory",
    "machine_checks",
    "mask",
    "measure_writing",
    "memory_within",
    "parse_meminfo",
    "parse_pressure",
    "read_machine",
    "read_memory_groups",
    "read_thermal",
    "read_used_vram",
    "resident_bytes",
    "this_platform",
    "to_document",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        checks="Check Status machine_checks",
        document="from_document mask to_document",
        facts="Basis Gpu Machine MemoryUser Power Processor Thermal Vendor",
        probe="LocalCommands System live_memory measure_writing memory_within parse_meminfo parse_pressure read_machine read_memory_groups read_thermal read_used_vram resident_bytes this_platform",
    )
