"""The contract's JSON shapes of what fit computes."""

from __future__ import annotations

from typing import Any

from setup_manager.fit.recommend import Choice, Recommendation
from setup_manager.fit.results import MemoryUse, Speed
from setup_manager.fit.settings import Settings


def memory_document(memory: MemoryUse) -> dict[str, Any]:
    """Give the `memory` shape: the contract's fields, and what else is known."""
    return {
        "weights_bytes": memory.weights_bytes,
        "kv_cache_bytes": memory.kv_cache_bytes,
        "compute_bytes": memory.compute_bytes,
        "projector_bytes": memory.projector_bytes,
        "overhead_bytes": memory.overhead_bytes,
        "total_bytes": memory.total_bytes,
        "by_place": {"ram_bytes": memory.ram_bytes, "vram_bytes": memory.vram_bytes},
        "needed_bytes": memory.needed_bytes,
        "reclaimable_bytes": memory.reclaimable_bytes,
        "untouched_bytes": memory.untouched_bytes,
        "growth_bytes": memory.growth_bytes,
        "gpu_layers": memory.gpu_layers,
        "devices": [
            {
                "name": device.name,
                "used_bytes": device.used_bytes,
                "free_bytes": device.free_bytes,
                "layers": device.layers,
            }
            for device in memory.devices
        ],
        "confirmed": memory.confirmed,
    }


def speed_document(speed: Speed) -> dict[str, Any]:
    """Give the `speed` shape; tokens a second, rounded to what the figure can carry."""
    return {
        "tokens_per_second": round(speed.tokens_per_second, 2),
        "low": round(speed.low, 2),
        "high": round(speed.high, 2),
        "limited_by": speed.limited_by,
        "basis": speed.basis,
    }


def settings_document(settings: Settings) -> dict[str, Any]:
    """Give the settings that memory and speed hold for."""
    return {
        "context": settings.context,
        "kv_type": {"keys": settings.key_type.value, "values": settings.value_type.value},
        "slots": settings.slots,
        "ubatch": settings.ubatch,
        "unified_kv": settings.unified_kv,
        "flash_attention": settings.flash_attention,
        "gpu_layers": settings.gpu_layers,
        "projector": settings.projector,
        "drafter": settings.drafter,
        "runtime": settings.runtime,
        "prompt_cache_bytes": settings.prompt_cache_bytes,
        "context_checkpoints": settings.context_checkpoints,
    }


def choice_document(choice: Choice) -> dict[str, Any]:
    """Give one entry of `recommend`'s `choices` or `rejected`."""
    return {
        "model": choice.model,
        "quantization": choice.quantization,
        "repo": choice.repository,
        "file": choice.path,
        "size_bytes": choice.size_bytes,
        "confirmed": choice.memory.confirmed,
        "context": choice.settings.context,
        "longest_context": choice.longest_context,
        "settings": settings_document(choice.settings),
        "memory": memory_document(choice.memory),
        "speed": speed_document(choice.speed),
        "verdict": choice.verdict.value,
        "quality": round(choice.quality, 1),
        "reasons": list(choice.reasons),
        "shortfall_bytes": choice.shortfall_bytes,
        "download_seconds": choice.download_seconds,
    }


def recommendation_document(recommendation: Recommendation) -> dict[str, Any]:
    """Give `choices` and `rejected`; the machine is added by whoever knows its shape."""
    return {
        "choices": [choice_document(choice) for choice in recommendation.choices],
        "rejected": [choice_document(choice) for choice in recommendation.rejected],
        "headroom_bytes": recommendation.headroom_bytes,
    }
