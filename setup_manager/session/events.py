"""What an observer of the work is told: stages here, downloads and smoke tests by their own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from setup_manager.download import DownloadEvent
    from setup_manager.runtimes import RuntimeEvent


class StageStatus(StrEnum):
    """How far a stage is."""

    RUNNING = "running"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StageEvent:
    """A stage of the whole job that began or ended.

    Attributes:
        stage: ``"check"``, ``"recommend"``, ``"plan"``, ``"download"``, ``"register"``,
            ``"smoke"``.
        status: How far it is.
        seconds: How long it took, once it ended.
        result: What came of it: what the verb of that name gives; None without.
        problem: What it failed of, ``""`` if it did not fail.
    """

    stage: str
    status: StageStatus
    seconds: float = 0.0
    result: object = None
    problem: str = ""


@runtime_checkable
class Observer(Protocol):
    """Somebody who is told how the work goes; must return quickly and never raise."""

    def stage(self, event: StageEvent) -> None:
        """A stage began or ended."""

    def download(self, event: DownloadEvent) -> None:
        """A file came a little further."""

    def smoke(self, event: RuntimeEvent) -> None:
        """A smoke test came a little further."""

    def note(self, text: str) -> None:
        """Something that a person should know."""


class Silence:
    """An observer that does nothing."""

    def stage(self, event: StageEvent) -> None:
        """Do nothing."""

    def download(self, event: DownloadEvent) -> None:
        """Do nothing."""

    def smoke(self, event: RuntimeEvent) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""
