"""A real inference: the question, the judge, the guard that keeps the machine usable.

May import: runtimes and the rooms below.
Invariant: the engine ends before the machine runs out of memory.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.smoke.report import Prediction, SmokeReport, require_passed
    from setup_manager.smoke.request import SmokeRequest, Watch
    from setup_manager.smoke.run import SMOKE_CONTEXT, run_smoke

__all__ = [
    "SMOKE_CONTEXT",
    "Prediction",
    "SmokeReport",
    "SmokeRequest",
    "Watch",
    "require_passed",
    "run_smoke",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        report="Prediction SmokeReport require_passed",
        request="SmokeRequest Watch",
        run="SMOKE_CONTEXT run_smoke",
    )
