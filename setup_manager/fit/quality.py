"""Which model answers better: an order, and where it comes from.

**Variants** go by what their model cards publish for the instruction-tuned models, one benchmark
for each kind of task. General: MMLU-Pro. Coding: LiveCodeBench v6. Vision: MMMU-Pro. Long
documents: MRCR v2 (8 needles, 128K).

**Quantizations** lose points on that scale, as the table of quantizations has them; small models
lose more, hence the factor.
"""

from __future__ import annotations

from typing import Literal

from setup_manager.catalog import Quantization, Variant

Task = Literal["chat", "coding", "vision", "long documents"]


# Points out of 100: chat (MMLU-Pro), coding (LiveCodeBench v6), vision (MMMU-Pro), long documents
# (MRCR v2 at 128K). Sources: model cards of the five variants, 2026-04-02 and 2026-06-03.
_BENCHMARKS: dict[str, dict[Task, float]] = {
    "31b": {
        "chat": 85.2, "coding": 80.0, "vision": 76.9, "long documents": 66.4,
    },
    "26b": {
        "chat": 82.6, "coding": 77.1, "vision": 73.8, "long documents": 44.1,
    },
    "12b": {
        "chat": 77.2, "coding": 72.0, "vision": 69.1, "long documents": 43.4,
    },
    "e4b": {
        "chat": 69.4, "coding": 52.0, "vision": 52.6, "long documents": 25.4,
    },
    "e2b": {
        "chat": 60.0, "coding": 44.0, "vision": 44.2, "long documents": 19.1,
    },
}  # fmt: skip

_SMALL_MODEL_FACTOR = {"e2b": 1.5, "e4b": 1.3}


def quality(variant: Variant, quantization: Quantization, task: Task = "chat") -> float:
    """Give the points of a variant in a quantization for a task; more is better.

    A variant that no benchmark is known of is placed by its rank in the catalogue.
    """
    points = _BENCHMARKS.get(variant.key, {}).get(task, 90.0 - 6.0 * variant.quality)
    factor = _SMALL_MODEL_FACTOR.get(variant.key, 1.0)
    return points - factor * quantization.loss
