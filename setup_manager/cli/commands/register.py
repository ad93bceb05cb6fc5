"""`gemma-setup register`."""

from __future__ import annotations

from typing import Any

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import INTO_OLLAMA, RUN, WRITING, model_argument
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "register",
    model_argument(installed=True),
    *RUN,
    *WRITING,
    *INTO_OLLAMA,
    "catalog",
    examples=(
        "gemma-setup register e4b",
        "gemma-setup register e4b --runtime ollama",
        "gemma-setup register e4b --runtime llama.cpp --context 32k",
    ),
)
def command(shell: Shell, **asked: Any) -> Outcome:
    """Register MODEL, which is already downloaded, with a runtime."""
    from setup_manager.app import register
    from setup_manager.cli.render.register_text import register_plan_text, register_text

    session = shell.session
    plan = register.plan(session, register.Request(**asked))
    if shell.dry_run:
        return Outcome(plan.document(), register_plan_text(plan))
    result = register.run(session, plan)
    return Outcome(result.document(), register_text(result))
