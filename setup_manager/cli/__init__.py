"""The shell: argv in, text or one JSON document out.

May import: every room below.
Invariant: nothing but this room prints, asks or exits.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.cli.entry import main, run

__all__ = [
    "main",
    "run",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(__name__, entry="main run")
