"""What fit's numbers mean, in sentences: the `reasons` of the documents.

Each is made from numbers and said only where it is true; the most important comes first.
"""

from __future__ import annotations

from collections.abc import Iterator

from setup_manager.errors import InsufficientMemoryError
from setup_manager.fit import Choice, Explanation, Fit, Recommendation, Settings
from setup_manager.machine import Machine
from setup_manager.units import format_duration, format_memory


def choice_reasons(choice: Choice) -> list[str]:
    """Say why a choice works, or what keeps it out and what would help."""
    reasons = list(_missing(choice) if choice.remedy else _taken(choice))
    if choice.context_too_long:
        reasons.insert(0, f"its longest context is {choice.context_length:,} tokens")
    return reasons


def _missing(choice: Choice) -> Iterator[str]:
    yield (
        f"needs {format_memory(choice.memory.needed_bytes)} of main memory, "
        f"{format_memory(choice.available_bytes)} available: "
        f"{format_memory(choice.shortfall_bytes)} short"
    )
    remedy = choice.remedy
    if remedy is None:
        return
    if remedy.settings is not None:
        yield f"fits with {_changed(choice.settings, remedy.settings)}"
    if remedy.close:
        names = [f"{name} ({format_memory(held)})" for name, held in remedy.close.items()]
        yield f"fits after closing {' and '.join(names)}"
    if remedy.settings is None and not remedy.close:
        yield f"would fit with {format_memory(choice.shortfall_bytes)} more memory"


def _changed(before: Settings, after: Settings) -> str:
    options = []
    if after.context != before.context:
        options.append(f"--context {after.context}")
    if after.kv_type != before.kv_type:
        options.append(f"--kv-type {after.kv_type.keys}")
    return " ".join(options) or "no projector"


def _taken(choice: Choice) -> Iterator[str]:
    needed, free = choice.memory.needed_bytes, choice.available_bytes
    yield (f"takes {format_memory(needed)} of the {format_memory(free)} of main memory available")
    if choice.memory.devices:
        yield _cards(choice)
    if choice.memory.needed_bytes > free - choice.headroom_bytes:
        yield (
            f"leaves {format_memory(free - needed)} free where "
            f"{format_memory(choice.headroom_bytes)} should stay free: close programs first"
        )
    elif choice.longest_context > choice.context:
        yield f"fits up to {choice.longest_context:,} tokens of context"
    if choice.below_floor:
        yield (
            f"its quantization costs {choice.quality_loss:.0f} points of quality: by speed it "
            "ranks after those that lose less"
        )
    if not choice.confirmed:
        yield "size estimated, not confirmed by the hub"
    if choice.download_seconds is not None:
        yield f"downloads in about {format_duration(choice.download_seconds)}"


def _cards(choice: Choice) -> str:
    memory = choice.memory
    names = " and ".join(device.name for device in memory.devices)
    if memory.gpu_layers >= choice.layers:
        used = format_memory(memory.by_place.vram_bytes)
        return f"runs entirely on {names}: {used} of its memory"
    return (
        f"{memory.gpu_layers} of {choice.layers} layers fit on {names}; the CPU computes the rest"
    )


def shorter_context(fit: Fit) -> str:
    """Name the context that would fit, as part of a hint; nothing where none would."""
    if 0 < fit.longest_context < fit.settings.context:
        return f"use --context {fit.longest_context}, "
    return ""


def nothing_fits(recommendation: Recommendation, machine: Machine) -> InsufficientMemoryError:
    """Make the error for a machine on which nothing runs, with the nearest miss."""
    free = format_memory(machine.memory.available_bytes)
    nearest = recommendation.rejected[0]
    first, *remedies = choice_reasons(nearest)
    return InsufficientMemoryError(
        f"No Gemma 4 model fits into the {free} of memory available.",
        context=[f"nearest: {nearest.model} {first}"],
        hint="Free memory and run `gemma-setup recommend` again: "
        f"{nearest.model} {'; or '.join(remedies)}.",
    )


def explanation_reasons(explanation: Explanation) -> list[str]:
    """Say what the numbers of an explanation mean."""
    per_token = explanation.layers.global_bytes_per_token / 1024
    return [
        _layer_sentence(explanation),
        *_embedding_sentences(explanation),
        *_reading_sentences(explanation),
        f"each further token of context costs {per_token:.0f} KiB",
        *_copy_sentences(explanation),
    ]


def _layer_sentence(explanation: Explanation) -> str:
    story = explanation.layers
    said = (
        f"{story.global_layers} of {story.layers} layers keep the whole context, "
        f"{story.local_layers} only a window of {story.window:,} tokens"
    )
    if story.sharing_layers:
        said += f", {story.sharing_layers} store nothing and reuse another layer's"
    return said


def _embedding_sentences(explanation: Explanation) -> Iterator[str]:
    table = explanation.per_layer_embedding_bytes
    vram = explanation.memory.by_place.vram_bytes
    if table and vram:
        yield (
            f"{format_memory(table)} of the file are per-layer embeddings: they stay in main "
            f"memory, so the card needs {format_memory(vram)} and not the whole file"
        )
    elif table:
        yield (
            f"{format_memory(table)} of the file are per-layer embeddings, of which a token reads "
            "one row: they need not stay in memory"
        )


def _reading_sentences(explanation: Explanation) -> Iterator[str]:
    read = format_memory(explanation.read_bytes_per_token)
    if explanation.experts is not None:
        yield (
            f"large, because all {explanation.experts} experts of a layer must be in memory; fast, "
            f"because a token uses only {explanation.used_experts} of them and reads {read} of "
            f"{format_memory(explanation.size_bytes)}"
        )
    speed = explanation.speed
    arithmetic = speed.limited_by == "arithmetic"
    binds = "the arithmetic of this CPU" if arithmetic else "memory bandwidth"
    yield (
        f"a token reads {read} of weights: {binds} allows "
        f"{explanation.ceiling_tokens_per_second:.1f} tokens/s at best, "
        f"{speed.tokens_per_second:.1f} are likely"
    )


def _copy_sentences(explanation: Explanation) -> Iterator[str]:
    memory = explanation.memory
    copies = memory.weights_bytes - explanation.size_bytes
    if not memory.gpu_layers and copies > 0:
        yield (
            f"the engine rearranges {format_memory(copies)} for this CPU; the originals are "
            "reclaimable"
        )
    if explanation.mapped_in_place:
        yield "the GPU uses the file in main memory directly: nothing is copied"
    if memory.growth_bytes:
        yield (
            f"Ollama's engine may keep up to {format_memory(memory.growth_bytes)} more in main "
            "memory over time (prompt cache and checkpoints); gemma-setup cannot cap that"
        )
    if not memory.confirmed:
        yield "the file size is estimated from its quantization, not confirmed by the hub"
    yield f"the file's layout is taken from {explanation.source}"
