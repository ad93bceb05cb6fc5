"""Where a model's memory goes and how fast it will run, as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from setup_manager.catalog import Quantization
from setup_manager.fit.cache import cache_cells, cache_width, kv_cache_bytes
from setup_manager.fit.headroom import hold
from setup_manager.fit.load import Load
from setup_manager.fit.placement import usable_gpus
from setup_manager.fit.results import Fit, Memory, Speed, Verdict
from setup_manager.fit.settings import Settings
from setup_manager.fit.speed import Measurement, ceiling, speed_of
from setup_manager.fit.tensors import global_layers, owning_layers
from setup_manager.fit.weights import Weights, read_bytes_per_token
from setup_manager.fit.whole import fit_of
from setup_manager.machine import Vendor

_SHOWN_CONTEXTS = (4096, 32768, 131072)

Purpose = Literal[
    "weights",
    "per-layer embeddings",
    "copy on the GPU",
    "rearranged copy",
    "KV cache",
    "scratch",
    "projector",
    "other",
]


@dataclass(frozen=True, slots=True)
class LayerStory:
    """Which layers keep a cache, and how long.

    Attributes:
        layers: All blocks.
        global_layers: Blocks that keep the whole context.
        local_layers: Blocks that keep a window.
        sharing_layers: Blocks that store nothing and reuse another layer's cache.
        window: Tokens of a window.
        global_bytes_per_token: Cache that one more token of context costs.
        local_cells: Cells that each local block keeps.
    """

    layers: int
    global_layers: int
    local_layers: int
    sharing_layers: int
    window: int
    global_bytes_per_token: int
    local_cells: int


@dataclass(frozen=True, slots=True)
class ContextCost:
    """What a context costs.

    Attributes:
        context: Tokens.
        kv_cache_bytes: Keys and values.
        needed_bytes: Main memory and card memory that must be free.
        total_bytes: Everything.
        verdict: Whether it works on this machine.
        tokens_per_second: Speed when the context is full.
    """

    context: int
    kv_cache_bytes: int
    needed_bytes: int
    total_bytes: int
    verdict: Verdict
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class QuantizationRow:
    """One quantization beside the others.

    Attributes:
        quantization: Label.
        size_bytes: File.
        needed_bytes: Main memory and card memory that must be free.
        tokens_per_second: Central speed.
        quality_loss: Points of quality lost against 16 bits, None for a label that is not in the
            table.
        verdict: Whether it works on this machine.
    """

    quantization: str
    size_bytes: int
    needed_bytes: int
    tokens_per_second: float
    quality_loss: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """A piece of the memory bar: what it is for, and how large it is."""

    label: Purpose
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that `explain` says about one model on one machine; field names are the document's.

    Attributes:
        model: MODEL argument, as it was given in.
        name: The variant's published name.
        quantization: Label.
        settings: What everything holds for.
        memory: Bytes by purpose and place.
        speed: Tokens per second, as a range.
        verdict: Whether it works.
        available_bytes: Main memory that is available.
        headroom_bytes: Of it, what should stay free.
        shortfall_bytes: Memory that is missing to run at all, 0 when it runs.
        longest_context: The longest context that fits with the headroom kept, 0 if none does.
        ceiling_tokens_per_second: What the memory's bandwidth allows at best, or the CPU's
            arithmetic where `speed` is limited by it.
        read_bytes_per_token: Weights that one token reads.
        parts: The memory bar.
        layers: Which layers keep a cache.
        contexts: What contexts cost.
        quantizations: Quantizations side by side.
        size_bytes: The weights file.
        per_layer_embedding_bytes: Of it, per-layer embeddings.
        source: Where what is in the file is known from.
        experts: Experts of a layer, None without.
        used_experts: Of them, those that one token uses.
        mapped_in_place: Whether the GPU uses the file where it is mapped in main memory.
    """

    model: str
    name: str
    quantization: str
    settings: Settings
    memory: Memory
    speed: Speed
    verdict: Verdict
    available_bytes: int
    headroom_bytes: int
    shortfall_bytes: int
    longest_context: int
    ceiling_tokens_per_second: float
    read_bytes_per_token: int
    parts: tuple[MemoryPart, ...]
    layers: LayerStory
    contexts: tuple[ContextCost, ...]
    quantizations: tuple[QuantizationRow, ...]
    size_bytes: int
    per_layer_embedding_bytes: int
    source: str
    experts: int | None
    used_experts: int | None
    mapped_in_place: bool


def explain(
    load: Load,
    *,
    model: str,
    name: str,
    others: Iterable[Weights] = (),
    measurements: Sequence[Measurement] = (),
) -> Explanation:
    """Explain a model on a machine.

    Args:
        load: What runs, how and where.
        model: Its canonical MODEL argument.
        name: The variant's published name.
        others: Further quantizations, to stand beside it.
        measurements: Speeds measured on this machine before.
    """
    fit = fit_of(load, measurements=measurements)
    experts = load.architecture.experts
    return Explanation(
        model=model,
        name=name,
        quantization=load.weights.quantization,
        settings=fit.settings,
        memory=fit.memory,
        speed=fit.speed,
        verdict=fit.verdict,
        available_bytes=fit.available_bytes,
        headroom_bytes=fit.headroom_bytes,
        shortfall_bytes=fit.shortfall_bytes,
        longest_context=fit.longest_context,
        ceiling_tokens_per_second=ceiling(load),
        read_bytes_per_token=read_bytes_per_token(load.architecture, load.weights),
        parts=_parts(fit.memory, load.weights),
        layers=layer_story(load),
        contexts=tuple(_contexts(load, fit, measurements)),
        quantizations=tuple(_quantizations(load, fit, others, measurements)),
        size_bytes=load.weights.file_bytes,
        per_layer_embedding_bytes=load.weights.per_layer_embedding_bytes,
        source=load.weights.source,
        experts=experts.count if experts else None,
        used_experts=experts.used if experts else None,
        mapped_in_place=_mapped_in_place(load),
    )


def layer_story(load: Load) -> LayerStory:
    """Count which layers keep a cache."""
    architecture, settings = load.architecture, load.settings
    owning = owning_layers(architecture, range(architecture.layers))
    everywhere = global_layers(architecture, owning)
    # A step of 256 tokens moves local layers too while the window is not full.
    longer = replace(settings, context=settings.context + 256)
    step = kv_cache_bytes(architecture, longer) - kv_cache_bytes(architecture, settings)
    full = settings.context >= architecture.sliding_window + settings.ubatch
    width = cache_width(architecture, everywhere=True)
    return LayerStory(
        layers=architecture.layers,
        global_layers=everywhere,
        local_layers=len(owning) - everywhere,
        sharing_layers=architecture.layers - len(owning),
        window=architecture.sliding_window,
        global_bytes_per_token=step // (256 * settings.slots) if full else 4 * width * everywhere,
        local_cells=cache_cells(architecture, settings).local_cells,
    )


def _parts(memory: Memory, weights: Weights) -> tuple[MemoryPart, ...]:
    embeddings = weights.per_layer_embedding_bytes
    copied_to_gpu = memory.by_place.vram_bytes or memory.gpu_layers
    parts = (
        MemoryPart("weights", weights.file_bytes - embeddings),
        MemoryPart("per-layer embeddings", embeddings),
        MemoryPart(
            "copy on the GPU" if copied_to_gpu else "rearranged copy",
            memory.weights_bytes - weights.file_bytes,
        ),
        MemoryPart("KV cache", memory.kv_cache_bytes),
        MemoryPart("scratch", memory.compute_bytes),
        MemoryPart("projector", memory.projector_bytes),
        MemoryPart("other", memory.overhead_bytes),
    )
    return tuple(part for part in parts if part.size_bytes > 0)


def _contexts(load: Load, fit: Fit, measurements: Sequence[Measurement]) -> Iterable[ContextCost]:
    longest = load.architecture.context_length
    shown = sorted({c for c in (*_SHOWN_CONTEXTS, longest, fit.settings.context) if c <= longest})
    for context in shown:
        tried = load.at(context)
        held = hold(tried, fit.headroom_bytes)
        full = speed_of(tried, depth=context, measurements=measurements)
        yield ContextCost(
            context=context,
            kv_cache_bytes=held.memory.kv_cache_bytes,
            needed_bytes=held.memory.needed_bytes + held.memory.by_place.vram_bytes,
            total_bytes=held.memory.total_bytes,
            verdict=held.verdict,
            tokens_per_second=full.tokens_per_second,
        )


def _quantizations(
    load: Load, fit: Fit, others: Iterable[Weights], measurements: Sequence[Measurement]
) -> Iterable[QuantizationRow]:
    named = {weights.quantization: weights for weights in (*others, load.weights)}
    for weights in sorted(named.values(), key=lambda weights: weights.file_bytes):
        other = replace(load, weights=weights)
        held = hold(other, fit.headroom_bytes)
        row = Quantization.of(weights.quantization)
        yield QuantizationRow(
            quantization=weights.quantization,
            size_bytes=weights.file_bytes,
            needed_bytes=held.memory.needed_bytes + held.memory.by_place.vram_bytes,
            tokens_per_second=speed_of(other, measurements=measurements).tokens_per_second,
            quality_loss=row.loss if row else None,
            verdict=held.verdict,
        )


def _mapped_in_place(load: Load) -> bool:
    gpus = usable_gpus(load.machine)
    return bool(gpus) and gpus[0].unified and gpus[0].vendor is Vendor.APPLE
