"""Lines of a width, broken where a reader can still copy what has to be copied."""

from __future__ import annotations

import re

from setup_manager.cli.terminal import Terminal, visible_length

_UNBREAKABLE = re.compile(r" *(?:(?:`[^`\n]*`|[^\s`])+|`)")
_CONTROL = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f-\x9f]|\x1b(?!\[[0-9;]*m)")


def wrapped(text: str, width: int | None, *, hanging: int = 2) -> list[str]:
    """Break a paragraph into lines of a width.

    A command in backquotes, a path, an address or a digest is never broken, even where it is wider
    than the line: it is there to be copied. Line breaks and control characters in it, which only
    foreign text such as a server's answer brings, become spaces.

    Args:
        text: The paragraph; its own indentation and columns are kept.
        width: Columns, or None for no limit.
        hanging: Columns by which later lines are indented more; a third of the width at most.
    """
    text = _CONTROL.sub(" ", text)
    if width is None or len(text) <= width:
        return [text]
    indent = " " * (len(text) - len(text.lstrip(" ")) + min(hanging, width // 3))
    words = _UNBREAKABLE.findall(text)
    lines = ["".join(words[:1])]
    for word in words[1:]:
        if visible_length(lines[-1]) + visible_length(word) > width:
            lines.append(indent + word.lstrip(" "))
        else:
            lines[-1] += word
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
