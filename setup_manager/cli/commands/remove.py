"""`gemma-setup remove`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from setup_manager.cli.options import StorageOptions, WritingOptions, gemma_command, model_argument
from setup_manager.cli.questions import ask_to_go_on, declined
from setup_manager.cli.result import Outcome
from setup_manager.cli.shell import Shell
from setup_manager.units import format_size

if TYPE_CHECKING:
    from setup_manager.app.verbs.remove import RemovePlan


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
    from setup_manager.app.verbs.remove import plan_removal, remove
    from setup_manager.cli.models import recorded_model

    session = shell.open_session(storage)
    plan = plan_removal(session, recorded_model(session, model))
    if writing.dry_run:
        return Outcome(plan.document(), f"{_text(plan)}\nNothing was done; leave out --dry-run.")
    shell.note(_text(plan))
    if not writing.yes and not ask_to_go_on(shell):
        raise declined()
    freed = remove(session, plan, forget=forget)
    return Outcome(
        {**plan.document(), "freed_bytes": freed},
        f"{plan.model.name} is gone; {format_size(freed)} are free again.",
    )


def _text(plan: RemovePlan) -> str:
    lines = [f"will forget: {entry.runtime} {entry.name}" for entry in plan.registrations]
    lines += [
        f"will delete: {file.path} ({format_size(file.artifact.size_bytes)})" for file in plan.files
    ]
    lines += [f"stays:       {file.path} ({why})" for file, why in plan.kept]
    return "\n".join(lines)
