"""`gemma-setup clean`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from setup_manager.cli.options import StorageOptions, WritingOptions, gemma_command
from setup_manager.cli.questions import ask_to_go_on, declined
from setup_manager.cli.result import Outcome
from setup_manager.cli.shell import Shell
from setup_manager.units import format_size

if TYPE_CHECKING:
    from setup_manager.app.verbs.remove import Litter


@gemma_command(
    "clean",
    WritingOptions,
    StorageOptions,
    examples=("gemma-setup clean --dry-run", "gemma-setup clean --yes"),
)
def command(shell: Shell, writing: WritingOptions, storage: StorageOptions) -> Outcome:
    """Drop this tool's partial downloads and what interrupted work left."""
    from setup_manager.app.verbs.remove import clean, find_litter, forget_unfinished

    session = shell.open_session(storage)
    litter = find_litter(session)
    data = {
        "found": [
            {"path": str(item.path), "bytes": item.size_bytes, "reason": item.reason}
            for item in litter
        ]
    }
    if writing.dry_run:
        return Outcome(data, _text(litter))
    if litter:
        shell.note(_text(litter))
        if not writing.yes and not ask_to_go_on(shell):
            raise declined()
    freed, busy = clean(litter)
    forget_unfinished(session)
    text = f"{format_size(freed)} are free again." if litter else "There is nothing to clean."
    text += "".join(f"\nin use, left alone: {path}" for path in busy)
    return Outcome({**data, "freed_bytes": freed, "busy": [str(path) for path in busy]}, text)


def _text(litter: tuple[Litter, ...]) -> str:
    if not litter:
        return "There is nothing to clean."
    return "\n".join(
        f"{format_size(item.size_bytes):>8}  {item.reason}: {item.path}" for item in litter
    )
