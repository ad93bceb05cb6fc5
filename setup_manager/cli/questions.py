"""Asking a person before something is done."""

from __future__ import annotations

from setup_manager.cli.shell import Shell
from setup_manager.errors import SetupError, UsageError


def ask_to_go_on(shell: Shell) -> bool:
    """Ask, where somebody can answer.

    Raises:
        UsageError: If nobody can.
    """
    if not shell.terminal.can_ask:
        raise UsageError(
            "Somebody has to say yes, and nobody can be asked here.",
            code="needs-yes",
            hint="Add --yes, or --dry-run to see the plan only.",
        )
    return shell.confirm("Go on?")


def declined() -> SetupError:
    """Make the error for a no."""
    return SetupError("Nothing was done.", code="declined", hint="Add --dry-run to look only.")
