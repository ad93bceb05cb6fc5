"""How installed files stand up to their digests."""

from __future__ import annotations

from collections.abc import Iterable

from setup_manager.app.verbs.verify import VerifyRow
from setup_manager.cli.terminal import Terminal
from setup_manager.units import format_size


def verify_text(rows: Iterable[VerifyRow], terminal: Terminal) -> str:
    """Print a line a file."""
    return "\n".join(_line(row, terminal) for row in rows)


def _line(row: VerifyRow, terminal: Terminal) -> str:
    size = format_size(row.file.artifact.size_bytes)
    if row.repaired is not None:
        fetched = format_size(row.repaired.fetched_bytes)
        return f"{terminal.mark('ok')} {row.file.path}: {size}, repaired ({fetched} downloaded)"
    if row.right:
        return f"{terminal.mark('ok')} {row.file.path}: {size}, verified"
    return f"{terminal.mark('fail')} {row.file.path}: {'damaged' if row.check.found else 'missing'}"
