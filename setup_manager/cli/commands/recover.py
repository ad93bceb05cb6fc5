"""`gemma-setup recover`."""

from __future__ import annotations

from pathlib import Path

import click

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import TRANSFER, WRITING, HomePath, Option
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell


@gemma_command(
    "recover",
    click.Argument(["paths"], metavar="[PATH ...]", nargs=-1, type=HomePath(exists=True)),
    Option("--move", is_flag=True, help="Delete the other tool's file once its content is used."),
    *WRITING,
    *TRANSFER,
    "models_dir",
    "catalog",
    examples=(
        "gemma-setup recover --dry-run",
        "gemma-setup recover ~/Downloads",
        "gemma-setup recover ~/Downloads/gemma-4-E4B-it-Q4_K_M.gguf.crdownload --move",
    ),
)
def command(shell: Shell, paths: tuple[str, ...], *, move: bool) -> Outcome:
    """Finish or reuse other tools' incomplete downloads of Gemma 4.

    Searches the usual folders of hf, llama.cpp, Ollama, LM Studio, Jan, aria2, curl and browsers,
    or PATH. Every reused byte is covered by the SHA-256 of the whole file.
    """
    from setup_manager.app import recover
    from setup_manager.cli.render.recover_text import recover_plan_text, recovered_text

    session = shell.session
    where = tuple(Path(path).absolute() for path in paths)
    plan = recover.plan(session, recover.Request(paths=where, move=move))
    text = recover_plan_text(plan, shell.terminal)
    if shell.dry_run or not plan.offers:
        return Outcome(recover.Result(plan).document(), text)
    shell.note(text)
    shell.require_consent("Finish them?")
    result = recover.run(session, plan)
    return Outcome(result.document(), recovered_text(result.files, shell.terminal))
