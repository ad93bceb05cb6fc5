"""Constants of the speed model, each with where it comes from.

``scripts/fit_speed.py`` fits them to published rows (tests/fit/data/measured_speeds.json), prints
this table and validates it by leaving whole machines out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GpuRates:
    """How a family of GPUs turns bandwidth into tokens.

    Attributes:
        efficiency: Share of the vendor's bandwidth that reading weights reaches.
        layer_seconds: What a block costs beside reading: launches and small operations.
        spread: High over central, and central over low.
        provenance: Rows that the numbers come from.
    """

    efficiency: float
    layer_seconds: float
    spread: float
    provenance: str


@dataclass(frozen=True, slots=True)
class CpuRates:
    """What one core can multiply, by instruction set.

    Attributes:
        products_per_second: Products of two 8-bit numbers: those of a cycle by the instruction
            set, times a usual clock.
        spread: High over central, and central over low.
        provenance: Where the numbers come from.
    """

    products_per_second: float
    spread: float
    provenance: str


@dataclass(frozen=True, slots=True)
class SpeedModel:
    """All constants of the model.

    Attributes:
        gpu: By family of GPUs.
        cpu: By instruction set.
        cache_efficiency: Share of the bandwidth that reading keys and values reaches.
        expert_layer_factor: How much more a block with experts costs beside reading.
        weights_per_product: Weights that a core gets through for each product it could compute:
            unpacking, scaling and waiting take the rest.
        cpu_efficiency: Share of main memory's bandwidth that reading weights on a CPU reaches.
            One row of Llama 3 says 0.73; the EPYC 9004, whose own figure varied from 28 to 48
            GB/s between probes, 0.82 of 40.
        numa_efficiency: What is left of that across memory nodes. One row says so: 31B in 8 bits
            at about 4 tokens a second on two Xeon 8358, half of what their bandwidth promises.
        cpu_layer_seconds: What a block costs on a CPU beside reading and multiplying; assumed.
    """

    gpu: Mapping[str, GpuRates]
    cpu: Mapping[str, CpuRates]
    cache_efficiency: float
    expert_layer_factor: float
    weights_per_product: float
    cpu_efficiency: float
    numa_efficiency: float
    cpu_layer_seconds: float


FITTED = SpeedModel(
    gpu={
        "nvidia": GpuRates(0.742, 68.4e-6, 1.4, "GTX 1660 Ti, RTX 3060, 3090, 4070"),
        "nvidia-old": GpuRates(0.527, 195e-6, 1.6, "GTX 1050 Ti, 1070"),
        "nvidia-unified": GpuRates(0.645, 285e-6, 1.6, "GB10, Jetson Thor"),
        "apple": GpuRates(0.804, 118e-6, 1.5, "M1 Max, M5 Pro; published fit of an M3 Max"),
        "amd": GpuRates(0.78, 93e-6, 1.5, "published fit of an RX 7900 XT"),
        "other": GpuRates(0.55, 150e-6, 1.8, "guess"),
    },
    cpu={
        # Bound by bandwidth in every row: what the arithmetic reaches at least.
        "avx512-vnni": CpuRates(
            128 * 3.6e9, 1.4, "two dot products of 64 bytes a cycle at 3.6 GHz; EPYC 9004"
        ),
        "avx512": CpuRates(64 * 3.0e9, 1.4, "64 products a cycle at 3 GHz; a 2-core server"),
        # No Gemma 4 rows. Llama 3 at 4 bits on AVX2 laptops: 12.3e9 weights a second on a core of
        # an i5-4278U (ai-benchmarks issue 53), at least 11.2e9 on one of an i7-7820HQ, which reads
        # at 0.73 of its bandwidth (normiebench issue 42).
        "avx2": CpuRates(190e9, 1.6, "published Llama 3 rows of two laptops"),
        "neon-dotprod": CpuRates(32 * 2.4e9, 1.5, "32 products a cycle at 2.4 GHz; Pi 5"),
        "neon": CpuRates(8 * 1.6e9, 1.6, "8 products a cycle at 1.6 GHz; Pi 4"),
        "other": CpuRates(8 * 2.0e9, 2.0, "guess"),
    },
    cache_efficiency=0.46,
    expert_layer_factor=1.52,
    weights_per_product=0.061,
    cpu_efficiency=0.75,
    numa_efficiency=0.5,
    cpu_layer_seconds=50e-6,
)
# A card whose bandwidth no table knows.
UNKNOWN_CARD_BANDWIDTH = 250e9
