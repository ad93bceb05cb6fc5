"""`gemma-setup check`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

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
from setup_manager.errors import SetupError

if TYPE_CHECKING:
    from setup_manager.machine import Check
    from setup_manager.session import Session


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
    from setup_manager.app.verbs.check import check, check_elsewhere, check_model
    from setup_manager.cli.plans import planning_of, wanted_of
    from setup_manager.cli.render.check_text import check_text
    from setup_manager.session import Subject

    session = shell.open_session(storage)
    subject = Subject(session, model, wanted_of(files)) if model else None
    asked = planning_of(planning, files)
    asked.settings("llama.cpp")
    if planning.machine:
        from setup_manager.cli.plans import machine_for

        result = check_elsewhere(machine_for(session, planning))
    else:
        result = check(session)
    if disk_speed and not planning.machine:
        result = replace(result, checks=with_disk_speed(session, result.checks))
    if subject is not None:
        checks = (*result.checks, *check_model(session, result, subject, asked))
        result = replace(result, checks=checks)
    text = check_text(result, shell.terminal, verbose=shell.options.verbose)
    return Outcome(result.document(), text, _error(result.failures))


def with_disk_speed(session: Session, checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """Add the measurement behind the other checks of the disk."""
    from setup_manager.app.verbs.check import disk_speed_check

    last = max((i for i, check in enumerate(checks) if check.group == "disk"), default=-1) + 1
    return (*checks[:last], disk_speed_check(session), *checks[last:])


def _error(failures: tuple[Check, ...]) -> SetupError | None:
    if not failures:
        return None
    names = ", ".join(check.name for check in failures)
    return SetupError(
        f"This machine is not ready: {names}.",
        code="check-failed",
        context=[f"{check.name}: {check.detail}" for check in failures],
        hint=" ".join(dict.fromkeys(check.advice for check in failures if check.hint))
        or "See the lines marked above.",
    )
