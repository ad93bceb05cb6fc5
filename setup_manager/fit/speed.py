"""Tokens per second, as a range that is kept.

    seconds per token = weights read / (efficiency * bandwidth)      on each device
                      + what every block costs beside reading
                      + keys and values read / (cache efficiency * bandwidth)

On a CPU the slower of reading and multiplying counts: few cores are bound by arithmetic before
memory is. Experts that a token does not use are not read, and of the per-layer embeddings one row
is. The constants and their origin are in `speed_constants`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from setup_manager.catalog import Architecture
from setup_manager.fit.cache import cache_width, pair_bytes
from setup_manager.fit.placement import Placement, place
from setup_manager.fit.results import Speed
from setup_manager.fit.settings import Settings
from setup_manager.fit.speed_constants import FITTED, UNKNOWN_CARD_BANDWIDTH, SpeedModel
from setup_manager.fit.tensors import is_global
from setup_manager.fit.weights import (
    WeightsFacts,
    read_bytes_per_token,
    read_elements_per_token,
)
from setup_manager.machine import Basis, Gpu, Machine, Power, Processor, Vendor

# Depth that a speed holds for when none is given: a conversation that has begun.
USUAL_DEPTH = 2048
# A bandwidth that is only guessed, and layers split between a card and the CPU: both add doubt.
_GUESS_SPREAD = 1.3
_SPLIT_SPREAD = 2.0
# A measurement this many times off a prediction is not of the same thing.
_MOST_OFF = 4.0
_LEAST_SCATTER = 0.15
# GPUs without tensor cores or fast 8-bit products: they compute more slowly than they read.
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


class _Terms:
    """Seconds of one token, by what they are spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.spread = 1.0
        self.basis = Basis.VENDOR

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


def predict_speed(
    architecture: Architecture,
    weights: WeightsFacts,
    settings: Settings,
    machine: Machine,
    *,
    depth: int | None = None,
    measurements: Sequence[Measurement] = (),
    model: SpeedModel = FITTED,
) -> Speed:
    """Predict how many tokens a second are generated.

    Args:
        architecture: The variant's constants.
        weights: What the file is made of.
        settings: How it will be started.
        machine: Where.
        depth: Tokens already in the context; None for a conversation that has begun.
        measurements: Speeds measured on this machine; they correct and narrow the range.
        model: The constants.

    Returns:
        A central value and a range, with what binds and where the figure comes from.
    """
    tokens = min(settings.context, USUAL_DEPTH if depth is None else depth)
    placement = place(architecture, weights, settings, machine)
    terms = _Token(architecture, weights, settings, machine, model, tokens).terms(placement)
    best, likely, worst = _slowdowns(machine.power)
    full = 1 / terms.total
    predicted = Speed(
        tokens_per_second=full / likely,
        low=min(full / likely / terms.spread, full / worst),
        high=full / best * terms.spread,
        limited_by=terms.largest,
        basis=terms.basis.value,
    )
    if settings.drafter:
        predicted = _with_drafter(predicted, architecture)
    return _corrected(predicted, measurements)


@dataclass(frozen=True, slots=True)
class _Token:
    """A token to be generated, and all that its cost depends on."""

    architecture: Architecture
    weights: WeightsFacts
    settings: Settings
    machine: Machine
    model: SpeedModel
    depth: int

    def terms(self, placement: Placement) -> _Terms:
        """Add up what it costs, device by device."""
        terms = _Terms()
        rest = 1.0
        for share in placement.devices:
            part = _read_share(self.architecture, self.weights, share.layers, output=share.output)
            rest -= part
            self._add_gpu(terms, share.gpu, part, share.layers)
        if placement.cpu_layers:
            self._add_cpu(terms, max(0.0, rest), placement.cpu_layers)
            if placement.devices:
                terms.spread = max(terms.spread, _SPLIT_SPREAD)
        return terms

    def _latency(self, layer_seconds: float, layers: Sequence[int]) -> float:
        factor = 1.0 if self.architecture.experts is None else self.model.expert_layer_factor
        return layer_seconds * factor * len(layers)

    def _cache_seconds(self, layers: Sequence[int], bandwidth: float) -> float:
        read = _cache_read(self.architecture, self.settings, layers, self.depth)
        return read / (self.model.cache_efficiency * bandwidth)

    def _add_gpu(self, terms: _Terms, gpu: Gpu, part: float, layers: Sequence[int]) -> None:
        rates = self.model.gpu[gpu_family(gpu)]
        bandwidth, terms.basis = _gpu_bandwidth(gpu, self.machine)
        read = part * read_bytes_per_token(self.architecture, self.weights)
        terms.add("memory bandwidth", read / (rates.efficiency * bandwidth))
        terms.add("latency", self._latency(rates.layer_seconds, layers))
        terms.add("context depth", self._cache_seconds(layers, bandwidth))
        guessed = _GUESS_SPREAD if terms.basis is Basis.GUESS else 1.0
        terms.spread = max(terms.spread, rates.spread * guessed)

    def _add_cpu(self, terms: _Terms, part: float, layers: Sequence[int]) -> None:
        cpu, main = self.machine.cpu, self.machine.memory_bandwidth_bytes_per_second
        rates = self.model.cpu[cpu_family(cpu, self.machine.arch)]
        read = part * read_bytes_per_token(self.architecture, self.weights)
        elements = part * read_elements_per_token(self.architecture)
        efficiency = self.model.cpu_efficiency
        efficiency *= self.model.numa_efficiency if cpu.numa_nodes > 1 else 1.0
        reading = read / (efficiency * main.value)
        rate = rates.products_per_second * self.model.weights_per_product
        multiplying = elements / (compute_cores(cpu) * rate)
        if multiplying > reading:
            terms.add("arithmetic", multiplying)
            terms.basis = Basis.GUESS
        else:
            split = bool(terms.seconds)
            terms.add("main memory bandwidth" if split else "memory bandwidth", reading)
            terms.basis = main.source
        terms.add("latency", self._latency(self.model.cpu_layer_seconds, layers))
        terms.add("context depth", self._cache_seconds(layers, main.value))
        guessed = _GUESS_SPREAD if main.source is Basis.GUESS and reading > multiplying else 1.0
        terms.spread = max(terms.spread, rates.spread * guessed)


def compute_cores(cpu: Processor) -> float:
    """Give the cores that multiply: one thread a core, and only what this process may use.

    On hybrid CPUs llama.cpp computes on the big cores alone (common.cpp, ``cpu_get_num_math``).
    """
    return max(0.25, min(cpu.usable_cores, float(cpu.performance_cores or cpu.physical_cores)))


def _read_share(
    architecture: Architecture, weights: WeightsFacts, layers: Sequence[int], *, output: bool
) -> float:
    """Share of the weights a token reads that lies in these layers."""
    total = read_bytes_per_token(architecture, weights)
    read_blocks = total - weights.token_embedding_bytes
    part = sum(weights.layer_bytes[layer] for layer in layers) / weights.block_bytes * read_blocks
    return (part + (weights.token_embedding_bytes if output else 0)) / total


def _cache_read(
    architecture: Architecture, settings: Settings, layers: Sequence[int], depth: int
) -> float:
    """Bytes of keys and values that one token reads; layers that share a cache read it too."""
    total = 0
    for layer in layers:
        everywhere = is_global(architecture, layer)
        cells = depth if everywhere else min(depth, architecture.sliding_window)
        total += cells * cache_width(architecture, everywhere=everywhere)
    return total * pair_bytes(settings)


def gpu_family(gpu: Gpu) -> str:
    """Name the family whose constants a GPU goes by."""
    if gpu.vendor is Vendor.NVIDIA:
        if gpu.unified:
            return "nvidia-unified"
        name = gpu.name.upper()
        return "nvidia-old" if any(old in name for old in _OLD_NVIDIA) else "nvidia"
    return {Vendor.APPLE: "apple", Vendor.AMD: "amd"}.get(gpu.vendor, "other")


def _gpu_bandwidth(gpu: Gpu, machine: Machine) -> tuple[float, Basis]:
    if gpu.bandwidth_bytes_per_second is not None:
        return gpu.bandwidth_bytes_per_second, Basis.VENDOR
    if gpu.unified or gpu.integrated:
        return (
            machine.memory_bandwidth_bytes_per_second.value,
            machine.memory_bandwidth_bytes_per_second.source,
        )
    return UNKNOWN_CARD_BANDWIDTH, Basis.GUESS


def cpu_family(cpu: Processor, arch: str) -> str:
    """Name the instruction set whose constants a CPU goes by."""
    features = cpu.features
    if features & {"avx512f", "avx512"}:
        return "avx512-vnni" if "avx512_vnni" in features else "avx512"
    if "avx2" in features:
        return "avx2"
    if features & {"dotprod", "asimddp", "i8mm", "matmul_int8"}:
        return "neon-dotprod"
    if arch in ("arm64", "aarch64") or "neon" in features:
        return "neon"
    return "other"


def _slowdowns(power: Power) -> tuple[float, float, float]:
    """How many times slower a machine is at best, likely, at worst.

    Published comparisons of laptops: 1.4 to 3.8 times slower on battery or in a saving mode.
    """
    if any(word in power.mode.lower() for word in ("save", "saving", "low")):
        return (1.4, math.sqrt(1.4 * 3.8), 3.8)
    if power.on_battery:
        return (1.0, 1.4, 3.8)
    return (1.0, 1.0, 1.0)


def _with_drafter(predicted: Speed, architecture: Architecture) -> Speed:
    """Count what a drafter gains: a guess, since it depends on what is being written.

    A mixture gains less: the tokens that are checked together use more experts.
    """
    gain = 1.1 if architecture.experts is not None else 1.4
    return replace(
        predicted,
        tokens_per_second=predicted.tokens_per_second * gain,
        high=predicted.high * 2.0,
        basis=Basis.GUESS.value,
    )


def _corrected(predicted: Speed, measurements: Sequence[Measurement]) -> Speed:
    """Move a prediction by what earlier predictions were off on this machine.

    A measurement further off than any machine has been tells of something else (another load,
    another device, a toy model) and is left out. Two times the scatter, but never less than 15 %,
    is what the range keeps; it does not become wider than it was.
    """
    logs = [
        math.log(m.measured / m.predicted)
        for m in measurements
        if m.predicted > 0 and 1 / _MOST_OFF < m.measured / m.predicted < _MOST_OFF
    ]
    if not logs:
        return predicted
    offset = statistics.median(logs)
    scatter = math.sqrt(sum((x - offset) ** 2 for x in logs) / len(logs))
    before = math.sqrt(predicted.high / predicted.low)
    spread = min(before, math.exp(max(_LEAST_SCATTER, 2 * scatter)))
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
    seconds, rest = 0.0, 1.0
    for share in placement.devices:
        part = _read_share(architecture, weights, share.layers, output=share.output)
        rest -= part
        seconds += part * total / _gpu_bandwidth(share.gpu, machine)[0]
    if placement.cpu_layers:
        seconds += max(0.0, rest) * total / machine.memory_bandwidth_bytes_per_second.value
    return 1 / seconds
