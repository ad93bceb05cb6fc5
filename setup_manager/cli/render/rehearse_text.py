"""A rehearsal: what it is, and how it went."""

from __future__ import annotations

from collections import Counter

from setup_manager.cli.terminal import Terminal
from setup_manager.rehearsal import RehearsalResult
from setup_manager.units import format_size

BEFORE = (
    "Rehearsal: a tiny Gemma 4 from a hub on this machine.\n"
    "The connection resets twice, stalls once and is overloaded once.\n"
    "Everything else is real."
)


def rehearse_text(result: RehearsalResult, program: str, terminal: Terminal) -> str:
    """Say that it went well, and what the connection did meanwhile."""
    counted = Counter(result.mishaps)
    mishaps = ", ".join(
        f"{count} × {name}" if count > 1 else name for name, count in counted.items()
    )
    size, served = format_size(result.file_bytes), format_size(result.served_bytes)
    return (
        f"{terminal.styled('Rehearsal passed', 'bold')}: the model answers.\n"
        f"Survived: {mishaps}.\n"
        f"The file is {size}; the hub sent {served}. Nothing was left behind.\n"
        f"For real: {terminal.styled(f'{program} install', 'bold')}"
    )
