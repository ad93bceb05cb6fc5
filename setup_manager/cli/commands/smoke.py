"""`gemma-setup smoke`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from setup_manager.cli.options import (
    ModelOptions,
    PlanningOptions,
    StorageOptions,
    gemma_command,
    model_argument,
)
from setup_manager.cli.result import Outcome
from setup_manager.cli.shell import Shell
from setup_manager.errors import SetupError
from setup_manager.units import format_duration, format_memory

if TYPE_CHECKING:
    from setup_manager.cli.terminal import Terminal
    from setup_manager.smoke import SmokeReport


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
    return Outcome(report.to_document(), report_text(report, shell.terminal), error)


def report_text(report: SmokeReport, terminal: Terminal) -> str:
    """Print a report: the answer, the verdict, the measurements beside the prediction."""
    completion, predicted = report.completion, report.predicted
    mark = terminal.mark("ok" if report.passed else "fail")
    answer = " ".join(report.text.split())[:200]
    lines = [f"{mark} {report.model} with {report.runtime} answers: {answer!r}"]
    lines += [f"  {reason}" for reason in report.reasons]
    speed = f"{completion.tokens_per_second:.1f} tokens/s"
    memory = format_memory(report.memory_bytes)
    if predicted is not None:
        speed += f"  (predicted {predicted.tokens_per_second:.1f}: {predicted.low:.1f} to "
        speed += f"{predicted.high:.1f})"
        memory += f"  (predicted {format_memory(predicted.memory_bytes)})"
    rows = {
        "load": format_duration(report.load_seconds),
        "first token": f"{1000 * completion.first_token_seconds:.0f} ms",
        "prompt": f"{completion.prompt_tokens_per_second:.0f} tokens/s",
        "generation": speed,
        "peak memory": memory,
    }
    if report.memory is not None:
        rows["of which"] = (
            f"{format_memory(report.memory.anonymous_bytes)} private, "
            f"{format_memory(report.memory.mapped_bytes)} of the mapped file"
        )
    if report.heat.peak_celsius is not None:
        rows["hottest"] = f"{report.heat.peak_celsius:.0f} °C"
    if report.drafter is not None:
        rows["with drafter"] = f"{report.drafter:.1f} tokens/s"
    if report.series:
        first, last = report.series[0], report.series[-1]
        rows["held out"] = f"{first:.1f} tokens/s at first, {last:.1f} at the end"
    return "\n".join([*lines, *(f"  {name:<13} {value}" for name, value in rows.items())])
