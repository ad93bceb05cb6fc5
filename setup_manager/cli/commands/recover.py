"""`gemma-setup recover`."""

from __future__ import annotations

from pathlib import Path

import click

from setup_manager.cli.options import (
    DownloadingOptions,
    StorageOptions,
    WritingOptions,
    gemma_command,
)
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.questions import ask_to_go_on, declined
from setup_manager.cli.shell import Shell


@gemma_command(
    "recover",
    WritingOptions,
    StorageOptions,
    DownloadingOptions,
    examples=(
        "gemma-setup recover --dry-run",
        "gemma-setup recover ~/Downloads",
        "gemma-setup recover ~/Downloads/gemma-4-E4B-it-Q4_K_M.gguf.crdownload --move",
    ),
)
@click.argument("paths", metavar="[PATH ...]", nargs=-1, type=click.Path(exists=True))
@click.option("--move", is_flag=True, help="Remove leftovers once they were taken over.")
def command(
    shell: Shell,
    writing: WritingOptions,
    storage: StorageOptions,
    downloading: DownloadingOptions,
    paths: tuple[str, ...],
    *,
    move: bool,
) -> Outcome:
    """Find what other tools' downloads of Gemma 4 left; finish or adopt it.

    Looks in the usual folders of hf, llama.cpp, Ollama, LM Studio, Jan, aria2, curl and browsers,
    or at PATH. Every byte that is taken over is proven by the SHA-256 of the whole file.
    """
    from setup_manager.app import recover
    from setup_manager.cli.render.recover_text import recover_plan_text, recovered_text

    session = shell.open_session(storage, downloading)
    where = tuple(Path(path).absolute() for path in paths)
    plan = recover.plan(session, recover.Request(paths=where, move=move))
    text = recover_plan_text(plan, shell.terminal)
    if writing.dry_run or not plan.offers:
        return Outcome(recover.Result(plan).document(), text)
    shell.note(text)
    if not writing.yes and not ask_to_go_on(shell):
        raise declined()
    result = recover.run(session, plan)
    return Outcome(result.document(), recovered_text(result.files, shell.terminal))
