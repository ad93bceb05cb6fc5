"""The stages of the whole job: timed, told to the observer, and kept for the result."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from setup_manager.errors import SetupError
from setup_manager.session import Observer, StageEvent, StageStatus

STAGES = ("check", "recommend", "plan", "download", "register", "smoke")


@dataclass(frozen=True, slots=True)
class StageResult:
    """How a stage ended.

    Attributes:
        name: One of `STAGES`.
        status: Done, skipped or failed.
        seconds: How long it took.
        data: What the command of that name would give.
    """

    name: str
    status: StageStatus
    seconds: float = 0.0
    data: Any = None

    def document(self) -> dict[str, Any]:
        """Return an entry of ``data.stages``."""
        return {
            "name": self.name,
            "status": self.status.value,
            "seconds": round(self.seconds, 3),
            "data": {} if self.data is None else self.data.document(),
        }


class Stage:
    """One stage while it runs; whoever runs it says what came of it."""

    def __init__(self) -> None:
        self.status = StageStatus.DONE
        self.data: Any = None
        self.problem = ""

    def end(self, data: Any = None, *, skipped: bool = False) -> None:
        """Say what came of it.

        Args:
            data: The result of the verb of that name, None without one.
            skipped: Whether there was nothing to do.
        """
        self.data = data
        self.status = StageStatus.SKIPPED if skipped else StageStatus.DONE


class Stages:
    """The stages so far, in order.

    Args:
        observer: Told when a stage begins and ends.
        before: Stages that ended before.
    """

    def __init__(self, observer: Observer, before: Sequence[StageResult] = ()) -> None:
        self._observer = observer
        self._ended = list(before)

    @property
    def ended(self) -> tuple[StageResult, ...]:
        """The stages that ended."""
        return tuple(self._ended)

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time a stage and tell the observer; one that raises is kept as failed."""
        begin = time.monotonic()
        self._observer.stage(StageEvent(name, StageStatus.RUNNING))
        stage = Stage()
        try:
            yield stage
        except BaseException as error:
            stage.status = StageStatus.FAILED
            stage.problem = error.message if isinstance(error, SetupError) else "interrupted"
            raise
        finally:
            seconds = time.monotonic() - begin
            self._ended.append(StageResult(name, stage.status, seconds, stage.data))
            event = StageEvent(name, stage.status, seconds, stage.data, stage.problem)
            self._observer.stage(event)


def with_skipped(ended: Sequence[StageResult]) -> tuple[StageResult, ...]:
    """Add the stages that were not reached, as skipped."""
    reached = {stage.name for stage in ended}
    rest = (StageResult(name, StageStatus.SKIPPED) for name in STAGES if name not in reached)
    return (*ended, *rest)
