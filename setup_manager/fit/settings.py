"""The settings that memory and speed depend on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from setup_manager.catalog import Architecture
from setup_manager.errors import UsageError
from setup_manager.units import MIB

CacheType = Literal["f16", "q8_0", "q4_0"]


@dataclass(frozen=True, slots=True)
class KvType:
    """How the entries of the cache are stored.

    Attributes:
        keys: How keys are.
        values: How values are.
    """

    keys: CacheType = "f16"
    values: CacheType = "f16"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model will be started.

    Attributes:
        context: Tokens that one conversation may have; every slot gets so many, or shares them
            where the cache is unified.
        kv_type: How keys and values are stored.
        slots: Sequences served side by side.
        ubatch: Tokens computed at once.
        unified_kv: Whether the slots share one cache (llama-server's default without ``-np``).
        flash_attention: Whether attention is computed without the full score matrix.
        gpu_layers: Layers on the GPU; None for as many as fit.
        projector: Whether the projector is loaded.
        drafter: Whether the drafter is loaded.
        runtime: Name of what runs it, for the documents.
        program_bytes: The engine's own code, tables and threads in main memory.
        bounds_caches: Whether the two ceilings below are set; an engine without has its own.
        prompt_cache_bytes: Ceiling of the server's prompt cache in main memory (``--cache-ram``).
        context_checkpoints: Saved states of the local layers a slot may keep
            (``--ctx-checkpoints``). One is enough to go on when a chat drops its last thoughts; the
            server's own 32 have taken machines down.

    Raises:
        UsageError: If no engine would run with them: a number is zero or negative, say.
    """

    context: int = 8192
    kv_type: KvType = KvType()
    slots: int = 1
    ubatch: int = 512
    unified_kv: bool = False
    flash_attention: bool = True
    gpu_layers: int | None = None
    projector: bool = False
    drafter: bool = False
    runtime: str = "llama.cpp"
    program_bytes: int = 140 * MIB
    bounds_caches: bool = True
    prompt_cache_bytes: int = 0
    context_checkpoints: int = 1

    def __post_init__(self) -> None:
        _check_counts(self)
        _check_rest(self)

    def stored_as(self, kind: CacheType) -> Settings:
        """Store keys and values alike."""
        return replace(self, kv_type=KvType(kind, kind))


def _check_counts(settings: Settings) -> None:
    for option, value in (
        ("--context", settings.context),
        ("--slots", settings.slots),
        ("--ubatch", settings.ubatch),
    ):
        if value < 1:
            raise UsageError(
                f"{option} {value} is not a positive number.",
                hint=f"Give {option} a whole number of 1 or more, or leave it out.",
            )


def _check_rest(settings: Settings) -> None:
    if settings.gpu_layers is not None and settings.gpu_layers < 0:
        raise UsageError(
            f"{settings.gpu_layers} layers cannot be put on a GPU.",
            hint="Use 0 for none of them, or leave it out for as many as fit.",
        )
    if settings.prompt_cache_bytes < 0 or settings.context_checkpoints < 0:
        raise UsageError(
            "The prompt cache and the number of checkpoints cannot be negative.",
            hint="Use 0 for none.",
        )
    if not settings.flash_attention and settings.kv_type.values != "f16":
        raise UsageError(
            f"Values stored as {settings.kv_type.values} need flash attention.",
            hint="Leave flash attention on, or keep the values in f16.",
        )


def check_limits(settings: Settings, architecture: Architecture) -> None:
    """Refuse what goes beyond a variant.

    Raises:
        UsageError: If the context is longer than its longest, or it has fewer layers.
    """
    longest = architecture.context_length
    if settings.context > longest:
        raise UsageError(
            f"A context of {settings.context:,} tokens is more than this model supports.",
            context=[f"longest context: {longest:,} tokens"],
            hint=f"Use --context {longest} or less.",
        )
    if settings.gpu_layers is not None and settings.gpu_layers > architecture.layers + 1:
        raise UsageError(
            f"This model has {architecture.layers} layers and an output, "
            f"not {settings.gpu_layers} to put on a GPU.",
            hint="Leave the number out for as many as fit.",
        )
