"""`gemma-setup verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from setup_manager.cli.options import (
    DownloadingOptions,
    StorageOptions,
    gemma_command,
    model_argument,
)
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell
from setup_manager.errors import UsageError

if TYPE_CHECKING:
    from setup_manager.session import Session


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
    from setup_manager.app.verbs.verify import files_to_verify, verify, wrong_file
    from setup_manager.cli.render.verify_text import verify_text

    session = shell.open_session(storage, downloading)
    files = files_to_verify(session, _canonical(session, model))
    rows = tuple(verify(session, file, mend=repair) for file in files)
    data = {"files": [row.document() for row in rows], "verified": all(row.right for row in rows)}
    return Outcome(data, verify_text(rows, shell.terminal), wrong_file(rows))


def _canonical(session: Session, text: str | None) -> str | None:
    """Spell a MODEL argument as the inventory does; leave a path alone."""
    from setup_manager.session import Subject

    if text is None or session.inventory.find(text) is not None:
        return text
    try:
        return Subject(session, text).name
    except UsageError:
        return text
