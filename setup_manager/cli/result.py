"""What a command returns, and the one place that turns it into text or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from setup_manager.cli.terminal import Terminal, visible_length
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
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    error: SetupError | None = None

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


def error_text(error: SetupError, terminal: Terminal) -> str:
    """Print an error for people: what, the facts, how to go on.

    In a terminal it is wrapped to the width; what goes to a file or a pipe stays one fact a line,
    which is how logs are searched.
    """
    label = "stopped" if error.exit_code == _INTERRUPTED else "error"
    style = "magenta" if error.exit_code == _INTERRUPTED else "red"
    width = terminal.width if terminal.interactive else None
    paragraphs = [
        f"{label}: {error.message}",
        *(f"  {line}" for line in error.context),
        f"next: {error.hint}",
    ]
    lines = [line for text in paragraphs for line in wrapped(text, width)]
    coloured = {f"{label}:": (style, "bold"), "next:": ("bold",)}
    return "\n".join(_with_label(line, coloured, terminal) for line in lines)


def wrapped(text: str, width: int | None) -> list[str]:
    """Break a paragraph into lines of a width, its later ones indented by two more columns.

    A command in backquotes, a path, an address or a digest is never broken, even where it is wider
    than the line: it is there to be copied. Line breaks and control characters in it, which only
    foreign text such as a server's answer brings, become spaces.

    Args:
        text: The paragraph; its own indentation is kept.
        width: Columns, or None for no limit.
    """
    text = _CONTROL.sub(" ", text)
    if width is None or len(text) <= width:
        return [text]
    indent = text[: len(text) - len(text.lstrip(" "))]
    words = _UNBREAKABLE.findall(text)
    lines = [indent + " ".join(words[:1])]
    for word in words[1:]:
        if visible_length(lines[-1]) + 1 + visible_length(word) > width:
            lines.append(f"{indent}  {word}")
        else:
            lines[-1] += f" {word}"
    return lines


def folded(text: str, terminal: Terminal) -> str:
    """Break lines that are wider than the terminal at words.

    A line with an address in it stays whole: it is a command to be copied, and the terminal's own
    wrapping does not get into a copy.
    """
    lines = []
    for line in text.split("\n"):
        fits = visible_length(line) <= terminal.width
        lines += [line] if fits or "://" in line else wrapped(line, terminal.width)
    return "\n".join(lines)


def _with_label(line: str, styles: Mapping[str, tuple[str, ...]], terminal: Terminal) -> str:
    label, _, rest = line.partition(" ")
    return f"{terminal.styled(label, *styles[label])} {rest}" if label in styles else line


_UNBREAKABLE = re.compile(r"(?:`[^`\n]*`|[^\s`])+|`")
_CONTROL = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f-\x9f]|\x1b(?!\[[0-9;]*m)")
_INTERRUPTED = 130


def write_outcome(
    command: str,
    outcome: Outcome,
    terminal: Terminal,
    *,
    as_json: bool,
    secrets: Iterable[str] = (),
) -> None:
    """Write a result where it belongs: the document or text to stdout, an error to stderr.

    Args:
        command: Name of the command.
        outcome: Its result.
        terminal: Where to write.
        as_json: Whether one JSON document is wanted.
        secrets: Values that must appear nowhere, such as a token.
    """
    hide = _Redaction(secrets)
    if as_json:
        document = json.dumps(envelope(command, outcome), ensure_ascii=not terminal.unicode)
        print(hide(document), file=terminal.stdout, flush=True)
        return
    if outcome.text:
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
