"""Start parameters: one table from what was computed to the flags that llama-server takes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from setup_manager.fit import Settings
from setup_manager.units import MIB


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How a model is started; every runtime takes what it can of it.

    The prompt cache (8 GiB by default) and the context checkpoints (32 a slot by default) live in
    main memory and grow while the server runs; both are off or small here, since memory that a
    plan did not count is what takes machines down.

    Attributes:
        context: Tokens of context, all slots together unless the cache is unified.
        slots: Sequences served side by side.
        key_type: How keys are stored: ``"f16"``, ``"q8_0"``, ``"q4_0"``.
        value_type: How values are stored.
        gpu_layers: Layers on the GPU; None for as many as fit.
        ubatch: Tokens computed at once.
        threads: Threads; None for the engine's own choice.
        cache_ram_mib: Limit of the prompt cache in MiB, 0 for none.
        context_checkpoints: Checkpoints of the sliding-window cache kept for each slot.
        flash_attention: False to switch it off; True leaves it to the engine, except that
            quantised values need it on.
        unified_kv: Whether the slots share one cache.
        projector: Whether the projector is loaded, where one is installed.
        drafter: Whether the drafter is loaded.
    """

    context: int = 4096
    slots: int = 1
    key_type: str = "f16"
    value_type: str = "f16"
    gpu_layers: int | None = None
    ubatch: int = 512
    threads: int | None = None
    cache_ram_mib: int = 0
    context_checkpoints: int = 1
    flash_attention: bool = True
    unified_kv: bool = False
    projector: bool = True
    drafter: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Derive them from the settings that a plan was computed for."""
        return cls(
            context=settings.context if settings.unified_kv else settings.context * settings.slots,
            slots=settings.slots,
            key_type=settings.kv_type.keys,
            value_type=settings.kv_type.values,
            gpu_layers=settings.gpu_layers,
            ubatch=settings.ubatch,
            cache_ram_mib=settings.prompt_cache_bytes // MIB,
            context_checkpoints=settings.context_checkpoints,
            flash_attention=settings.flash_attention,
            unified_kv=settings.unified_kv,
            drafter=settings.drafter,
        )


# How a drafter of Gemma 4 works. llama.cpp detects other kinds by their tensors, this one it does
# not (common/speculative.cpp, b11434): without the flag the drafter is never used.
DRAFTER_TYPE = "draft-mtp"

# Flags without which a server still starts and answers rightly: left out where --help lacks them.
OPTIONAL_FLAGS = frozenset({"cache-ram", "ctx-checkpoints", "kv-unified", "ubatch-size"})


def flag_values(options: StartOptions) -> dict[str, str]:
    """Return long flag names (without dashes) and values, for a command line or a preset file.

    Source: `llama-server --help` of b11434; a preset section takes the same names.
    """
    flags = {
        "ctx-size": str(options.context),
        "parallel": str(options.slots),
        "cache-type-k": options.key_type,
        "cache-type-v": options.value_type,
        "ubatch-size": str(options.ubatch),
        "cache-ram": str(options.cache_ram_mib),
        "ctx-checkpoints": str(options.context_checkpoints),
    }
    if options.gpu_layers is not None:
        flags["n-gpu-layers"] = str(options.gpu_layers)
    if options.threads is not None:
        flags["threads"] = str(options.threads)
    if not options.flash_attention:
        flags["flash-attn"] = "off"
    elif options.value_type != "f16":
        flags["flash-attn"] = "on"
    if options.unified_kv:
        flags["kv-unified"] = ""
    return flags


def known_flag_values(options: StartOptions, known_flags: Collection[str] = ()) -> dict[str, str]:
    """Return `flag_values` without the optional ones that a server does not know.

    Args:
        options: The start parameters.
        known_flags: Long flags that ``--help`` names, without dashes; empty if it was not asked.
    """
    flags = flag_values(options)
    if not known_flags:
        return flags
    lacking = OPTIONAL_FLAGS - frozenset(known_flags)
    return {name: value for name, value in flags.items() if name not in lacking}


def server_arguments(options: StartOptions, known_flags: Collection[str] = ()) -> list[str]:
    """Return the flags as arguments for llama-server; see `known_flag_values`."""
    arguments: list[str] = []
    for name, value in known_flag_values(options, known_flags).items():
        arguments.append(f"--{name}")
        if value:
            arguments.append(value)
    return arguments
