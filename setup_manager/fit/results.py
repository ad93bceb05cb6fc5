"""What fit computes: the `memory` and `speed` shapes of the contract, as types."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
class MemoryUse:
    """Bytes a running model takes, by purpose and by place.

    Attributes:
        weights_bytes: The weights (all copies that cannot be reclaimed, and the mapped file).
        kv_cache_bytes: Keys and values of the context.
        compute_bytes: Scratch buffers of the engine.
        projector_bytes: Image projector, 0 without.
        overhead_bytes: Everything else: GPU context, prompt cache, the programs themselves.
        ram_bytes: Of the total, in main memory (or unified memory).
        vram_bytes: Of the total, in the memory of a card.
        reclaimable_bytes: Of ``ram_bytes``, mapped file pages the system may drop.
        untouched_bytes: Of ``compute_bytes`` in main memory, what is reserved and not touched
            while answering: the output of all tokens of a batch but the last. It counts in
            every sum and needs no memory.
        gpu_layers: Layers on the GPU in this computation.
        confirmed: False when the file's size is computed and not known.
        growth_bytes: What the engine may take of main memory on top while it runs, by ceilings
            that cannot be set from here; in no sum.
        devices: The cards in use, each with its share of ``vram_bytes``.
    """

    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    projector_bytes: int
    overhead_bytes: int
    ram_bytes: int
    vram_bytes: int
    reclaimable_bytes: int = 0
    untouched_bytes: int = 0
    gpu_layers: int = 0
    confirmed: bool = True
    growth_bytes: int = 0
    devices: tuple[DeviceUse, ...] = ()

    @property
    def needed_bytes(self) -> int:
        """Main memory that must be free: what is touched and the system cannot take back."""
        return self.ram_bytes - self.reclaimable_bytes - self.untouched_bytes

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return (
            self.weights_bytes
            + self.kv_cache_bytes
            + self.compute_bytes
            + self.projector_bytes
            + self.overhead_bytes
        )


@dataclass(frozen=True, slots=True)
class Speed:
    """Generated tokens per second, as a range.

    Attributes:
        tokens_per_second: Central value.
        low: Lower end of the range.
        high: Upper end of the range.
        limited_by: What binds: ``"memory bandwidth"``, ``"arithmetic"``, ``"latency"``, …
        basis: Where the figure comes from: measured here / vendor figure / guess.
    """

    tokens_per_second: float
    low: float
    high: float
    limited_by: str
    basis: str


class Verdict(StrEnum):
    """Whether a choice works on a machine."""

    FITS = "fits"
    TIGHT = "tight"
    NO = "no"
