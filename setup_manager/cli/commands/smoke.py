"""`gemma-setup smoke`."""

from __future__ import annotations

from typing import Any

import click

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import Option, model_argument
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell
from setup_manager.errors import SetupError


@gemma_command(
    "smoke",
    model_argument(installed=True),
    Option("--image", is_flag=True, help="Ask about a picture (needs the projector)."),
    Option(
        "--long",
        "long_minutes",
        type=click.FloatRange(0, 24 * 60),
        default=0.0,
        metavar="N",
        help="Generate for N minutes, to measure throttling.",
    ),
    "runtime",
    "with_drafter",
    "kv_type",
    "ubatch",
    "catalog",
    examples=(
        "gemma-setup smoke e4b",
        "gemma-setup smoke e4b --runtime ollama",
        "gemma-setup smoke e4b --long 10",
        "gemma-setup smoke e4b --image",
    ),
)
def command(shell: Shell, **asked: Any) -> Outcome:
    """Ask MODEL a question, judge the answer, compare the speed with the prediction."""
    from setup_manager.app import smoke
    from setup_manager.cli.render.smoke_text import smoke_text
    from setup_manager.smoke import require_passed

    session = shell.session
    request = smoke.Request(**asked)
    report = smoke.run(session, smoke.plan(session, request))
    error: SetupError | None = None
    try:
        require_passed(report)
    except SetupError as failed:
        error = failed
    text = smoke_text(report, shell.terminal, image=request.image)
    return Outcome(report.document(), text, error)
