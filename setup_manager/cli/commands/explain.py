"""`gemma-setup explain`."""

from __future__ import annotations

from setup_manager.cli.options import (
    ModelOptions,
    PlanningOptions,
    StorageOptions,
    gemma_command,
    model_argument,
)
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell

_STYLES = {
    "title": ("bold",),
    "dim": ("dim",),
    "good": ("green",),
    "warn": ("magenta",),
    "bad": ("red",),
}


@gemma_command(
    "explain",
    StorageOptions,
    PlanningOptions,
    ModelOptions,
    examples=(
        "gemma-setup explain e4b",
        "gemma-setup explain 26b --context 131072 --kv-type q8_0",
        "gemma-setup explain 12b -v",
    ),
)
@model_argument()
def command(
    shell: Shell,
    storage: StorageOptions,
    planning: PlanningOptions,
    files: ModelOptions,
    model: str,
) -> Outcome:
    """Show where MODEL's memory goes, how fast it will run, and why."""
    from setup_manager.app import recommend
    from setup_manager.cli.plans import request_of
    from setup_manager.cli.render.explain_text import Screen, explanation_lines

    session = shell.open_session(storage)
    request = request_of(recommend.ExplainRequest, planning, files, model=model)
    explanation = recommend.explain(session, request)
    terminal = shell.terminal
    screen = Screen(
        width=terminal.width,
        unicode=terminal.unicode,
        verbose=shell.options.verbose,
        style=lambda text, role: terminal.styled(text, *_STYLES.get(role, ())),
    )
    return Outcome(
        recommend.explanation_document(explanation),
        "\n".join(explanation_lines(explanation, screen)),
    )
