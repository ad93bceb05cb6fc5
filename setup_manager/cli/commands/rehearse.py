"""`gemma-setup rehearse`."""

from __future__ import annotations

from setup_manager.cli.command import gemma_command
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "rehearse",
    "runtime",
    examples=("gemma-setup rehearse", "gemma-setup rehearse --json"),
)
def command(shell: Shell, runtime: str) -> Outcome:
    """Run the whole installation on a tiny real model over a bad connection.

    Needs no internet and leaves nothing behind: a hub on this machine serves the model, resets
    the connection twice, stalls once and answers one 503. Everything else is real.
    """
    from setup_manager.cli.render.rehearse_text import BEFORE, rehearse_text
    from setup_manager.rehearsal import rehearse

    shell.note(BEFORE)
    result = rehearse(shell.session, runtime)
    text = "" if result.error else rehearse_text(result, shell.program, shell.terminal)
    return Outcome(result.document(), text, result.error)
