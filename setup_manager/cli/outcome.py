"""What a command returns, and the one place that turns it into text or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from setup_manager.cli.render.error_text import error_text
from setup_manager.cli.render.wrapping import folded
from setup_manager.cli.terminal import Terminal
from setup_manager.errors import SetupError

SCHEMA_VERSION = 1
_SHORTEST_SECRET = 6


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a command.

    Attributes:
        data: The ``data`` of the JSON document.
        text: The same for people.
        error: What stopped it, or None; its ``data`` may still hold what was done before.
        value: What scripts ask the command for, such as a path: alone on stdout where that is not
            a terminal; the text goes to stderr then.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    error: SetupError | None = None
    value: str = ""

    @classmethod
    def of_error(cls, error: SetupError) -> Self:
        """Make the result of a command that was stopped, with what was done before."""
        partial: Any = error.partial
        return cls({} if partial is None else partial.document(), error=error)

    @property
    def exit_code(self) -> int:
        """What the process exits with."""
        return self.error.exit_code if self.error else 0


def envelope(command: str, outcome: Outcome) -> dict[str, Any]:
    """Make the JSON document of a result."""
    return {
        "schema": SCHEMA_VERSION,
        "command": command,
        "status": "error" if outcome.error else "success",
        "exit_code": outcome.exit_code,
        "data": dict(outcome.data),
        "errors": [error_document(outcome.error)] if outcome.error else [],
    }


def error_document(error: SetupError) -> dict[str, Any]:
    """Make the JSON form of an error."""
    return {
        "code": error.code,
        "message": error.message,
        "context": list(error.context),
        "hint": error.hint,
    }


def write_outcome(
    command: str,
    outcome: Outcome,
    terminal: Terminal,
    *,
    as_json: bool,
    quiet: bool = False,
    secrets: Iterable[str] = (),
) -> None:
    """Write a result where it belongs: the document or text to stdout, an error to stderr.

    Args:
        command: Name of the command.
        outcome: Its result.
        terminal: Where to write.
        as_json: Whether one JSON document is wanted.
        quiet: Whether nothing but a value or an error is wanted.
        secrets: Values that must appear nowhere, such as a token.
    """
    hide = _Redaction(secrets)
    if as_json:
        document = json.dumps(envelope(command, outcome), ensure_ascii=not terminal.unicode)
        print(hide(document), file=terminal.stdout, flush=True)
        return
    if outcome.value and not terminal.reads_results:
        print(hide(outcome.value), file=terminal.stdout, flush=True)
        if not quiet:
            print(terminal.plain(hide(outcome.text)), file=terminal.stderr, flush=True)
    elif outcome.text:
        text = folded(outcome.text, terminal) if terminal.reads_results else outcome.text
        print(terminal.plain(hide(text)), file=terminal.stdout, flush=True)
    if outcome.error:
        print(
            terminal.plain(hide(error_text(outcome.error, terminal))),
            file=terminal.stderr,
            flush=True,
        )


class _Redaction:
    """Replaces secrets; the last line of defence, since none should get this far."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text
