"""How installed files stand up to their digests."""

from __future__ import annotations

from setup_manager.app import verify
from setup_manager.cli.terminal import Terminal
from setup_manager.library import InstalledModel
from setup_manager.units import format_size


def verify_text(result: verify.Result, terminal: Terminal) -> str:
    """Print a line a file."""
    return "\n".join(_line(row, terminal) for row in result.files)


def _line(row: verify.FileResult, terminal: Terminal) -> str:
    size = row.file.artifact.size_bytes
    mark, words = "ok", f"{format_size(size)}, verified"
    if row.repaired is not None:
        words = (
            f"{format_size(size)}, repaired ({format_size(row.repaired.fetched_bytes)} downloaded)"
        )
    elif row.unfinished:
        mark, words = "skip", partial_words(row.model, row.arrived_bytes, size)
    elif not row.right:
        mark, words = "fail", "damaged" if row.check.found else "missing"
    return f"{terminal.mark(mark)} {row.file.path}: {words}"


def partial_words(model: InstalledModel, arrived_bytes: int, size_bytes: int) -> str:
    """Say how far an unfinished download is, and what continues it."""
    percent = 100 * arrived_bytes // size_bytes
    return f"partial, {percent} % here; `gemma-setup download {model.name}` continues"
