"""`gemma-setup download`."""

from __future__ import annotations

from typing import Any

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import TRANSFER, WRITING, model_argument
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "download",
    model_argument(),
    "with_projector",
    "with_drafter",
    *WRITING,
    "latest",
    *TRANSFER,
    "no_recover",
    "models_dir",
    "catalog",
    examples=(
        "gemma-setup download e4b",
        "gemma-setup download 12b --with-projector --limit-rate 5M",
        "gemma-setup download org/repo:Q4_K_M --models-dir ~/models",
        'path="$(gemma-setup download e4b)"',
    ),
)
def command(shell: Shell, **asked: Any) -> Outcome:
    """Download and verify MODEL; run it again after any interruption to continue.

    Where stdout is not a terminal, it gets the path of the file alone.
    """
    from setup_manager.app import download
    from setup_manager.cli.render.download_text import download_plan_text, download_text

    session = shell.session
    plan = download.plan(session, download.Request(**asked))
    if shell.dry_run:
        return Outcome(plan.document(), download_plan_text(plan.files))
    if plan.files.fetch_bytes:
        shell.note(download_plan_text(plan.files))
    result = download.run(session, plan)
    return Outcome(result.document(), download_text(result), value=str(result.path))
