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
from dataclasses import dataclass, field, replace
from typing import Literal

from setup_manager.catalog import Architecture
from setup_manager.fit.cache import cache_read_bytes
from setup_manager.fit.load import Load
from setup_manager.fit.placement import Share
from setup_manager.fit.results import Limit, Speed
from setup_manager.fit.settings import Settings
from setup_manager.fit.speed_constants import FITTED, UNKNOWN_CARD_BANDWIDTH, SpeedModel
from setup_manager.fit.weights import read_bytes_per_token, read_elements_per_token
from setup_manager.machine import Basis, Gpu, Machine, Vendor

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


# What a measurement tells something of for other models. Where latency or a deep context rules, as
# with a toy model, memory and arithmetic may be many times faster or slower than was predicted.
_TELLING: frozenset[Limit] = frozenset({"memory bandwidth", "main memory bandwidth", "arithmetic"})


@dataclass(frozen=True, slots=True)
class Measurement:
    """A speed that was measured on this machine, beside what had been predicted.

    Attributes:
        model: Canonical name of the model.
        settings: How it was started.
        predicted: Tokens per second as predicted at that time, without measurements.
        measured: Tokens per second that came.
        limited_by: What bound the prediction; ``""`` where an earlier version did not record it.
    """

    model: str
    settings: Settings
    predicted: float
    measured: float
    limited_by: Limit | Literal[""] = ""


@dataclass(slots=True)
class _Terms:
    """Seconds of one token, by what they are spent on, and the seconds it takes at the very best.

    Attributes:
        seconds: By what binds.
        best_seconds: With nothing lost.
        spread: High over central.
        basis: Where the figures come from.
    """

    seconds: dict[Limit, float] = field(default_factory=dict)
    best_seconds: float = 0.0
    spread: float = 1.0
    basis: Basis = Basis.VENDOR

    def add(self, name: Limit, seconds: float) -> None:
        """Add to a term."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    @property
    def total(self) -> float:
        """All terms."""
        return sum(self.seconds.values())

    @property
    def largest(self) -> Limit:
        """The term that takes most."""
        return max(self.seconds, key=lambda name: self.seconds[name])


def speed_of(
    load: Load,
    *,
    depth: int | None = None,
    measurements: Sequence[Measurement] = (),
    model: SpeedModel = FITTED,
) -> Speed:
    """Predict how many tokens a second are generated.

    Args:
        load: What runs, how and where.
        depth: Tokens already in the context; None for a conversation that has begun.
        measurements: Speeds measured on this machine; they correct and narrow the range.
        model: The constants.

    Returns:
        A central value and a range, with what binds and where the figure comes from.
    """
    terms = _terms(load, model, USUAL_DEPTH if depth is None else depth)
    best, likely, worst = _slowdowns(load.machine)
    full = 1 / terms.total
    predicted = Speed(
        tokens_per_second=full / likely,
        low=min(full / likely / terms.spread, full / worst),
        high=full / best * terms.spread,
        limited_by=terms.largest,
        basis=terms.basis.value,
    )
    if load.settings.drafter:
        predicted = _with_drafter(predicted, load.architecture)
    return _corrected(predicted, measurements)


def ceiling(load: Load) -> float:
    """Give the tokens per second that are possible at best, with nothing lost.

    What binds is memory bandwidth, or the arithmetic of the CPU where that is slower.
    """
    return 1 / _terms(load, FITTED, 0).best_seconds


def _terms(load: Load, model: SpeedModel, depth: int) -> _Terms:
    """Add up what a token costs, device by device."""
    return _Token(load, model, min(load.settings.context, depth)).terms()


@dataclass(frozen=True, slots=True)
class _Token:
    """A token to be generated, and all that its cost depends on."""

    load: Load
    model: SpeedModel
    depth: int

    def terms(self) -> _Terms:
        """Add up what it costs, device by device."""
        terms, placement = _Terms(), self.load.placement
        rest = 1.0
        for share in placement.shares:
            part = _read_share(self.load, share)
            rest -= part
            self._add_gpu(terms, share, part)
        if placement.cpu_layers:
            self._add_cpu(terms, max(0.0, rest), placement.cpu_layers)
            if placement.shares:
                terms.spread = max(terms.spread, _SPLIT_SPREAD)
        return terms

    def _latency(self, layer_seconds: float, layers: range) -> float:
        mixture = self.load.architecture.experts is not None
        factor = self.model.expert_layer_factor if mixture else 1.0
        return layer_seconds * factor * len(layers)

    def _cache_seconds(self, layers: range, bandwidth: float) -> float:
        load = self.load
        read = cache_read_bytes(load.architecture, load.settings, layers, self.depth)
        return read / (self.model.cache_efficiency * bandwidth)

    def _read_bytes(self, part: float) -> float:
        return part * read_bytes_per_token(self.load.architecture, self.load.weights)

    def _add_gpu(self, terms: _Terms, share: Share, part: float) -> None:
        rates = self.model.gpu[gpu_family(share.gpu)]
        bandwidth, terms.basis = _gpu_bandwidth(share.gpu, self.load.machine)
        read = self._read_bytes(part)
        terms.add("memory bandwidth", read / (rates.efficiency * bandwidth))
        terms.add("latency", self._latency(rates.layer_seconds, share.layers))
        terms.add("context depth", self._cache_seconds(share.layers, bandwidth))
        terms.best_seconds += read / bandwidth
        guessed = _GUESS_SPREAD if terms.basis is Basis.GUESS else 1.0
        terms.spread = max(terms.spread, rates.spread * guessed)

    def _add_cpu(self, terms: _Terms, part: float, layers: range) -> None:
        machine = self.load.machine
        cpu, main = machine.cpu, machine.memory_bandwidth_bytes_per_second
        rates = self.model.cpu[cpu_family(machine)]
        read = self._read_bytes(part)
        elements = part * read_elements_per_token(self.load.architecture)
        efficiency = self.model.cpu_efficiency
        efficiency *= self.model.numa_efficiency if cpu.numa_nodes > 1 else 1.0
        reading = read / (efficiency * main.value)
        rate = rates.products_per_second * self.model.weights_per_product
        multiplying = elements / (compute_cores(machine) * rate)
        best = read / main.value
        if multiplying > reading:
            terms.add("arithmetic", multiplying)
            terms.basis = Basis.GUESS
            best = max(best, multiplying / rates.spread)
        else:
            split = bool(terms.seconds)
            terms.add("main memory bandwidth" if split else "memory bandwidth", reading)
            terms.basis = main.source
        terms.best_seconds += best
        terms.add("latency", self._latency(self.model.cpu_layer_seconds, layers))
        terms.add("context depth", self._cache_seconds(layers, main.value))
        guessed = _GUESS_SPREAD if main.source is Basis.GUESS and reading > multiplying else 1.0
        terms.spread = max(terms.spread, rates.spread * guessed)


def compute_cores(machine: Machine) -> float:
    """Give the cores that multiply: one thread a core, and only what this process may use.

    On hybrid CPUs llama.cpp computes on the big cores alone (common.cpp, ``cpu_get_num_math``).
    """
    cpu = machine.cpu
    return max(0.25, min(cpu.usable_cores, float(cpu.performance_cores or cpu.physical_cores)))


def _read_share(load: Load, share: Share) -> float:
    """Share of the weights a token reads that one GPU has."""
    weights = load.weights
    total = read_bytes_per_token(load.architecture, weights)
    read_blocks = total - weights.token_embedding_bytes
    part = weights.bytes_of(share.layers) / weights.block_bytes * read_blocks
    return (part + (weights.token_embedding_bytes if share.output else 0)) / total


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


def cpu_family(machine: Machine) -> str:
    """Name the instruction set whose constants a CPU goes by."""
    features, arch = machine.cpu.features, machine.arch
    if features & {"avx512f", "avx512"}:
        return "avx512-vnni" if "avx512_vnni" in features else "avx512"
    if "avx2" in features:
        return "avx2"
    if features & {"dotprod", "asimddp", "i8mm", "matmul_int8"}:
        return "neon-dotprod"
    if arch in ("arm64", "aarch64") or "neon" in features:
        return "neon"
    return "other"


def _slowdowns(machine: Machine) -> tuple[float, float, float]:
    """How many times slower a machine is at best, likely, at worst.

    Published comparisons of laptops: 1.4 to 3.8 times slower on battery or in a saving mode.
    """
    power = machine.power
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

    Only measurements count that reading or multiplying the weights bound. One further off than any
    machine has been tells of something else (another load, another device) and is left out. Two
    times the scatter, but never less than 15 %, is what the range keeps; it does not become wider
    than it was.
    """
    logs = [
        math.log(m.measured / m.predicted)
        for m in measurements
        if m.limited_by in _TELLING
        and m.predicted > 0
        and 1 / _MOST_OFF < m.measured / m.predicted < _MOST_OFF
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
