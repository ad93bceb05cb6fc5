"""The name under which a model is registered with Ollama."""

from __future__ import annotations

import re

_ALLOWED = re.compile(r"[^A-Za-z0-9._-]+")
# Ollama's limits for the parts of a name (types/model/name.go, 0.33).
_LONGEST = 80
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def registered_name(variant: str | None, repository: str, quantization: str) -> str:
    """Make a name for a model: ``"gemma-4-e4b:UD-Q4_K_XL"``.

    Ollama chooses the small or large chat template by the size in the name (``e2b``, ``e4b``,
    ``12b``, ``26b``, ``31b``), so the size is always in it where it is known.

    Args:
        variant: Variant key, or None for a repository outside the catalogue.
        repository: ``org/name`` on the hub.
        quantization: Label of the quantization.
    """
    base = f"gemma-4-{variant}" if variant else repository.rpartition("/")[2].lower()
    return f"{_part(base)}:{_part(quantization)}"


def is_plain(name: str) -> bool:
    """Whether a name is a model and a tag in Ollama's own library, and safe as a path."""
    parts = full_name(name).split(":")
    return len(parts) == 2 and all(
        len(part) <= _LONGEST and _PLAIN.fullmatch(part) is not None for part in parts
    )


def full_name(name: str) -> str:
    """Add the tag that Ollama adds itself: ``"x"`` is ``"x:latest"``."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _part(text: str) -> str:
    cleaned = _ALLOWED.sub("-", text).strip("-._")[:_LONGEST]
    return cleaned or "model"
