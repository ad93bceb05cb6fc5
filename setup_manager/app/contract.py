"""Results whose fields have the names that the JSON contract gives them."""

from __future__ import annotations

from typing import Any

from setup_manager.codec import to_plain


class Document:
    """A frozen dataclass that is the document it is written as."""

    __slots__ = ()

    def document(self) -> dict[str, Any]:
        """Return it as plain values."""
        plain: dict[str, Any] = to_plain(self)
        return plain
