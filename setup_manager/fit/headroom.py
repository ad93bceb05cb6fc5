"""How much memory is left alone, so that the machine stays usable.

The rule: of what is available now, half a gibibyte and a sixteenth of all memory stay free, at most
4 GiB. What programs hold already is not available and so is not counted; this is what a browser and
an editor grow by while the model runs. In a container there is no desktop: a sixteenth of its
limit, at least 128 MiB. On a card 1,024 MiB stay free, as llama.cpp's own fitting has it.
"""

from __future__ import annotations

from dataclasses import dataclass

from setup_manager.fit.placement import usable_gpus
from setup_manager.fit.results import MemoryUse, Verdict
from setup_manager.machine import Machine
from setup_manager.units import GIB, MIB

MOST_BYTES = 4 * GIB


def default_headroom(machine: Machine) -> int:
    """Give the bytes of main memory that stay free by the rule above."""
    limit = machine.memory.limit_bytes
    if limit is not None and limit < machine.memory.total_bytes:
        return max(128 * MIB, min(MOST_BYTES, limit // 16))
    return min(MOST_BYTES, 512 * MIB + machine.memory.total_bytes // 16)


@dataclass(frozen=True, slots=True)
class Fit:
    """How a use of memory compares with what is free.

    Attributes:
        verdict: Whether it works.
        spare_bytes: What is left above the headroom in the scarcer place; negative if it eats
            into the headroom.
        shortfall_bytes: What is missing to run at all; 0 when it runs.
    """

    verdict: Verdict
    spare_bytes: int
    shortfall_bytes: int


def compare(use: MemoryUse, machine: Machine, headroom_bytes: int) -> Fit:
    """Hold a use of memory against what a machine has free."""
    free = available_bytes(use, machine)
    spare = free - headroom_bytes - use.needed_bytes
    shortfall = max(0, use.needed_bytes - free)
    for device in use.devices:
        shortfall = max(shortfall, device.used_bytes - device.free_bytes)
    if shortfall > 0:
        return Fit(Verdict.NO, spare, shortfall)
    return Fit(Verdict.FITS if spare >= 0 else Verdict.TIGHT, spare, 0)


def available_bytes(use: MemoryUse, machine: Machine) -> int:
    """Give the main memory that can be had; on unified memory what the GPU may use of it."""
    free = machine.memory.available_bytes
    gpus = usable_gpus(machine)
    if gpus and gpus[0].unified and use.gpu_layers:
        return min(free, gpus[0].free_bytes)
    return free
