"""`gemma-setup verify`."""

from __future__ import annotations

import click

from setup_manager.cli.options import (
    DownloadingOptions,
    StorageOptions,
    gemma_command,
    model_argument,
)
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "verify",
    StorageOptions,
    DownloadingOptions,
    examples=(
        "gemma-setup verify",
        "gemma-setup verify e4b",
        "gemma-setup verify e4b --repair",
    ),
)
@model_argument(required=False, installed=True, metavar="[MODEL or PATH]")
@click.option("--repair", is_flag=True, help="Fetch the damaged chunks again.")
def command(
    shell: Shell,
    storage: StorageOptions,
    downloading: DownloadingOptions,
    model: str | None,
    *,
    repair: bool,
) -> Outcome:
    """Hash again what is installed; with --repair, fetch only what is damaged."""
    from setup_manager.app import verify
    from setup_manager.cli.render.verify_text import verify_text

    session = shell.open_session(storage, downloading)
    plan = verify.plan(session, verify.Request(model=model, repair=repair))
    result = verify.run(session, plan)
    return Outcome(result.document(), verify_text(result, shell.terminal), result.error)
