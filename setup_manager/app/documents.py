"""The documents of what fit computed: its own fields, and the sentences for people."""

from __future__ import annotations

from typing import Any

from setup_manager.app.reasons import choice_reasons, explanation_reasons
from setup_manager.codec import to_plain
from setup_manager.fit import Choice, Explanation, Recommendation

# What each piece of the memory bar is.
PART_NOTES = {
    "weights": "the file",
    "per-layer embeddings": "one row per token, read from the file; reclaimable",
    "copy on the GPU": "the original in the file is reclaimable",
    "rearranged copy": "the original in the file is reclaimable",
    "KV cache": "the conversation",
    "scratch": "for one batch",
    "projector": "for images",
    "other": "the program, its checkpoints, GPU context",
}

# What fit computes with and no document promises.
_INTERNAL = frozenset(
    {"program_bytes", "bounds_caches", "score", "below_floor", "context_too_long"}
)


def plain(value: object) -> Any:
    """Make plain values with two decimals, which is what a prediction can carry."""
    return _shown(to_plain(value))


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 2)
    if isinstance(value, list):
        return [_shown(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _shown(entry) for key, entry in value.items() if key not in _INTERNAL}
    return value


def choice_document(choice: Choice) -> dict[str, Any]:
    """Give one entry of `recommend`'s `choices` or `rejected`."""
    return {**plain(choice), "reasons": choice_reasons(choice)}


def recommendation_document(recommendation: Recommendation) -> dict[str, Any]:
    """Give `choices`, `rejected` and which of the choices is smaller and faster than the first."""
    faster = recommendation.faster
    return {
        "choices": [choice_document(choice) for choice in recommendation.choices],
        "rejected": [choice_document(choice) for choice in recommendation.rejected],
        "headroom_bytes": recommendation.headroom_bytes,
        "faster": faster.model if faster else None,
    }


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """Give ``data`` of `explain`."""
    document = plain(explanation)
    for part in document["parts"]:
        part["note"] = PART_NOTES[part["label"]]
    return {**document, "reasons": explanation_reasons(explanation)}
