"""The settings that memory and speed depend on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class KvType(StrEnum):
    """How a cache entry is stored."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


class Preference(StrEnum):
    """What a recommendation is ranked by."""

    SPEED = "speed"
    QUALITY = "quality"
    BALANCED = "balanced"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model will be started.

    Attributes:
        context: Tokens of context.
        key_type: How keys are stored.
        value_type: How values are stored.
        slots: Sequences served side by side.
        ubatch: Tokens computed at once.
        unified_kv: Whether the slots share one cache (llama-server's default without ``-np``).
        flash_attention: Whether attention is computed without the full score matrix.
        gpu_layers: Layers on the GPU; None for as many as fit.
        projector: Whether the projector is loaded.
        drafter: Whether the drafter is loaded.
        runtime: ``"llama.cpp"``, ``"ollama"`` or ``"embedded"``.
    """

    context: int = 8192
    key_type: KvType = KvType.F16
    value_type: KvType = KvType.F16
    slots: int = 1
    ubatch: int = 512
    unified_kv: bool = False
    flash_attention: bool = True
    gpu_layers: int | None = None
    projector: bool = False
    drafter: bool = False
    runtime: str = "llama.cpp"
