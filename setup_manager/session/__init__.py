"""What a command works with: folders, hub, machine, and the model that it is about.

May import: every room below.
Invariant: the environment is read here as values, and nowhere below.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.session.events import Observer, Silence, StageEvent, StageStatus
    from setup_manager.session.opening import open_session
    from setup_manager.session.session import Session
    from setup_manager.session.subject import Companions, Subject, unknown_architecture

__all__ = [
    "Companions",
    "Observer",
    "Session",
    "Silence",
    "StageEvent",
    "StageStatus",
    "Subject",
    "open_session",
    "unknown_architecture",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        events="Observer Silence StageEvent StageStatus",
        opening="open_session",
        session="Session",
        subject="Companions Subject unknown_architecture",
    )
