"""Tokens per second, as a range that is kept.

    seconds per token = weights read / (efficiency * bandwidth)      on each device
                      + what a token and a block cost beside reading
                      + keys and values read / (cache efficiency * bandwidth)

On a CPU the slower of reading and multiplying counts: few cores are bound by arithmetic before
memory is. Experts that a token does not use are not read, and of the per-layer embeddings one row
is. The constants and their origin are in `speed_constants`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from setup_manager.catalog.variant import Architecture
from setup_manager.fit import speed_constants as constants
from setup_manager.fit.placement import Placement, place
from setup_manager.fit.results import Speed
from setup_manager.fit.settings import KvType, Settings
from setup_manager.fit.speed_constants import CpuRates, GpuRates
from setup_manager.fit.tensors import is_global
from setup_manager.fit.weights import (
    WeightsFacts,
    read_bytes_per_token,
    read_elements_per_token,
)
from setup_manager.machine.facts import Basis, Gpu, Machine, Power, Processor, Vendor

# Depth that a speed holds for when none is given: a conversation that has begun.
USUAL_DEPTH = 2048
_KV_ELEMENT_BYTES = {KvType.F16: 2.0, KvType.Q8_0: 34 / 32, KvType.Q4_0: 18 / 32}
_OLD_NVIDIA = ("GTX 10", "GTX 9", "TITAN X", "TESLA P", "TESLA M", "QUADRO P", "QUADRO M")


@dataclass(frozen=True, slots=True)
class Measurement:
    """A speed that was measured on this machine, beside what had been predicted.

    Attributes:
        model: Canonical name of the model.
        settings: How it was started.
        predicted: Tokens per second as predicted at that time, without measurements.
        measured: Tokens per second that came.
    """

    model: str
    settings: Settings
    predicted: float
    measured: float


@dataclass(slots=True)
class _Terms:
    """Seconds of one token, by what they are spent on."""

    seconds: dict[str, float] = field(default_factory=dict)
    spread: float = 1.0
    basis: Basis = Basis.VENDOR

    def add(self, name: str, seconds: float) -> None:
        """Add to a term."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    @property
    def total(self) -> float:
        """All terms."""
        return sum(self.seconds.values())

    @property
    def largest(self) -> str:
        """The term that takes most."""
        return max(self.seconds, key=lambda name: self.seconds[name])


def speed(
    architecture: Architecture,
    weights: WeightsFacts,
    settings: Settings,
    machine: Machine,
    *,
    depth: int | None = None,
    measurements: Sequence[Measurement] = (),
) -> Speed:
    """Predict how many tokens a second are generated.

    Args:
        architecture: The variant's constants.
        weights: What the file is made of.
        settings: How it will be started.
        machine: Where.
        depth: Tokens already in the context; None for a conversation that has begun.
        measurements: Speeds measured on this machine; they correct and narrow the range.

    Returns:
        A central value and a range, with what binds and where the figure comes from.
    """
    tokens = min(settings.context, USUAL_DEPTH if depth is None else depth)
    placement = place(architecture, weights, settings, machine)
    terms = _terms(architecture, weights, settings, machine, placement, tokens)
    central, spread = 1 / terms.total, terms.spread
    basis = terms.basis
    slow, slower, slowest = _power_factors(machine.power)
    low, high = central / slower / spread * 1.0, central / slow * spread
    low = min(low, central / slowest)
    central = central / slower
    low, high = min(low, central), max(high, central)
    if settings.drafter:
        gain = 1.1 if architecture.experts is not None else 1.4
        central, high = central * gain, high * 2.0
        basis = Basis.GUESS
    result = Speed(central, low, high, terms.largest, basis.value)
    return _corrected(result, measurements)


def _terms(
    architecture: Architecture,
    weights: WeightsFacts,
    settings: Settings,
    machine: Machine,
    placement: Placement,
    depth: int,
) -> _Terms:
    terms = _Terms()
    total = read_bytes_per_token(architecture, weights)
    on_gpus = 0.0
    for share in placement.devices:
        part = _read_share(architecture, weights, share.layers, output=share.output)
        on_gpus += part
        cache = _cache_read(architecture, settings, share.layers, depth)
        layers = len(share.layers)
        _add_gpu(terms, share.gpu, machine, part * total, cache, layers)
    if placement.cpu_layers:
        cache = _cache_read(architecture, settings, placement.cpu_layers, depth)
        elements = read_elements_per_token(architecture)
        rest = max(0.0, 1 - on_gpus)
        _add_cpu(terms, machine, rest * total, rest * elements, cache)
        if placement.devices:
            terms.spread = max(terms.spread, 1.6)
    return terms


def _read_share(
    architecture: Architecture, weights: WeightsFacts, layers: Sequence[int], *, output: bool
) -> float:
    """Share of the weights a token reads that lies in these layers."""
    total = read_bytes_per_token(architecture, weights)
    blocks = sum(weights.layer_bytes)
    read_blocks = total - weights.token_embedding_bytes
    part = sum(weights.layer_bytes[layer] for layer in layers) / blocks * read_blocks
    return (part + (weights.token_embedding_bytes if output else 0)) / total


def _cache_read(
    architecture: Architecture, settings: Settings, layers: Sequence[int], depth: int
) -> float:
    """Bytes of keys and values that one token reads; layers that share a cache read it too."""
    pair = _KV_ELEMENT_BYTES[settings.key_type] + _KV_ELEMENT_BYTES[settings.value_type]
    total = 0
    for layer in layers:
        if is_global(architecture, layer):
            total += architecture.kv_heads_global * architecture.head_dim_global * depth
        else:
            cells = min(depth, architecture.sliding_window)
            total += architecture.kv_heads_local * architecture.head_dim_local * cells
    return total * pair


def gpu_family(gpu: Gpu) -> str:
    """Name the family whose constants a GPU goes by."""
    name = gpu.name.upper()
    if gpu.vendor is Vendor.NVIDIA:
        if gpu.unified:
            return "nvidia-unified"
        return "nvidia-old" if any(old in name for old in _OLD_NVIDIA) else "nvidia"
    return {Vendor.APPLE: "apple", Vendor.AMD: "amd"}.get(gpu.vendor, "other")


def _add_gpu(
    terms: _Terms, gpu: Gpu, machine: Machine, read: float, cache: float, layers: int
) -> None:
    rates: GpuRates = constants.GPU_RATES[gpu_family(gpu)]
    bandwidth, terms.basis = _gpu_bandwidth(gpu, machine)
    terms.add("memory bandwidth", read / (rates.efficiency * bandwidth))
    terms.add("latency", rates.token_seconds + rates.layer_seconds * layers)
    terms.add("context depth", cache / (rates.cache_efficiency * bandwidth))
    guessed = 1.5 if terms.basis is Basis.GUESS else 1.0
    terms.spread = max(terms.spread, rates.spread * guessed)


def _gpu_bandwidth(gpu: Gpu, machine: Machine) -> tuple[float, Basis]:
    if gpu.bandwidth_bytes_per_second is not None:
        return gpu.bandwidth_bytes_per_second, Basis.VENDOR
    if gpu.unified:
        return machine.bandwidth.bytes_per_second, machine.bandwidth.basis
    return constants.UNKNOWN_CARD_BANDWIDTH, Basis.GUESS


def cpu_family(cpu: Processor, arch: str) -> str:
    """Name the instruction set whose constants a CPU goes by."""
    features = cpu.features
    if features & {"avx512f", "avx512"}:
        return "avx512"
    if "avx2" in features:
        return "avx2"
    if features & {"dotprod", "asimddp", "i8mm", "matmul_int8"}:
        return "neon-dotprod"
    if arch in ("arm64", "aarch64") or "neon" in features:
        return "neon"
    return "other"


def _add_cpu(terms: _Terms, machine: Machine, read: float, elements: float, cache: float) -> None:
    rates: CpuRates = constants.CPU_RATES[cpu_family(machine.cpu, machine.arch)]
    cores = max(0.25, min(machine.cpu.usable_cores, float(machine.cpu.physical_cores)))
    bandwidth = machine.bandwidth.bytes_per_second
    reading = read / (constants.CPU_EFFICIENCY * bandwidth)
    multiplying = elements / (cores * rates.weights_per_second)
    binding = "main memory bandwidth" if terms.seconds else "memory bandwidth"
    terms.add(binding if reading >= multiplying else "arithmetic", max(reading, multiplying))
    terms.add("latency", constants.CPU_TOKEN_SECONDS)
    terms.add("context depth", cache / (constants.CPU_CACHE_EFFICIENCY * bandwidth))
    if reading >= multiplying or not terms.seconds:
        terms.basis = machine.bandwidth.basis
    guessed = 1.3 if machine.bandwidth.basis is Basis.GUESS else 1.0
    terms.spread = max(terms.spread, rates.spread * guessed)


def _power_factors(power: Power) -> tuple[float, float, float]:
    """How many times slower a machine is at best, likely, at worst.

    Published comparisons of laptops: 1.4 to 3.8 times slower on battery or in a saving mode.
    """
    saving = any(word in power.mode.lower() for word in ("save", "saving", "powersave", "low"))
    if saving:
        return (1.4, math.sqrt(1.4 * 3.8), 3.8)
    if power.on_battery:
        return (1.0, 1.4, 3.8)
    return (1.0, 1.0, 1.0)


def _corrected(predicted: Speed, measurements: Sequence[Measurement]) -> Speed:
    """Move a prediction by what earlier predictions were off on this machine."""
    useful = [m for m in measurements if m.predicted > 0 and m.measured > 0]
    if not useful:
        return predicted
    logs = [math.log(m.measured / m.predicted) for m in useful]
    offset = sum(logs) / len(logs)
    scatter = math.sqrt(sum((x - offset) ** 2 for x in logs) / len(logs))
    spread = math.exp(max(0.15, 2 * scatter))
    central = predicted.tokens_per_second * math.exp(offset)
    return Speed(
        central, central / spread, central * spread, predicted.limited_by, Basis.MEASURED.value
    )


def ceiling(
    architecture: Architecture, weights: WeightsFacts, settings: Settings, machine: Machine
) -> float:
    """Give the tokens per second that bandwidth alone would allow, with nothing lost."""
    placement = place(architecture, weights, settings, machine)
    total = read_bytes_per_token(architecture, weights)
    seconds, on_gpus = 0.0, 0.0
    for share in placement.devices:
        part = _read_share(architecture, weights, share.layers, output=share.output)
        on_gpus += part
        seconds += part * total / _gpu_bandwidth(share.gpu, machine)[0]
    if placement.cpu_layers:
        seconds += max(0.0, 1 - on_gpus) * total / machine.bandwidth.bytes_per_second
    return 1 / seconds
