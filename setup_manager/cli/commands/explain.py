"""`gemma-setup explain`."""

from __future__ import annotations

from typing import Any

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import RUN, model_argument
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "explain",
    model_argument(),
    *RUN,
    "machine",
    "catalog",
    examples=(
        "gemma-setup explain e4b",
        "gemma-setup explain 26b --context 128k --kv-type q8_0",
        "gemma-setup explain 12b -v",
    ),
)
def command(shell: Shell, **asked: Any) -> Outcome:
    """Show where MODEL's memory goes, how fast it will run, and why."""
    from setup_manager.app import recommend
    from setup_manager.cli.render.explain_text import explanation_text

    explanation = recommend.explain(shell.session, recommend.ExplainRequest(**asked))
    text = explanation_text(explanation, shell.terminal, verbose=shell.options.verbose)
    return Outcome(recommend.explanation_document(explanation), text)
