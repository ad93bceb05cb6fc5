"""Which model answers better: an order, and where it comes from.

**Variants** go by what their model cards publish for the instruction-tuned models, one benchmark
for each kind of task. General: MMLU-Pro. Coding: LiveCodeBench v6. Vision: MMMU-Pro. Long
documents: MRCR v2 (8 needles, 128K).

**Quantizations** lose points on that scale. Their order is that of llama.cpp's own perplexity
tables (8-bit before 6, 5, 4, 3, 2; K-quants before legacy types of the same width). Trained (QAT)
4-bit weights lose 54 % less than the same type rounded afterwards (Google's figure for the QAT
models of Gemma 3), which puts them between 5-bit and rounded 4-bit. The distances in points are a
judgement and not a measurement; small models lose more, hence the factor.
"""

from __future__ import annotations

from enum import StrEnum

from setup_manager.catalog import Variant


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

# Points lost against 16 bits, by the first of these names that a label starts with.
_LOSSES = (
    ("BF16", 0.0), ("F16", 0.0), ("F32", 0.0), ("Q8_0", 0.1), ("Q6_K", 0.3), ("Q5_K", 0.7),
    ("Q5_", 0.9), ("Q4_K_XL", 1.4), ("Q4_K_M", 1.6), ("Q4_K", 1.9), ("IQ4", 1.8), ("Q4_", 2.5),
    ("MXFP4", 2.5), ("NVFP4", 2.0), ("Q3_K", 6.0), ("IQ3", 7.0), ("Q2_K", 14.0), ("IQ2", 18.0),
    ("IQ1", 25.0),
)  # fmt: skip
_UNKNOWN_LOSS = 3.0
_TRAINED_SHARE = 0.46
_SMALL_MODEL_FACTOR = {"e2b": 1.5, "e4b": 1.3}


def quantization_loss(quantization: str, *, trained: bool) -> float:
    """Give the points a quantization loses against 16 bits on a large model.

    Args:
        quantization: Label, e.g. ``"UD-Q4_K_XL"``.
        trained: Whether the weights were trained for it (QAT); they are then Q4_0 inside.
    """
    label = quantization.upper().replace(" ", "-").replace("UD-", "")
    if trained or label.startswith("QAT-"):
        return _TRAINED_SHARE * dict(_LOSSES)["Q4_"]
    return next((loss for name, loss in _LOSSES if label.startswith(name)), _UNKNOWN_LOSS)


def quality(variant: Variant, quantization: str, *, trained: bool, task: Task = Task.CHAT) -> float:
    """Give the points of a variant in a quantization for a task; more is better.

    A variant that no benchmark is known of is placed by its rank in the catalogue.
    """
    points = _BENCHMARKS.get(variant.key, {}).get(task, 90.0 - 6.0 * variant.quality)
    factor = _SMALL_MODEL_FACTOR.get(variant.key, 1.0)
    return points - factor * quantization_loss(quantization, trained=trained)
