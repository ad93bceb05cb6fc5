"""Words that people type in place of a command, and what they mean here."""

from __future__ import annotations

import re
from collections.abc import Iterable

ALIASES = {
    "pull": "download",
    "get": "download",
    "rm": "remove",
    "uninstall": "remove",
    "delete": "remove",
    "ls": "list",
    "doctor": "check",
}
"""What other tools call a command; it is understood."""

_SERVE = "`gemma-setup serve MODEL` runs an OpenAI-compatible server."
_MEANT = {
    "run": _SERVE,
    "chat": _SERVE,
    "start": _SERVE,
    "ps": "`gemma-setup list --installed` shows what is installed.",
    "status": "`gemma-setup list --installed` shows what is installed.",
    "show": "`gemma-setup explain MODEL` shows its memory and its speed.",
    "search": "`gemma-setup list` shows the catalogue.",
    "models": "`gemma-setup list` shows the catalogue.",
    "upgrade": "`gemma-setup download MODEL --latest` gets the newest upload.",
    "update": "`gemma-setup download MODEL --latest` gets the newest upload.",
    "stop": "Ctrl-C stops `gemma-setup serve`.",
    "create": "`gemma-setup register MODEL --runtime ollama` adds it to Ollama.",
    "config": "`gemma-setup paths` shows where the configuration file is.",
}
"""What other tools have and this one does not: named, so that nobody has to guess."""

_MODEL = re.compile(r"(?:gemma-?4?-?)?e?\d+b(?:[:-].*)?|[\w.-]+/[\w./:@-]+", re.IGNORECASE)


def hint_for(word: str, commands: Iterable[str]) -> str:
    """Say what somebody may have meant by a word that is not a command; ``""`` if unknown."""
    if word in _MEANT:
        return _MEANT[word]
    if _MODEL.fullmatch(word):
        return f"To install a model: `gemma-setup install {word}`."
    from difflib import get_close_matches

    close = get_close_matches(word, (*commands, *ALIASES), n=1)
    return f"Did you mean {close[0]!r}?" if close else ""
