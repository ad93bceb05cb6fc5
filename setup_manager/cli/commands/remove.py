"""`gemma-setup remove`."""

from __future__ import annotations

import click

from setup_manager.cli.options import StorageOptions, WritingOptions, gemma_command, model_argument
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.questions import ask_to_go_on, declined
from setup_manager.cli.shell import Shell
from setup_manager.units import format_size


@gemma_command(
    "remove",
    WritingOptions,
    StorageOptions,
    examples=("gemma-setup remove e4b --dry-run", "gemma-setup remove e4b"),
)
@model_argument(installed=True)
@click.option("--forget", is_flag=True, help="Go on without a runtime that does not answer.")
def command(
    shell: Shell, writing: WritingOptions, storage: StorageOptions, model: str, *, forget: bool
) -> Outcome:
    """Take MODEL out again, everywhere; what this tool did not put there stays."""
    from setup_manager.app import remove
    from setup_manager.cli.render.install_text import NOTHING_DONE
    from setup_manager.cli.render.remove_text import remove_plan_text

    session = shell.open_session(storage)
    plan = remove.plan(session, remove.Request(model=model, forget=forget))
    if writing.dry_run:
        return Outcome(plan.document(), f"{remove_plan_text(plan)}\n{NOTHING_DONE}")
    shell.note(remove_plan_text(plan))
    if not writing.yes and not ask_to_go_on(shell):
        raise declined()
    result = remove.run(session, plan)
    return Outcome(
        result.document(),
        f"{plan.model.name} removed; {format_size(result.freed_bytes)} freed.",
    )
