"""Which model answers better: an order, and where it comes from.

**Variants** go by what their model cards publish for the instruction-tuned models, one benchmark
for each kind of task. General: MMLU-Pro. Coding: LiveCodeBench v6. Vision: MMMU-Pro. Long
documents: MRCR v2 (8 needles, 128K).

**Quantizations** lose points on that scale, as the table of quantizations has them; small models
lose more, hence the factor.
"""

from __future__ import annotations

from enum import StrEnum

from setup_manager.catalog import Quantization, Variant


class Task(StrEnum):
    """What a model is wanted for."""

    CHAT = "chat"
    CODING = "coding"
    VISION = "vision"
    LONG_DOCUMENTS = "long documents"


# Points out of 100: chat (MMLU-Pro), coding (LiveCodeBench v6), vision (MMMU-Pro), long documents
# (MRCR v2 at 128K). Sources: model cards of the five variants, 2026-04-02 and 2026-06-03.
_BENCHMARKS: dict[str, dict[Task, float]] = {
    "31b": {
        Task.CHAT: 85.2, Task.CODING: 80.0, Task.VISION: 76.9, Task.LONG_DOCUMENTS: 66.4,
    },
    "26b": {
        Task.CHAT: 82.6, Task.CODING: 77.1, Task.VISION: 73.8, Task.LONG_DOCUMENTS: 44.1,
    },
    "12b": {
        Task.CHAT: 77.2, Task.CODING: 72.0, Task.VISION: 69.1, Task.LONG_DOCUMENTS: 43.4,
    },
    "e4b": {
        Task.CHAT: 69.4, Task.CODING: 52.0, Task.VISION: 52.6, Task.LONG_DOCUMENTS: 25.4,
    },
    "e2b": {
        Task.CHAT: 60.0, Task.CODING: 44.0, Task.VISION: 44.2, Task.LONG_DOCUMENTS: 19.1,
    },
}  # fmt: skip

_SMALL_MODEL_FACTOR = {"e2b": 1.5, "e4b": 1.3}


def quality(variant: Variant, quantization: Quantization, task: Task = Task.CHAT) -> float:
    """Give the points of a variant in a quantization for a task; more is better.

    A variant that no benchmark is known of is placed by its rank in the catalogue.
    """
    points = _BENCHMARKS.get(variant.key, {}).get(task, 90.0 - 6.0 * variant.quality)
    factor = _SMALL_MODEL_FACTOR.get(variant.key, 1.0)
    return points - factor * quantization.loss
