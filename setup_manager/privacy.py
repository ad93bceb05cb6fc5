"""What is taken out of a text or a document before somebody else may see it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_HOMES = (
    (re.compile(r"(?<![\w.~-])/(?:home|Users|var/home)/[^/\\:\s\"']+"), "~"),
    (re.compile(r"((?:/mnt/[a-z]|/media|/run/media)(?:/Users)?)/[^/\\:\s\"']+"), r"\1/~"),
    (re.compile(r"\b[A-Za-z]:[\\/]+Users[\\/]+[^/\\:\"']+"), "~"),
    (re.compile(r"(?<![\w.~/-])/root(?=/|$)"), "~"),
)


def mask(text: str, private: Sequence[str] = ()) -> str:
    """Take out of a text what names a person or a machine.

    Args:
        text: Any text.
        private: Words to hide wherever they stand alone: user and host names.

    Returns:
        The text with home folders as ``~`` and each private word as ``***``.
    """
    for pattern, instead in _HOMES:
        text = pattern.sub(instead, text)
    for word in private:
        if len(word) > 1:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", "***", text)
    return text


_FREE_TEXT = frozenset({"path", "device", "detail", "hint", "users"})
"""Fields that may hold a name; elsewhere a user called "linux" or "nvidia" must do no harm."""


def mask_document(value: Any, private: Sequence[str] = (), *, free_text: bool = False) -> Any:
    """Mask every text of a document; private words only in fields that may hold a name.

    Args:
        value: Plain JSON values.
        private: User and host names to hide.
        free_text: Whether the value belongs to a field that may hold a name.
    """
    if isinstance(value, str):
        return mask(value, private if free_text else ())
    if isinstance(value, dict):
        return {
            key: mask_document(entry, private, free_text=free_text or key in _FREE_TEXT)
            for key, entry in value.items()
        }
    if isinstance(value, list):
        return [mask_document(entry, private, free_text=free_text) for entry in value]
    return value
