"""`gemma-setup recommend`."""

from __future__ import annotations

from typing import Any

import click

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import PLANNING, RUN, Option, RateType, SizeType
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell

TASKS = ("chat", "coding", "vision", "long documents")


@gemma_command(
    "recommend",
    Option("--for", "task", type=click.Choice(TASKS), default="chat", help="What you want to do."),
    "prefer",
    *RUN,
    Option(
        "--headroom",
        "headroom_bytes",
        section=PLANNING,
        type=SizeType(),
        metavar="SIZE",
        help="Memory to keep free.",
    ),
    Option(
        "--line-rate",
        "download_bytes_per_second",
        section=PLANNING,
        type=RateType(),
        metavar="RATE",
        help="Your connection speed, to estimate download time.",
    ),
    "machine",
    "catalog",
    examples=(
        "gemma-setup recommend",
        "gemma-setup recommend --prefer quality --context 32k",
        "gemma-setup recommend --for coding --line-rate 5M",
        "gemma-setup recommend --machine machine.json --json",
    ),
)
def command(shell: Shell, **asked: Any) -> Outcome:
    """Rank the models that fit this machine; show what was rejected, and why."""
    from setup_manager.app import recommend
    from setup_manager.cli.render.recommend_text import recommend_text

    result = recommend.run(shell.session, recommend.Request(**asked))
    text = recommend_text(result, shell.terminal, verbose=shell.options.verbose)
    return Outcome(result.document(), text)
