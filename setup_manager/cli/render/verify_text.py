"""How installed files stand up to their digests."""

from __future__ import annotations

from setup_manager.app import verify
from setup_manager.cli.terminal import Terminal
from setup_manager.units import format_size


def verify_text(result: verify.Result, terminal: Terminal) -> str:
    """Print a line a file."""
    return "\n".join(_line(row, terminal) for row in result.files)


def _line(row: verify.FileResult, terminal: Terminal) -> str:
    size = format_size(row.file.artifact.size_bytes)
    if row.repaired is not None:
        fetched = format_size(row.repaired.fetched_bytes)
        return f"{terminal.mark('ok')} {row.file.path}: {size}, repaired ({fetched} downloaded)"
    if row.right:
        return f"{terminal.mark('ok')} {row.file.path}: {size}, verified"
    if row.partial:
        kept = format_size(row.kept_bytes or 0)
        return f"{terminal.mark('warn')} {row.file.path}: partial, {kept} of {size} downloaded"
    return f"{terminal.mark('fail')} {row.file.path}: {'damaged' if row.check.found else 'missing'}"
