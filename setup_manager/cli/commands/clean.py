"""`gemma-setup clean`."""

from __future__ import annotations

from setup_manager.cli.options import StorageOptions, WritingOptions, gemma_command
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.questions import ask_to_go_on, declined
from setup_manager.cli.shell import Shell


@gemma_command(
    "clean",
    WritingOptions,
    StorageOptions,
    examples=("gemma-setup clean --dry-run", "gemma-setup clean --yes"),
)
def command(shell: Shell, writing: WritingOptions, storage: StorageOptions) -> Outcome:
    """Drop this tool's partial downloads and what interrupted work left."""
    from setup_manager.app.verbs.remove import clean, find_litter, forget_unfinished
    from setup_manager.cli.render.remove_text import cleaned_text, litter_text

    session = shell.open_session(storage)
    litter = find_litter(session)
    data = {
        "found": [
            {"path": str(item.path), "bytes": item.size_bytes, "reason": item.reason}
            for item in litter
        ]
    }
    if writing.dry_run:
        return Outcome(data, litter_text(litter))
    if litter:
        shell.note(litter_text(litter))
        if not writing.yes and not ask_to_go_on(shell):
            raise declined()
    freed, busy = clean(litter)
    forget_unfinished(session)
    text = cleaned_text(freed, busy, found=bool(litter))
    return Outcome({**data, "freed_bytes": freed, "busy": [str(path) for path in busy]}, text)
