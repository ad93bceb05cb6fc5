"""What is known of this machine and its models, as one HTML page.

May import: app, session, and of the vocabulary codec, errors, hints, privacy, units.
Invariant: the page loads nothing from anywhere.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.report.drawing import require_extra
    from setup_manager.report.facts import ReportRequest, gather
    from setup_manager.report.page import render

__all__ = [
    "ReportRequest",
    "gather",
    "render",
    "require_extra",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__, drawing="require_extra", facts="ReportRequest gather", page="render"
    )
