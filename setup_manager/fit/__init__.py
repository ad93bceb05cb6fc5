"""How much memory a model takes, by place, and how fast it will run: numbers only, no text.

A `Load` (architecture, weights, settings, machine) goes in; frozen numbers come out.

May import: catalog, gguf, machine and the rooms below.
Invariant: pure; the same values give the same answer.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.fit.explanation import Explanation, explain
    from setup_manager.fit.load import Load
    from setup_manager.fit.recommend import Choice, Criteria, Recommendation, rank
    from setup_manager.fit.results import Fit
    from setup_manager.fit.settings import Settings
    from setup_manager.fit.speed import Measurement
    from setup_manager.fit.weights import Weights
    from setup_manager.fit.whole import fit_of

__all__ = [
    "Choice",
    "Criteria",
    "Explanation",
    "Fit",
    "Load",
    "Measurement",
    "Recommendation",
    "Settings",
    "Weights",
    "explain",
    "fit_of",
    "rank",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        explanation="Explanation explain",
        load="Load",
        recommend="Choice Criteria Recommendation rank",
        results="Fit",
        settings="Settings",
        speed="Measurement",
        weights="Weights",
        whole="fit_of",
    )
