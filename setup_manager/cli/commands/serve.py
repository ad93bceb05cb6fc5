"""`gemma-setup serve`."""

from __future__ import annotations

from typing import Any

import click

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import RUN, Option, model_argument
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "serve",
    model_argument(installed=True),
    Option(
        "--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1 (default: a free one)."
    ),
    *RUN,
    "catalog",
    examples=("gemma-setup serve e4b", "gemma-setup serve e4b --port 8080 --context 16k"),
)
def command(shell: Shell, **asked: Any) -> Outcome:
    """Run MODEL as an OpenAI-compatible server on 127.0.0.1, in the foreground.

    Ctrl-C stops it.
    """
    from setup_manager.app import serve
    from setup_manager.cli.render.serve_text import ENDED, loading_text, ready_text

    session = shell.session
    plan = serve.plan(session, serve.Request(**asked))

    def ready(endpoint: str) -> None:
        shell.note(ready_text(plan, endpoint))

    shell.note(loading_text(plan))
    result = serve.run(session, plan, ready)
    return Outcome(result.document(), ENDED)
