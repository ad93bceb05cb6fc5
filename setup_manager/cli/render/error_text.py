"""An error for people: what, the facts, how to go on."""

from __future__ import annotations

from collections.abc import Mapping

from setup_manager.cli.render.wrapping import wrapped
from setup_manager.cli.terminal import Terminal
from setup_manager.errors import SetupError

_INTERRUPTED = 130


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


def _with_label(line: str, styles: Mapping[str, tuple[str, ...]], terminal: Terminal) -> str:
    label, _, rest = line.partition(" ")
    return f"{terminal.styled(label, *styles[label])} {rest}" if label in styles else line
