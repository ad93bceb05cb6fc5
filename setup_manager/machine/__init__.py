"""What this machine is: frozen facts, the probes that read them, the checks that judge them.

May import: errors, units, codec, platforms.
Invariant: a probe that fails costs its own fact and no other.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.machine.checks import Check, Status, machine_checks
    from setup_manager.machine.document import from_document
    from setup_manager.machine.facts import Basis, Gpu, Machine, Vendor
    from setup_manager.machine.live import Live, ProcessMemory, Reading
    from setup_manager.machine.probe import read_machine

__all__ = [
    "Basis",
    "Check",
    "Gpu",
    "Live",
    "Machine",
    "ProcessMemory",
    "Reading",
    "Status",
    "Vendor",
    "from_document",
    "machine_checks",
    "read_machine",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        checks="Check Status machine_checks",
        document="from_document",
        facts="Basis Gpu Machine Vendor",
        live="Live ProcessMemory Reading",
        probe="read_machine",
    )
