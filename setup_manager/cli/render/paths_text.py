"""Where everything is stored."""

from __future__ import annotations

from collections.abc import Mapping

from setup_manager.cli.terminal import Terminal
from setup_manager.library import Place


def paths_text(places: Mapping[str, Place], terminal: Terminal) -> str:
    """Print a line a folder: its name, its path, and what decided it."""
    width = max(map(len, places))
    return "\n".join(
        f"{name.replace('_', ' '):<{width}}  {place.path}  "
        + terminal.styled(f"({place.decided_by})", "dim")
        for name, place in places.items()
    )
