"""`gemma-setup remove`."""

from __future__ import annotations

from typing import Any

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import WRITING, Option, model_argument
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "remove",
    model_argument(installed=True),
    Option("--forget", is_flag=True, help="Continue without a runtime that does not answer."),
    *WRITING,
    "catalog",
    examples=("gemma-setup remove e4b --dry-run", "gemma-setup remove e4b"),
)
def command(shell: Shell, **asked: Any) -> Outcome:
    """Remove MODEL and its registrations; keep what this tool did not install."""
    from setup_manager.app import remove
    from setup_manager.cli.render.install_text import NOTHING_DONE
    from setup_manager.cli.render.remove_text import remove_plan_text, removed_text

    session = shell.session
    plan = remove.plan(session, remove.Request(**asked))
    if shell.dry_run:
        return Outcome(plan.document(), f"{remove_plan_text(plan)}\n{NOTHING_DONE}")
    shell.note(remove_plan_text(plan))
    shell.require_consent("Remove it?", default=False)
    result = remove.run(session, plan)
    return Outcome(result.document(), removed_text(result))
