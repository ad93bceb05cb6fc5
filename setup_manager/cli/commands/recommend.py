"""`gemma-setup recommend`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from setup_manager import units
from setup_manager.cli.options import (
    ModelOptions,
    PlanningOptions,
    RateType,
    SizeType,
    StorageOptions,
    gemma_command,
)
from setup_manager.cli.result import Outcome
from setup_manager.cli.shell import Shell

if TYPE_CHECKING:
    from setup_manager.app.verbs.recommend import RecommendResult
    from setup_manager.cli.terminal import Terminal
    from setup_manager.fit import Choice

_SHOWN, _SHOWN_REJECTED = 3, 3
_VERDICT_MARKS = {"fits": "ok", "tight": "warn", "no": "fail"}


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
    task: str,
    headroom: int | None,
    line_rate: int | None,
) -> Outcome:
    """Say which models fit this machine, ranked, why, and what was rejected, why."""
    from setup_manager.app.verbs.recommend import Weighing, recommend_models
    from setup_manager.cli.plans import machine_for, planned_runtime, planning_of
    from setup_manager.fit import Task

    session = shell.open_session(storage)
    result = recommend_models(
        session,
        planning_of(planning, files),
        machine_for(session, planning),
        planned_runtime(planning),
        Weighing(Task(task), headroom, line_rate),
    )
    text = _text(result, shell.terminal, verbose=shell.options.verbose)
    return Outcome(result.document(), text)


def _text(result: RecommendResult, terminal: Terminal, *, verbose: bool) -> str:
    found = result.recommendation
    memory = result.machine.memory
    lines = [
        (
            f"{units.format_memory(memory.available_bytes)} of memory are available; "
            f"{units.format_memory(found.headroom_bytes)} stay free for everything else."
        ),
        "",
    ]
    shown = found.choices if verbose else found.choices[:_SHOWN]
    for rank, choice in enumerate(shown, 1):
        lines += _choice_lines(choice, terminal, f"{rank}.")
    rejected = found.rejected if verbose else found.rejected[:_SHOWN_REJECTED]
    if rejected:
        lines += [terminal.styled("rejected", "bold")]
        for choice in rejected:
            lines += _choice_lines(choice, terminal, "", brief=True)
    hidden = len(found.choices) + len(found.rejected) - len(shown) - len(rejected)
    if hidden > 0:
        lines.append(terminal.styled(f"{hidden} more: add -v", "dim"))
    best = found.choices[0].model
    lines += ["", f"gemma-setup install {best}"]
    return "\n".join(lines)


def _choice_lines(
    choice: Choice, terminal: Terminal, rank: str, *, brief: bool = False
) -> list[str]:
    from setup_manager.cli.explain_text import speed_text

    mark = terminal.mark(_VERDICT_MARKS[choice.verdict])
    size = units.format_size(choice.size_bytes) + ("" if choice.memory.confirmed else " (computed)")
    title = terminal.styled(choice.model, "bold")
    if brief:
        return [f"{mark} {title}  {size}", *_wrapped("; ".join(choice.reasons), terminal.width)]
    head = f"{rank} {mark} {title}  {size} to fetch, {choice.settings.context:,} tokens of context"
    facts = f"{speed_text(choice.speed)}, limited by {choice.speed.limited_by}"
    facts += f"; {choice.speed.basis}"
    reasons = "; ".join(choice.reasons)
    return [head, *_wrapped(facts, terminal.width), *_wrapped(reasons, terminal.width)]


def _wrapped(text: str, width: int) -> list[str]:
    from textwrap import wrap

    return [f"     {line}" for line in wrap(text, width - 5)]
