"""`gemma-setup check`."""

from __future__ import annotations

from typing import Any

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import RUN, Option, model_argument
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "check",
    model_argument(required=False),
    Option("--disk-speed", is_flag=True, help="Also measure how fast the disk writes 256 MB."),
    *RUN,
    "machine",
    "models_dir",
    "catalog",
    examples=(
        "gemma-setup check",
        "gemma-setup check e4b --context 32k",
        "gemma-setup check --json > machine.json",
        "gemma-setup check 12b --machine machine.json",
    ),
)
def command(shell: Shell, **asked: Any) -> Outcome:
    """Check this machine before downloading: what works, what to fix.

    With MODEL, also whether that model will work here. Exits 1 only for blocking problems.
    """
    from setup_manager.app import check
    from setup_manager.cli.render.check_text import check_text

    result = check.run(shell.session, check.Request(**asked))
    text = check_text(result, shell.terminal, verbose=shell.options.verbose)
    return Outcome(result.document(), text, result.error)
