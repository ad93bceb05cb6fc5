"""How much memory a model takes, by place, and how fast it will run: numbers only, no text.

May import: catalog, gguf, machine and the rooms below.
Invariant: pure; the same values give the same answer.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.fit.document import (
        memory_document,
        recommendation_document,
        settings_document,
        speed_document,
    )
    from setup_manager.fit.explain import Candidate, Explanation, MemoryPart, explain_fit
    from setup_manager.fit.header_facts import architecture_from_header, weights_from_headers
    from setup_manager.fit.headroom import available_bytes, compare, default_headroom
    from setup_manager.fit.memory import memory_use
    from setup_manager.fit.quality import Task
    from setup_manager.fit.recommend import (
        USUAL_CONTEXTS,
        Choice,
        Recommendation,
        Request,
        default_context,
        rank_choices,
        weights_of,
    )
    from setup_manager.fit.results import MemoryUse, Speed, Verdict
    from setup_manager.fit.settings import KvType, Preference, Settings, check_settings
    from setup_manager.fit.speed import Measurement, predict_speed
    from setup_manager.fit.weights import WeightsFacts

__all__ = [
    "USUAL_CONTEXTS",
    "Candidate",
    "Choice",
    "Explanation",
    "KvType",
    "Measurement",
    "MemoryPart",
    "MemoryUse",
    "Preference",
    "Recommendation",
    "Request",
    "Settings",
    "Speed",
    "Task",
    "Verdict",
    "WeightsFacts",
    "architecture_from_header",
    "available_bytes",
    "check_settings",
    "compare",
    "default_context",
    "default_headroom",
    "explain_fit",
    "memory_document",
    "memory_use",
    "predict_speed",
    "rank_choices",
    "recommendation_document",
    "settings_document",
    "speed_document",
    "weights_from_headers",
    "weights_of",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        document="memory_document recommendation_document settings_document speed_document",
        explain="Candidate Explanation MemoryPart explain_fit",
        header_facts="architecture_from_header weights_from_headers",
        headroom="available_bytes compare default_headroom",
        memory="memory_use",
        quality="Task",
        recommend="Choice Recommendation Request USUAL_CONTEXTS default_context rank_choices weights_of",
        results="MemoryUse Speed Verdict",
        settings="KvType Preference Settings check_settings",
        speed="Measurement predict_speed",
        weights="WeightsFacts",
    )
