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
    from setup_manager.app.planning import installed_settings
    from setup_manager.app.record import recorded
    from setup_manager.app.verbs.runtime import choose_runtime, find_runtimes
    from setup_manager.app.verbs.smoke import Trial, smoke
    from setup_manager.cli.commands.install import refuse_other_machine
    from setup_manager.cli.models import installed_subject
    from setup_manager.cli.plans import planning_of, wanted_of
    from setup_manager.cli.render.smoke_text import smoke_text
    from setup_manager.smoke import require_passed

    refuse_other_machine(planning)
    session = shell.open_session(storage)
    installed, subject = installed_subject(session, model, wanted_of(files))
    chosen = choose_runtime(find_runtimes(session), planning.runtime)
    settings = installed_settings(session, subject, planning_of(planning, files), chosen.name)
    trial = Trial(image, long_minutes, files.with_drafter)
    with recorded(session) as record:
        record.model = installed.name
        report = smoke(session, installed, subject, chosen.status, settings, trial)
    error: SetupError | None = None
    try:
        require_passed(report)
    except SetupError as failed:
        error = failed
    text = smoke_text(report, shell.terminal, image=image)
    return Outcome(report.to_document(), text, error)
