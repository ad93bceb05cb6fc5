"""`gemma-setup verify`."""

from __future__ import annotations

from typing import Any

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import TRANSFER, Option, model_argument
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "verify",
    model_argument(required=False, installed=True, metavar="[MODEL or PATH]"),
    Option("--repair", is_flag=True, help="Download damaged parts again."),
    *TRANSFER,
    "catalog",
    examples=(
        "gemma-setup verify",
        "gemma-setup verify e4b",
        "gemma-setup verify e4b --repair",
    ),
)
def command(shell: Shell, **asked: Any) -> Outcome:
    """Verify installed files against their SHA-256; with --repair, fix damaged parts only."""
    from setup_manager.app import verify
    from setup_manager.cli.render.verify_text import verify_text

    session = shell.session
    result = verify.run(session, verify.plan(session, verify.Request(**asked)))
    return Outcome(result.document(), verify_text(result, shell.terminal), result.error)
