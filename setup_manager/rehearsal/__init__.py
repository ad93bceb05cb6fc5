"""The whole job on a tiny real model from a hub on this machine.

May import: app, session, errors.
Invariant: no internet, and nothing is left behind.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.rehearsal.job import RehearsalResult, rehearse

__all__ = [
    "RehearsalResult",
    "rehearse",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(__name__, job="RehearsalResult rehearse")
