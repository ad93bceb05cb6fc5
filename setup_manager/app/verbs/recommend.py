"""What fits this machine, and what one model does on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from setup_manager import fit
from setup_manager.app.documents import (
    PART_NOTES,
    explanation_document,
    recommendation_document,
)
from setup_manager.app.reasons import choice_reasons, explanation_reasons, nothing_fits
from setup_manager.app.requests import OnMachine, RankedRun, Run, TaskName, require, settings_for
from setup_manager.codec import to_plain
from setup_manager.fit import Explanation, Recommendation
from setup_manager.machine import Machine
from setup_manager.privacy import mask_document
from setup_manager.session import Session, Subject, unknown_architecture

__all__ = [
    "PART_NOTES",
    "ExplainRequest",
    "Explanation",
    "Machine",
    "Request",
    "Result",
    "choice_reasons",
    "explain",
    "explain_model",
    "explanation_document",
    "explanation_reasons",
    "recommendation_document",
    "run",
]


@dataclass(frozen=True, kw_only=True)
class Request(RankedRun, OnMachine):
    """How a recommendation is weighed.

    Attributes:
        task: What the model is wanted for.
        headroom_bytes: Memory to leave free, None for the rule.
        download_bytes_per_second: Rate of the line, None for that of the last download.
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
class Result:
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


def run(session: Session, request: Request) -> Result:
    """Rank what the catalogue has for a machine.

    Raises:
        InsufficientMemoryError: If nothing fits.
        UsageError: If the machine that was named is none.
    """
    machine = request.machine_in(session)
    criteria = fit.Criteria(
        settings=request.settings(),
        context_given=request.context is not None,
        prefer=request.prefer,
        task=request.task,
        headroom_bytes=request.headroom_bytes,
        download_bytes_per_second=request.download_bytes_per_second or session.expected_rate,
    )
    measurements = session.measurements.all()
    found = fit.rank(session.catalog, machine, criteria, measurements=measurements)
    if not found.choices:
        raise nothing_fits(found, machine)
    return Result(found, machine, session.private_words)


def explain(session: Session, request: ExplainRequest) -> Explanation:
    """Say where a model's memory goes and how fast it will run.

    Raises:
        UsageError: If it is no model, the catalogue does not know it, or a number is out of range
            for it.
    """
    subject = Subject(session, request.model, request)
    return explain_model(session, subject, request, request.machine_in(session))


def explain_model(session: Session, subject: Subject, asked: Run, machine: Machine) -> Explanation:
    """Do what `explain` does, for a model and a machine that are at hand.

    Raises:
        UsageError: If the catalogue does not know the model, or a number is out of range for it.
    """
    variant = subject.variant
    if variant is None:
        raise unknown_architecture(subject.name)
    settings = settings_for(subject, asked, machine, asked.planned_runtime)
    catalog = session.catalog
    return fit.explain(
        subject.load(settings, machine),
        model=subject.name,
        name=variant.name,
        others=[fit.Weights.of_file(catalog, file) for file in catalog.weights(variant.key)],
        measurements=session.measurements.all(),
    )
