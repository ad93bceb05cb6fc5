"""The terminal as it is: how wide, with colour or not, Unicode or ASCII, a person or a pipe."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

# Only what can be read on white and on black alike: of the base colours, yellow and cyan fade on
# white and blue on black.
_STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "magenta": "35",
}
_ASCII_MARKS = {"ok": "ok", "warn": "!!", "fail": "XX", "skip": "--", "run": ">>"}
_UNICODE_MARKS = {"ok": "✓", "warn": "!", "fail": "✗", "skip": "–", "run": "▸"}
_MARK_STYLES = {"ok": "green", "warn": "magenta", "fail": "red", "skip": "dim", "run": "bold"}
_FALLBACK_WIDTH = 80
_MAX_TEXT_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where output goes and what it may contain.

    Attributes:
        stdout: Results.
        stderr: Progress, questions and errors.
        width: Columns.
        colour: Whether escape sequences for colour may be used.
        unicode: Whether characters beyond ASCII can be shown.
        reads_results: Whether a person reads stdout (a terminal and no pipe or file).
        interactive: Whether a person watches stderr (a terminal that can move the cursor).
        can_ask: Whether a person can answer a question.
    """

    stdout: TextIO
    stderr: TextIO
    width: int
    colour: bool
    unicode: bool
    reads_results: bool
    interactive: bool
    can_ask: bool

    @property
    def columns(self) -> int:
        """Columns of the terminal on stderr as it is now: it may have been resized."""
        if not self.interactive:
            return self.width
        try:
            columns = os.get_terminal_size(self.stderr.fileno()).columns
        except (OSError, ValueError):
            return self.width
        return min(columns, _MAX_TEXT_WIDTH) if columns > 0 else self.width

    def styled(self, text: str, *styles: str) -> str:
        """Wrap text in escape sequences where colour is allowed."""
        if not self.colour or not styles:
            return text
        codes = ";".join(_STYLES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def mark(self, status: str) -> str:
        """Give the sign for ``ok``, ``warn``, ``fail``, ``skip`` or ``run``, in its colour."""
        marks = _UNICODE_MARKS if self.unicode else _ASCII_MARKS
        return self.styled(marks[status], _MARK_STYLES[status])

    def plain(self, text: str) -> str:
        """Replace what the output encoding cannot show."""
        if self.unicode:
            return text
        for fancy, simple in _ASCII_WORDS.items():
            text = text.replace(fancy, simple)
        return text.encode("ascii", "replace").decode("ascii")


_ASCII_WORDS = {
    "…": "...", "·": "-", "–": "-", "—": "-", "→": "->", "≤": "<=", "≥": ">=", "×": "x",
    "°": " deg ", "✓": "ok", "✗": "XX", "▸": ">>", "█": "#", "░": ".", "▏": "|", "“": '"', "”": '"',
}  # fmt: skip


class StatusLine:
    """The last line of a terminal while something runs; gone before anything else is printed.

    Args:
        terminal: Where; nothing is shown where nobody watches.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._shown = False

    def show(self, line: str) -> None:
        """Show a line in place of the last one, cut to the width."""
        if not self._terminal.interactive:
            return
        self.clear()
        line = self._terminal.plain(line)
        width = self._terminal.columns - 1 + len(line) - visible_length(line)
        print(line[:width], end="", file=self._terminal.stderr, flush=True)
        self._shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            print("\r\x1b[2K", end="", file=self._terminal.stderr, flush=True)
            self._shown = False


def visible_length(text: str) -> int:
    """Count the columns of a text, without its escape sequences."""
    return len(_ESCAPE.sub("", text))


_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def describe_terminal(
    environment: Mapping[str, str],
    stdin: TextIO | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    *,
    no_color: bool = False,
) -> Terminal:
    """Look at the standard streams once.

    Args:
        environment: For NO_COLOR and TERM.
        stdin: Defaults to the process's own; so do the other two.
        stdout: Results.
        stderr: Progress, questions and errors.
        no_color: Whether the user asked for no colour.
    """
    stdin, stdout, stderr = stdin or sys.stdin, stdout or sys.stdout, stderr or sys.stderr
    dumb = environment.get("TERM", "") == "dumb"
    colour = not no_color and not environment.get("NO_COLOR") and not dumb and _is_tty(stdout)
    return Terminal(
        stdout=stdout,
        stderr=stderr,
        width=min(shutil.get_terminal_size((_FALLBACK_WIDTH, 24)).columns, _MAX_TEXT_WIDTH),
        colour=colour and (os.name != "nt" or _windows_console_understands_escapes()),
        unicode=_is_unicode(stdout) and _is_unicode(stderr),
        reads_results=_is_tty(stdout),
        interactive=_is_tty(stderr) and not dumb,
        can_ask=_is_tty(stdin) and _is_tty(stderr),
    )


def _is_tty(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def _is_unicode(stream: TextIO | None) -> bool:
    encoding = getattr(stream, "encoding", None) or "ascii"
    return encoding.lower().replace("-", "").startswith("utf")


def _windows_console_understands_escapes() -> bool:
    """Switch on escape sequences in the Windows console (Windows 10 and later)."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        handle = kernel.GetStdHandle(-11)
        mode = ctypes.c_ulong()
        enable_virtual_terminal_processing = 0x0004
        return bool(
            kernel.GetConsoleMode(handle, ctypes.byref(mode))
            and kernel.SetConsoleMode(handle, mode.value | enable_virtual_terminal_processing)
        )
    return True
