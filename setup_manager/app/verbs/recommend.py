"""What fits this machine, and what one model does on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from setup_manager.app.documents import (
    PART_NOTES,
    explanation_document,
    recommendation_document,
)
from setup_manager.app.planning import Planning, settings_for
from setup_manager.app.reasons import choice_reasons, explanation_reasons, nothing_fits
from setup_manager.app.requests import OnMachine, RankedRun, Run, TaskName, require
from setup_manager.catalog import weight_files
from setup_manager.codec import to_plain
from setup_manager.fit import Criteria, Explanation, Recommendation, Weights, explain, rank
from setup_manager.machine import Machine
from setup_manager.privacy import mask_document
from setup_manager.session import Session, Subject, unknown_architecture

__all__ = [
    "PART_NOTES",
    "ExplainRequest",
    "RecommendResult",
    "Request",
    "Weighing",
    "choice_reasons",
    "explain_model",
    "explanation_document",
    "explanation_reasons",
    "recommend_models",
    "recommendation_document",
]


@dataclass(frozen=True, kw_only=True)
class Request(RankedRun, OnMachine):
    """How a recommendation is weighed.

    Attributes:
        task: What the model is wanted for.
        headroom_bytes: Memory to leave free, None for the rule.
        download_bytes_per_second: Rate of the line, None if unknown.
    """

    task: TaskName = "chat"
    headroom_bytes: int | None = None
    download_bytes_per_second: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require("task", self.task, get_args(TaskName))


@dataclass(frozen=True, kw_only=True)
class ExplainRequest(Run, OnMachine):
    """What is explained.

    Attributes:
        model: MODEL argument.
    """

    model: str


@dataclass(frozen=True, slots=True)
class RecommendResult:
    """A recommendation and the machine that it is for.

    Attributes:
        recommendation: What fits and what does not.
        machine: Where.
        private_words: Names to be masked in the document.
    """

    recommendation: Recommendation
    machine: Machine
    private_words: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `recommend`."""
        return {
            **recommendation_document(self.recommendation),
            "machine": mask_document(to_plain(self.machine), self.private_words),
        }


@dataclass(frozen=True, slots=True)
class Weighing:
    """How a recommendation is weighed beside the plan.

    Attributes:
        task: What the model is wanted for.
        headroom_bytes: Memory to leave free, None for the rule.
        download_bytes_per_second: Rate of the line, None if unknown.
    """

    task: TaskName = "chat"
    headroom_bytes: int | None = None
    download_bytes_per_second: float | None = None


def recommend_models(
    session: Session,
    planning: Planning,
    machine: Machine,
    runtime: str,
    weighing: Weighing | None = None,
) -> RecommendResult:
    """Rank what the catalogue has for a machine.

    Raises:
        InsufficientMemoryError: If nothing fits.
        UsageError: If the settings are out of range.
    """
    weighing = weighing or Weighing()
    criteria = Criteria(
        settings=planning.settings(runtime),
        context_given=planning.context is not None,
        prefer=planning.preference,
        task=weighing.task,
        headroom_bytes=weighing.headroom_bytes,
        download_bytes_per_second=weighing.download_bytes_per_second,
    )
    measurements = session.measurements.all()
    found = rank(session.catalog, machine, criteria, measurements=measurements)
    if not found.choices:
        raise nothing_fits(found, machine)
    return RecommendResult(found, machine, session.private_words)


def explain_model(
    session: Session, subject: Subject, planning: Planning, machine: Machine, runtime: str
) -> Explanation:
    """Explain one model on a machine.

    Raises:
        UsageError: If the settings are out of range, or the catalogue does not know the model.
    """
    variant = subject.variant
    if variant is None:
        raise unknown_architecture(subject.name)
    settings = settings_for(subject, planning, machine, runtime)
    catalog = session.catalog
    return explain(
        subject.load(settings, machine),
        model=subject.name,
        name=variant.name,
        others=[Weights.of_file(catalog, file) for file in weight_files(catalog, variant.key)],
        measurements=session.measurements.all(),
    )
