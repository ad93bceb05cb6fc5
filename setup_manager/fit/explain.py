"""Where a model's memory goes and how fast it will run, as data.

Everything here is computed from the architecture, the file and the machine; `explain_text` puts it
on a screen. Sentences are made from the numbers beside them and only where they are true.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from setup_manager.catalog import Variant, quantization_row
from setup_manager.fit.cache import cache_cells, cache_width, kv_cache_bytes
from setup_manager.fit.headroom import available_bytes, compare, default_headroom
from setup_manager.fit.memory import memory_use
from setup_manager.fit.placement import usable_gpus
from setup_manager.fit.results import MemoryUse, Speed, Verdict
from setup_manager.fit.settings import Settings
from setup_manager.fit.speed import Measurement, ceiling, predict_speed
from setup_manager.fit.tensors import is_global, owns_cache
from setup_manager.fit.weights import WeightsFacts, read_bytes_per_token
from setup_manager.machine import Machine, Vendor
from setup_manager.units import format_memory

_SHOWN_CONTEXTS = (4096, 32768, 131072)


@dataclass(frozen=True, slots=True)
class LayerStory:
    """Which layers keep a cache, and how long.

    Attributes:
        layers: All blocks.
        global_layers: Blocks that keep the whole context.
        local_layers: Blocks that keep a window.
        sharing_layers: Blocks that keep nothing and read another's cache.
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
        total_bytes: Everything.
        needed_bytes: Main memory and card memory that must be free.
        verdict: Whether it works on this machine.
        tokens_per_second: Speed when the context is full.
    """

    context: int
    kv_cache_bytes: int
    total_bytes: int
    needed_bytes: int
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
        loss: Points of quality lost against 16 bits, None for a label that is not in the table.
        verdict: Whether it works on this machine.
        current: Whether it is the one being explained.
    """

    quantization: str
    size_bytes: int
    needed_bytes: int
    tokens_per_second: float
    loss: float | None
    verdict: Verdict
    current: bool


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """A labelled piece of the memory bar."""

    label: str
    size_bytes: int
    note: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that `explain` says about one model on one machine.

    Attributes:
        model: Canonical MODEL argument.
        name: The variant's published name.
        parameters: As published.
        settings: What everything holds for.
        memory: Bytes by purpose and place.
        available_bytes: Main memory that is available.
        headroom_bytes: Of it, what should stay free.
        verdict: Whether it works.
        speed: Tokens per second, as a range.
        ceiling_tokens_per_second: What the memory's bandwidth allows at best.
        read_bytes_per_token: Weights that one token reads.
        parts: The memory bar.
        layers: Which layers keep a cache.
        contexts: What contexts cost.
        quantizations: Quantizations side by side.
        reasons: Short true sentences.
    """

    model: str
    name: str
    parameters: str
    settings: Settings
    memory: MemoryUse
    available_bytes: int
    headroom_bytes: int
    verdict: Verdict
    speed: Speed
    ceiling_tokens_per_second: float
    read_bytes_per_token: int
    parts: tuple[MemoryPart, ...]
    layers: LayerStory
    contexts: tuple[ContextCost, ...]
    quantizations: tuple[QuantizationRow, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A quantization to show beside the explained one.

    Attributes:
        quantization: Label.
        weights: What the file is made of.
    """

    quantization: str
    weights: WeightsFacts


def explain_fit(
    variant: Variant,
    candidate: Candidate,
    settings: Settings,
    machine: Machine,
    *,
    others: Iterable[Candidate] = (),
    headroom_bytes: int | None = None,
    measurements: Sequence[Measurement] = (),
) -> Explanation:
    """Explain a model on a machine.

    Args:
        variant: The variant.
        candidate: The quantization in question.
        settings: How it will be started.
        machine: Where.
        others: Further quantizations, to stand beside it.
        headroom_bytes: Main memory to leave free, None for the rule in `headroom`.
        measurements: Speeds measured on this machine before.

    Raises:
        UsageError: If the settings are out of range for the variant.
    """
    headroom = default_headroom(machine) if headroom_bytes is None else headroom_bytes
    architecture, weights = variant.architecture, candidate.weights
    use = memory_use(architecture, weights, settings, machine)
    rate = predict_speed(architecture, weights, settings, machine, measurements=measurements)
    story = layer_story(variant, settings)
    best = ceiling(architecture, weights, settings, machine)
    return Explanation(
        model=f"{variant.key}:{candidate.quantization}",
        name=variant.name,
        parameters=variant.parameters,
        settings=settings,
        memory=use,
        available_bytes=available_bytes(use, machine),
        headroom_bytes=headroom,
        verdict=compare(use, machine, headroom).verdict,
        speed=rate,
        ceiling_tokens_per_second=best,
        read_bytes_per_token=read_bytes_per_token(architecture, weights),
        parts=_parts(use, weights),
        layers=story,
        contexts=_contexts(variant, weights, settings, machine, headroom, measurements),
        quantizations=_quantizations(
            variant, candidate, others, settings, machine, headroom, measurements
        ),
        reasons=_reasons(variant, weights, use, rate, best, story, machine),
    )


def layer_story(variant: Variant, settings: Settings) -> LayerStory:
    """Count which layers keep a cache."""
    architecture = variant.architecture
    owning = [layer for layer in range(architecture.layers) if owns_cache(architecture, layer)]
    everywhere = [layer for layer in owning if is_global(architecture, layer)]
    longer = replace(settings, context=settings.context + 256)
    # A step of 256 tokens moves local layers too while the window is not full.
    width = cache_width(architecture, everywhere=True)
    step = kv_cache_bytes(architecture, longer) - kv_cache_bytes(architecture, settings)
    full = settings.context >= architecture.sliding_window + settings.ubatch
    per_token = step // (256 * settings.slots) if full else 4 * width * len(everywhere)
    return LayerStory(
        layers=architecture.layers,
        global_layers=len(everywhere),
        local_layers=len(owning) - len(everywhere),
        sharing_layers=architecture.layers - len(owning),
        window=architecture.sliding_window,
        global_bytes_per_token=per_token,
        local_cells=cache_cells(architecture, settings).local_cells,
    )


def _parts(use: MemoryUse, weights: WeightsFacts) -> tuple[MemoryPart, ...]:
    copies = max(0, use.weights_bytes - weights.file_bytes)
    parts = [
        MemoryPart("weights", weights.file_bytes - weights.per_layer_embedding_bytes, "the file"),
        MemoryPart(
            "per-layer embeddings",
            weights.per_layer_embedding_bytes,
            "a row a token, read from the file; may leave memory",
        ),
        MemoryPart(
            "copy on the GPU" if use.vram_bytes or use.gpu_layers else "rearranged copy",
            copies,
            "its original in the file may leave memory",
        ),
        MemoryPart("KV cache", use.kv_cache_bytes, "the conversation"),
        MemoryPart("scratch", use.compute_bytes, "for one batch"),
        MemoryPart("projector", use.projector_bytes, "for images"),
        MemoryPart("other", use.overhead_bytes, "the program, its checkpoints, GPU context"),
    ]
    return tuple(part for part in parts if part.size_bytes > 0)


def _contexts(
    variant: Variant,
    weights: WeightsFacts,
    settings: Settings,
    machine: Machine,
    headroom: int,
    measurements: Sequence[Measurement],
) -> tuple[ContextCost, ...]:
    longest = variant.architecture.context_length
    shown = sorted({c for c in (*_SHOWN_CONTEXTS, longest, settings.context) if c <= longest})
    rows = []
    for context in shown:
        tried = replace(settings, context=context)
        use = memory_use(variant.architecture, weights, tried, machine)
        full = predict_speed(
            variant.architecture, weights, tried, machine, depth=context, measurements=measurements
        )
        rows.append(
            ContextCost(
                context=context,
                kv_cache_bytes=use.kv_cache_bytes,
                total_bytes=use.total_bytes,
                needed_bytes=use.needed_bytes + use.vram_bytes,
                verdict=compare(use, machine, headroom).verdict,
                tokens_per_second=full.tokens_per_second,
            )
        )
    return tuple(rows)


def _quantizations(
    variant: Variant,
    candidate: Candidate,
    others: Iterable[Candidate],
    settings: Settings,
    machine: Machine,
    headroom: int,
    measurements: Sequence[Measurement],
) -> tuple[QuantizationRow, ...]:
    rows = []
    named = {other.quantization: other for other in others}
    named[candidate.quantization] = candidate
    for other in sorted(named.values(), key=lambda c: c.weights.file_bytes):
        row = quantization_row(other.quantization)
        use = memory_use(variant.architecture, other.weights, settings, machine)
        rate = predict_speed(
            variant.architecture, other.weights, settings, machine, measurements=measurements
        )
        rows.append(
            QuantizationRow(
                quantization=other.quantization,
                size_bytes=other.weights.file_bytes,
                needed_bytes=use.needed_bytes + use.vram_bytes,
                tokens_per_second=rate.tokens_per_second,
                loss=None if row is None else row.loss,
                verdict=compare(use, machine, headroom).verdict,
                current=other.quantization == candidate.quantization,
            )
        )
    return tuple(rows)


def _reasons(
    variant: Variant,
    weights: WeightsFacts,
    use: MemoryUse,
    rate: Speed,
    best: float,
    story: LayerStory,
    machine: Machine,
) -> tuple[str, ...]:
    """Say what the numbers mean, what is most worth knowing first."""
    return (
        _layer_sentence(story),
        *_embedding_sentences(weights, use),
        *_reading_sentences(variant, weights, rate, best),
        f"each further token of context costs {story.global_bytes_per_token / 1024:.0f} KiB",
        *_copy_sentences(weights, use, machine),
    )


def _layer_sentence(story: LayerStory) -> str:
    said = (
        f"{story.global_layers} of {story.layers} layers keep the whole context, "
        f"{story.local_layers} only a window of {story.window:,} tokens"
    )
    if story.sharing_layers:
        said += f", {story.sharing_layers} keep nothing and read another's"
    return said


def _embedding_sentences(weights: WeightsFacts, use: MemoryUse) -> Iterable[str]:
    table = weights.per_layer_embedding_bytes
    if table and use.vram_bytes:
        yield (
            f"{format_memory(table)} of the file are per-layer embeddings: they stay in main "
            f"memory, so the card needs {format_memory(use.vram_bytes)} and not the whole file"
        )
    elif table:
        yield (
            f"{format_memory(table)} of the file are per-layer embeddings, of which a token reads "
            "one row: they need not stay in memory"
        )


def _reading_sentences(
    variant: Variant, weights: WeightsFacts, rate: Speed, best: float
) -> Iterable[str]:
    read = format_memory(read_bytes_per_token(variant.architecture, weights))
    experts = variant.architecture.experts
    if experts is not None:
        yield (
            f"big, since all {experts.count} experts of a layer must be at hand; fast, since a "
            f"token uses {experts.used} of them and reads {read} of "
            f"{format_memory(weights.file_bytes)}"
        )
    yield (
        f"a token reads {read} of weights: memory bandwidth allows {best:.1f} tokens a second at "
        f"best, {rate.tokens_per_second:.1f} are likely"
    )


def _copy_sentences(weights: WeightsFacts, use: MemoryUse, machine: Machine) -> Iterable[str]:
    if not use.gpu_layers and use.weights_bytes > weights.file_bytes:
        yield (
            f"the engine rearranges {format_memory(use.weights_bytes - weights.file_bytes)} for "
            "this CPU; the originals may leave memory"
        )
    gpus = usable_gpus(machine)
    if gpus and gpus[0].unified and gpus[0].vendor is Vendor.APPLE:
        yield "the GPU uses the file where it lies in main memory: nothing is copied"
    if use.growth_bytes:
        yield (
            f"Ollama's engine may keep up to {format_memory(use.growth_bytes)} more in main memory "
            "over time (prompt cache and checkpoints); that cannot be capped from here"
        )
    if not weights.confirmed:
        yield "the file's size is computed from its quantization, not confirmed by the hub"
    yield f"what of the file goes where follows from {weights.source}"
