"""`gemma-setup smoke`."""

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
from setup_manager.errors import SetupError


@gemma_command(
    "smoke",
    StorageOptions,
    PlanningOptions,
    ModelOptions,
    examples=(
        "gemma-setup smoke e4b",
        "gemma-setup smoke e4b --runtime ollama",
        "gemma-setup smoke e4b --long 10",
        "gemma-setup smoke e4b --image",
    ),
)
@model_argument(installed=True)
@click.option("--image", is_flag=True, help="Ask about a picture (needs the projector).")
@click.option(
    "--long",
    "long_minutes",
    type=click.FloatRange(0, 24 * 60),
    default=0.0,
    metavar="N",
    help="Generate for N minutes, to see what heat does.",
)
def command(
    shell: Shell,
    storage: StorageOptions,
    planning: PlanningOptions,
    files: ModelOptions,
    model: str,
    *,
    image: bool,
    long_minutes: float,
) -> Outcome:
    """Ask MODEL a question, judge the answer, and measure it against what was predicted."""
    from setup_manager.app import smoke
    from setup_manager.cli.commands.install import refuse_other_machine
    from setup_manager.cli.plans import request_of
    from setup_manager.cli.render.smoke_text import smoke_text
    from setup_manager.smoke import require_passed

    refuse_other_machine(planning)
    session = shell.open_session(storage)
    trial = {"image": image, "long_minutes": long_minutes}
    plan = smoke.plan(session, request_of(smoke.Request, planning, files, model=model, **trial))
    report = smoke.run(session, plan)
    error: SetupError | None = None
    try:
        require_passed(report)
    except SetupError as failed:
        error = failed
    text = smoke_text(report, shell.terminal, image=image)
    return Outcome(report.to_document(), text, error)
