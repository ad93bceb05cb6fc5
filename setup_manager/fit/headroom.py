"""How much memory is left alone, so that the machine stays usable, and what fits beside it.

The rule: of what is available now, half a gibibyte and a sixteenth of all memory stay free, at most
4 GiB. What programs hold already is not available and so is not counted; this is what a browser and
an editor grow by while the model runs. In a container there is no desktop: a sixteenth of its
limit, at least 128 MiB. On a card 1,024 MiB stay free, as llama.cpp's own fitting has it.
"""

from __future__ import annotations

from dataclasses import dataclass

from setup_manager.fit.load import Load
from setup_manager.fit.memory import memory_of
from setup_manager.fit.placement import usable_gpus
from setup_manager.fit.results import Memory, Verdict
from setup_manager.machine import Machine
from setup_manager.units import GIB, MIB

MOST_BYTES = 4 * GIB
_CONTEXT_STEP = 1024


def default_headroom(machine: Machine) -> int:
    """Give the bytes of main memory that stay free by the rule above."""
    limit = machine.memory.limit_bytes
    if limit is not None and limit < machine.memory.total_bytes:
        return max(128 * MIB, min(MOST_BYTES, limit // 16))
    return min(MOST_BYTES, 512 * MIB + machine.memory.total_bytes // 16)


@dataclass(frozen=True, slots=True)
class Held:
    """A use of memory held against what is free.

    Attributes:
        memory: The use.
        available_bytes: Main memory that can be had; on unified memory what the GPU may use of it.
        verdict: Whether it works.
        shortfall_bytes: What is missing to run at all, 0 when it runs.
    """

    memory: Memory
    available_bytes: int
    verdict: Verdict
    shortfall_bytes: int


def hold(load: Load, headroom_bytes: int) -> Held:
    """Hold what a model takes against what its machine has free."""
    memory = memory_of(load)
    free = _available_bytes(memory, load.machine)
    missing = [memory.needed_bytes - free]
    missing += [device.used_bytes - device.free_bytes for device in memory.devices]
    shortfall = max(0, *missing)
    if shortfall > 0:
        return Held(memory, free, "no", shortfall)
    tight = free - headroom_bytes < memory.needed_bytes
    return Held(memory, free, "tight" if tight else "fits", 0)


def _available_bytes(memory: Memory, machine: Machine) -> int:
    free = machine.memory.available_bytes
    gpus = usable_gpus(machine)
    if gpus and gpus[0].unified and memory.gpu_layers:
        return min(free, gpus[0].free_bytes)
    return free


def longest_context(load: Load, headroom_bytes: int) -> int:
    """Find the longest context that fits; in steps of 1,024 tokens, 0 for none.

    A longer context never takes less, so that the ends decide most models and halving the rest.
    """

    def fits(steps: int) -> bool:
        return hold(load.at(steps * _CONTEXT_STEP), headroom_bytes).verdict == "fits"

    low, high = 1, load.architecture.context_length // _CONTEXT_STEP
    if not high or not fits(low):
        return 0
    if fits(high):
        return high * _CONTEXT_STEP
    while low + 1 < high:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low * _CONTEXT_STEP
