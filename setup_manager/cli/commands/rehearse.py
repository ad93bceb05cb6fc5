"""`gemma-setup rehearse`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from setup_manager.cli.options import RUNTIMES, StorageOptions, gemma_command
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell
from setup_manager.units import format_size

if TYPE_CHECKING:
    from setup_manager.rehearsal import RehearsalResult


@gemma_command(
    "rehearse",
    StorageOptions,
    examples=("gemma-setup rehearse", "gemma-setup rehearse --json"),
)
@click.option("--runtime", type=click.Choice(RUNTIMES), default="auto", help="What is to run it.")
def command(shell: Shell, storage: StorageOptions, runtime: str) -> Outcome:
    """Do the whole of install on a tiny real model over a bad line.

    Needs no internet and leaves nothing behind: a hub on this machine serves the model, resets
    the connection twice, falls silent once and answers one 503; everything else is real.
    """
    from setup_manager.rehearsal import rehearse

    shell.note(
        "A rehearsal: a tiny Gemma 4 from a hub on this machine, whose line resets\n"
        "twice, falls silent once and is overloaded once. The rest is the real thing."
    )
    result = rehearse(shell.open_session(storage), runtime)
    return Outcome(result.document(), _text(shell, result), result.error)


def _text(shell: Shell, result: RehearsalResult) -> str:
    if result.error is not None:
        return ""
    counted = Counter(result.mishaps)
    mishaps = ", ".join(
        f"{count} × {name}" if count > 1 else name for name, count in counted.items()
    )
    styled = shell.terminal.styled
    sizes = format_size(result.file_bytes), format_size(result.served_bytes)
    return (
        f"{styled('The rehearsal went well', 'bold')}: the model answers.\n"
        f"On the way: {mishaps}.\n"
        f"Of a file of {sizes[0]} the hub sent {sizes[1]}. Nothing was left behind.\n"
        f"The real one: {styled(f'{shell.program} install', 'bold')}"
    )
