"""The command line: argv in; text, or one JSON document, out.

``commands`` turn arguments into a verb's request and its result into an `Outcome`; ``render`` has
all text for people; what leaves the process goes through ``entry``.

May import: app, report, rehearsal and every room below.
Invariant: importing it, and `--help`, costs little more than importing click.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.cli.entry import main, run
    from setup_manager.cli.group import SUMMARIES, cli

__all__ = ["SUMMARIES", "cli", "main", "run"]

if not TYPE_CHECKING:
    __getattr__ = lazy(__name__, entry="main run", group="SUMMARIES cli")
