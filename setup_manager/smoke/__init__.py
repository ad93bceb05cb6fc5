"""A real inference: the question, the judge, the guard that keeps the machine usable.

May import: runtimes and the rooms below.
Invariant: the engine ends before the machine runs out of memory.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.smoke.report import Prediction, SmokeReport, require_passed
    from setup_manager.smoke.request import SmokeEvent, SmokeRequest, Watch
    from setup_manager.smoke.run import run_smoke, run_smoke_ollama, smoke_options

__all__ = [
    "Prediction",
    "SmokeEvent",
    "SmokeReport",
    "SmokeRequest",
    "Watch",
    "require_passed",
    "run_smoke",
    "run_smoke_ollama",
    "smoke_options",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        report="Prediction SmokeReport require_passed",
        request="SmokeEvent SmokeRequest Watch",
        run="run_smoke run_smoke_ollama smoke_options",
    )
