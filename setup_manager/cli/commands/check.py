"""`gemma-setup check`."""

from __future__ import annotations

import click

from setup_manager.cli.options import (
    ModelOptions,
    PlanningOptions,
    StorageOptions,
    gemma_command,
    model_argument,
)
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "check",
    StorageOptions,
    PlanningOptions,
    ModelOptions,
    examples=(
        "gemma-setup check",
        "gemma-setup check e4b --context 32768",
        "gemma-setup check --json > machine.json",
        "gemma-setup check 12b --machine machine.json",
    ),
)
@model_argument(required=False)
@click.option("--disk-speed", is_flag=True, help="Also measure how fast the disk takes 256 MB.")
def command(
    shell: Shell,
    storage: StorageOptions,
    planning: PlanningOptions,
    files: ModelOptions,
    model: str | None,
    *,
    disk_speed: bool,
) -> Outcome:
    """Look at this machine before the first byte: what works, and what to mend.

    With MODEL, also whether that one will work here. Exits with 1 only for what really stops.
    """
    from setup_manager.app import check
    from setup_manager.cli.plans import request_of
    from setup_manager.cli.render.check_text import check_text

    session = shell.open_session(storage)
    request = request_of(check.Request, planning, files, model=model, disk_speed=disk_speed)
    result = check.run(session, request)
    text = check_text(result, shell.terminal, verbose=shell.options.verbose)
    return Outcome(result.document(), text, result.error)
