"""What fit computes: the `memory`, `speed` and `settings` shapes of the contract, as types.

Field names are those of the documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from setup_manager.fit.settings import Settings

Verdict = Literal["fits", "tight", "no"]
Limit = Literal[
    "memory bandwidth", "main memory bandwidth", "arithmetic", "latency", "context depth"
]


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """What one card takes.

    Attributes:
        name: Its name.
        used_bytes: What the model takes of it.
        free_bytes: What is free on it now.
        layers: Blocks on it.
    """

    name: str
    used_bytes: int
    free_bytes: int
    layers: int


@dataclass(frozen=True, slots=True)
class Places:
    """Bytes by place.

    Attributes:
        ram_bytes: In main memory (or unified memory).
        vram_bytes: In the memory of cards.
    """

    ram_bytes: int
    vram_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes a running model takes, by purpose and by place.

    Attributes:
        weights_bytes: The weights (all copies that cannot be reclaimed, and the mapped file).
        kv_cache_bytes: Keys and values of the context.
        compute_bytes: Scratch buffers of the engine.
        projector_bytes: Image projector, 0 without.
        overhead_bytes: Everything else: GPU context, prompt cache, the programs themselves.
        total_bytes: All of it.
        by_place: The same total by place.
        needed_bytes: Main memory that must be free: what is touched and the system cannot take
            back.
        reclaimable_bytes: Of main memory, mapped file pages the system may drop.
        untouched_bytes: Of ``compute_bytes`` in main memory, what is reserved and not touched
            while answering: the output of all tokens of a batch but the last. It counts in
            every sum and needs no memory.
        growth_bytes: What the engine may take of main memory on top while it runs, by ceilings
            that cannot be set from here; in no sum.
        gpu_layers: Layers on the GPU in this computation.
        devices: The cards in use, each with its share of ``vram_bytes``.
        confirmed: False when the file's size is computed and not known.
    """

    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    projector_bytes: int
    overhead_bytes: int
    total_bytes: int
    by_place: Places
    needed_bytes: int
    reclaimable_bytes: int = 0
    untouched_bytes: int = 0
    growth_bytes: int = 0
    gpu_layers: int = 0
    devices: tuple[DeviceUse, ...] = ()
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Speed:
    """Generated tokens per second, as a range.

    Attributes:
        tokens_per_second: Central value.
        low: Lower end of the range.
        high: Upper end of the range.
        limited_by: What binds.
        basis: Where the figure comes from: measured here / vendor figure / guess.
    """

    tokens_per_second: float
    low: float
    high: float
    limited_by: Limit
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A model on a machine: what it takes, how fast it is, whether it works.

    Attributes:
        settings: What all of it holds for.
        memory: Bytes by purpose and place.
        speed: Tokens per second.
        verdict: Whether it works.
        available_bytes: Main memory that can be had.
        headroom_bytes: Of it, what should stay free.
        shortfall_bytes: Memory that is missing to run at all, 0 when it runs.
        longest_context: The longest context that fits with the headroom kept, 0 if none does.
    """

    settings: Settings
    memory: Memory
    speed: Speed
    verdict: Verdict
    available_bytes: int
    headroom_bytes: int
    shortfall_bytes: int
    longest_context: int
