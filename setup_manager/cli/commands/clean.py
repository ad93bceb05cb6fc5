"""`gemma-setup clean`."""

from __future__ import annotations

from setup_manager.cli.options import StorageOptions, WritingOptions, gemma_command
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.questions import ask_to_go_on, declined
from setup_manager.cli.shell import Shell


@gemma_command(
    "clean",
    WritingOptions,
    StorageOptions,
    examples=("gemma-setup clean --dry-run", "gemma-setup clean --yes"),
)
def command(shell: Shell, writing: WritingOptions, storage: StorageOptions) -> Outcome:
    """Drop this tool's partial downloads and what interrupted work left."""
    from setup_manager.app import clean
    from setup_manager.cli.render.remove_text import cleaned_text, litter_text

    session = shell.open_session(storage)
    plan = clean.plan(session, clean.Request())
    if writing.dry_run:
        return Outcome(plan.document(), litter_text(plan.found))
    if plan.found:
        shell.note(litter_text(plan.found))
        if not writing.yes and not ask_to_go_on(shell):
            raise declined()
    result = clean.run(session, plan)
    return Outcome(result.document(), cleaned_text(result))
