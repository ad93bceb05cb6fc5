"""What `check` found: one line a check, in groups, with what to do about it."""

from __future__ import annotations

from itertools import groupby

from setup_manager.app import check
from setup_manager.cli.render.wrapping import wrapped
from setup_manager.cli.terminal import Terminal
from setup_manager.machine import Check

_NAME_WIDTH = 18


def check_text(result: check.Result, terminal: Terminal, *, verbose: bool) -> str:
    """Print the checks; those that say nothing only when verbose."""
    shown = [entry for entry in result.checks if verbose or _says_something(entry)]
    lines = []
    for group, checks in groupby(shown, key=lambda check: check.group):
        lines.append(terminal.styled(group, "bold"))
        lines += [line for check in checks for line in _check_lines(check, terminal)]
    return "\n".join(lines)


def _says_something(check: Check) -> bool:
    return check.status != "skip" or bool(check.hint) or check.group == "runtimes"


def _check_lines(check: Check, terminal: Terminal) -> list[str]:
    width = terminal.width - _NAME_WIDTH - 5
    first, *rest = wrapped(check.detail, width, hanging=0)
    indent = " " * (_NAME_WIDTH + 5)
    lines = [f"  {terminal.mark(check.status)} {check.name:<{_NAME_WIDTH}} {first}"]
    lines += [indent + line for line in rest]
    if check.hint and check.status != "ok":
        hints = wrapped(check.hint, width - 3, hanging=0)
        lines += [indent + ("→  " if i == 0 else "   ") + line for i, line in enumerate(hints)]
    return lines
