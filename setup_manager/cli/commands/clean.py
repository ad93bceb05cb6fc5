"""`gemma-setup clean`."""

from __future__ import annotations

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import WRITING
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "clean",
    *WRITING,
    "models_dir",
    examples=("gemma-setup clean --dry-run", "gemma-setup clean --yes"),
)
def command(shell: Shell) -> Outcome:
    """Delete this tool's partial downloads and what interrupted work left."""
    from setup_manager.app import clean
    from setup_manager.cli.render.remove_text import cleaned_text, litter_text

    session = shell.session
    plan = clean.plan(session, clean.Request())
    if shell.dry_run:
        return Outcome(plan.document(), litter_text(plan.found))
    if plan.found:
        shell.note(litter_text(plan.found))
        shell.require_consent("Delete them?", default=False)
    result = clean.run(session, plan)
    return Outcome(result.document(), cleaned_text(result))
