"""An error for people: what, the facts, how to go on."""

from __future__ import annotations

from setup_manager.cli.render.wrapping import wrapped
from setup_manager.cli.terminal import Terminal
from setup_manager.errors import SetupError

_INTERRUPTED = 130
_LABELS = {"error:": ("red", "bold"), "next:": ("bold",)}


def error_text(error: SetupError, terminal: Terminal) -> str:
    """Print an error for people: what, the facts, how to go on.

    In a terminal it is wrapped to the width; what goes to a file or a pipe stays one fact a line,
    which is how logs are searched.
    """
    width = terminal.width if terminal.interactive else None
    stopped = error.exit_code == _INTERRUPTED
    paragraphs = [
        error.message if stopped else f"error: {error.message}",
        *(f"  {line}" for line in error.context),
        f"next: {error.hint}",
    ]
    lines = [line for text in paragraphs for line in wrapped(text, width)]
    if stopped:
        lines[0] = terminal.styled(lines[0], "magenta", "bold")
    return "\n".join(_with_label(line, terminal) for line in lines)


def _with_label(line: str, terminal: Terminal) -> str:
    label, _, rest = line.partition(" ")
    return f"{terminal.styled(label, *_LABELS[label])} {rest}" if label in _LABELS else line
