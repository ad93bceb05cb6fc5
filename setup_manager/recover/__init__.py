"""What other tools' interrupted downloads left, and how it is finished or reused.

May import: library, download and the rooms below.
Invariant: foreign bytes count only where their digest agrees.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.recover.adopt import Outcome, TakeOver
    from setup_manager.recover.busy import find_busy
    from setup_manager.recover.find import find_leftovers
    from setup_manager.recover.offer import Offer, offers_for
    from setup_manager.recover.survey import Finding, by_artifact, survey_leftovers
    from setup_manager.recover.tools import usual_folders

__all__ = [
    "Finding",
    "Offer",
    "Outcome",
    "TakeOver",
    "by_artifact",
    "find_busy",
    "find_leftovers",
    "offers_for",
    "survey_leftovers",
    "usual_folders",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        adopt="Outcome TakeOver",
        busy="find_busy",
        find="find_leftovers",
        offer="Offer offers_for",
        survey="Finding by_artifact survey_leftovers",
        tools="usual_folders",
    )
