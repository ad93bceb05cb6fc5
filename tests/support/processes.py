"""What a test has started and not ended."""

from __future__ import annotations

import psutil

from tests.support import launcher


def running_children() -> list[psutil.Process]:
    """Every process below this one, but for the launchers that runs are forked from."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if child.pid not in launcher.PIDS]
