"""`gemma-setup recommend`."""

from __future__ import annotations

from typing import Literal

import click

from setup_manager.cli.options import (
    ModelOptions,
    PlanningOptions,
    RateType,
    SizeType,
    StorageOptions,
    gemma_command,
)
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "recommend",
    StorageOptions,
    PlanningOptions,
    ModelOptions,
    examples=(
        "gemma-setup recommend",
        "gemma-setup recommend --prefer quality --context 32768",
        "gemma-setup recommend --for coding --line-rate 5M",
        "gemma-setup recommend --machine machine.json --json",
    ),
)
@click.option(
    "--for",
    "task",
    type=click.Choice(["chat", "coding", "vision", "long documents"]),
    default="chat",
    help="What the model is wanted for.",
)
@click.option("--headroom", type=SizeType(), metavar="SIZE", help="Memory to leave free.")
@click.option(
    "--line-rate", type=RateType(), metavar="RATE", help="Speed of the line, for download times."
)
def command(
    shell: Shell,
    storage: StorageOptions,
    planning: PlanningOptions,
    files: ModelOptions,
    task: Literal["chat", "coding", "vision", "long documents"],
    headroom: int | None,
    line_rate: int | None,
) -> Outcome:
    """Say which models fit this machine, ranked, why, and what was rejected, why."""
    from setup_manager.app.verbs.recommend import Weighing, recommend_models
    from setup_manager.cli.plans import machine_for, planned_runtime, planning_of
    from setup_manager.cli.render.recommend_text import recommend_text

    session = shell.open_session(storage)
    result = recommend_models(
        session,
        planning_of(planning, files),
        machine_for(session, planning),
        planned_runtime(planning),
        Weighing(task, headroom, line_rate),
    )
    text = recommend_text(result, shell.terminal, verbose=shell.options.verbose)
    return Outcome(result.document(), text)
