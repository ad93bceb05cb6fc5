"""`gemma-setup recover`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from setup_manager.app.verbs.recover import Recovered


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
    from setup_manager.app.verbs.recover import finish, look
    from setup_manager.cli.render.recover_text import recover_plan_text, recovered_text

    session = shell.open_session(storage, downloading)
    plan = look(session, tuple(Path(path).absolute() for path in paths))
    text = recover_plan_text(plan, shell.terminal)
    if writing.dry_run or not plan.offers:
        return Outcome({**plan.document(), "files": []}, text)
    shell.note(text)
    if not writing.yes and not ask_to_go_on(shell):
        raise declined()
    done = finish(session, plan, move=move)
    data = {**plan.document(), "files": [_document(item) for item in done]}
    return Outcome(data, recovered_text(done, shell.terminal))


def _document(item: Recovered) -> dict[str, object]:
    return {
        "path": str(item.file.path),
        "bytes": item.file.artifact.size_bytes,
        "sha256": item.file.artifact.sha256,
        "commit": item.file.artifact.commit,
        "adopted_bytes": item.outcome.adopted_bytes,
        "sampled_bytes": item.outcome.sampled_bytes,
        "fetched_bytes": item.file.fetched_bytes,
    }
