"""Fitted constants of the speed model, each with where it comes from.

Written by hand from the output of ``scripts/fit_speed.py`` (which prints this table and the
leave-one-machine-out validation); the rows are in tests/fit/data/measured_speeds.json.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GpuRates:
    """How a family of GPUs turns bandwidth into tokens.

    Attributes:
        efficiency: Share of the vendor's bandwidth that reading weights reaches.
        cache_efficiency: The same for keys and values.
        token_seconds: What a token costs beside reading (launches, synchronization).
        layer_seconds: The same, for each block.
        spread: High over central, and central over low.
        provenance: Where the numbers come from.
    """

    efficiency: float
    cache_efficiency: float
    token_seconds: float
    layer_seconds: float
    spread: float
    provenance: str


@dataclass(frozen=True, slots=True)
class CpuRates:
    """What one core multiplies, by instruction set.

    Attributes:
        weights_per_second: 4-bit weights that one core multiplies in a second.
        spread: High over central, and central over low.
        provenance: Where the numbers come from.
    """

    weights_per_second: float
    spread: float
    provenance: str


GPU_RATES = {
    "nvidia": GpuRates(0.68, 0.5, 0.0008, 0.00004, 1.45, "RTX 3060, 3090, 4070, GTX 1660 Ti"),
    "nvidia-old": GpuRates(0.41, 0.35, 0.001, 0.00003, 1.6, "GTX 1050 Ti, 1070"),
    "nvidia-unified": GpuRates(0.52, 0.4, 0.002, 0.00005, 1.6, "Jetson Thor, GB10"),
    "apple": GpuRates(0.75, 0.5, 0.0044, 0.0, 1.45, "M1 Max, M5 Pro; published M3 Max fit"),
    "amd": GpuRates(0.78, 0.5, 0.0037, 0.0, 1.45, "published fit of an RX 7900 XT"),
    "other": GpuRates(0.5, 0.35, 0.005, 0.0, 1.8, "guess"),
}
CPU_RATES = {
    "avx512": CpuRates(11e9, 1.4, "2 cores of an EPYC with AVX-512, measured with llama-bench"),
    "avx2": CpuRates(6.5e9, 1.6, "guess from the AVX-512 figure at half the width"),
    "neon-dotprod": CpuRates(4.0e9, 1.5, "Raspberry Pi 5 (Cortex-A76)"),
    "neon": CpuRates(0.95e9, 1.5, "Raspberry Pi 4 (Cortex-A72)"),
    "other": CpuRates(1.0e9, 2.0, "guess"),
}
CPU_EFFICIENCY = 0.75
CPU_CACHE_EFFICIENCY = 0.4
CPU_TOKEN_SECONDS = 0.002
# A card whose bandwidth no table knows.
UNKNOWN_CARD_BANDWIDTH = 250e9
