"""What is remembered of a model's last installation: how its download went, how its test ran.

One small file a model.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from setup_manager.library.records import read_record, write_record

MOST_RUNS = 12
_TELLING_SECONDS = 3.0  # what is shorter says more of the hub's answering than of the line


@dataclass(frozen=True, slots=True)
class DownloadSample:
    """How far a download was at a moment.

    Attributes:
        seconds: Since the run began.
        bytes: What was here of all its files.
        rate: Bytes per second over the last seconds.
        connections: Connections in use.
    """

    seconds: float
    bytes: int
    rate: float
    connections: int


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that went wrong, or had to be waited for.

    Attributes:
        seconds: Since the run began.
        kind: ``"retry"``, ``"wait"``, ``"dropped"``, ``"damaged"`` or ``"failed"``.
        bytes: What was here of all files at that moment.
        message: One sentence.
    """

    seconds: float
    kind: str
    bytes: int
    message: str


@dataclass(frozen=True, slots=True)
class DownloadRun:
    """One go at a download, from its start to its end or to what stopped it.

    Attributes:
        started_at: RFC 3339 time.
        seconds: How long it took.
        total_bytes: Length of all files.
        finished: Whether everything came.
        samples: How far it was, over time.
        incidents: What went wrong, the first of it.
        further_incidents: How many more there were.
    """

    started_at: str
    seconds: float
    total_bytes: int
    finished: bool
    samples: Annotated[tuple[DownloadSample, ...], Meta(min_length=1)]
    incidents: tuple[Incident, ...] = ()
    further_incidents: int = 0

    @property
    def moved_bytes(self) -> int:
        """What came in this run."""
        return self.samples[-1].bytes - self.samples[0].bytes


@dataclass(frozen=True, slots=True)
class MachineSample:
    """The machine at a moment of a smoke test.

    Attributes:
        seconds: Since the test began.
        available_bytes: Memory to be had without swapping.
        capacity_bytes: What may be used at most.
        process_bytes: What the engine's process holds, None where it is no child of ours.
        celsius: Hottest processor sensor, None if unknown.
    """

    seconds: float
    available_bytes: int
    capacity_bytes: int
    process_bytes: int | None = None
    celsius: float | None = None


@dataclass(frozen=True, slots=True)
class SmokeMark:
    """A step of a smoke test.

    Attributes:
        seconds: Since the test began.
        step: What began: ``"load"``, ``"warm-up"``, ``"question"``, ``"measure"``, …
    """

    seconds: float
    step: str


@dataclass(frozen=True, slots=True)
class SmokeRun:
    """A smoke test over time.

    Attributes:
        started_at: RFC 3339 time.
        samples: The machine.
        marks: The steps.
    """

    started_at: str
    samples: Annotated[tuple[MachineSample, ...], Meta(min_length=1)]
    marks: tuple[SmokeMark, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelHistory:
    """What is remembered of one model.

    Attributes:
        downloads: The runs that brought it, the oldest first.
        smoke: Its last smoke test.
        model: Canonical MODEL argument.
    """

    downloads: tuple[DownloadRun, ...] = ()
    smoke: SmokeRun | None = None
    model: str = ""


class History:
    """The folder of what is remembered.

    Args:
        folder: Where it lies; made when first written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, model: str) -> ModelHistory:
        """Read what is remembered of a model; a torn or foreign file counts as nothing."""
        return _read(self._path(model), model)

    def line_rate(self) -> float | None:
        """Bytes per second of the newest download that took a while, None if there is none."""
        runs = [run for path in self._folder.glob("*.json") for run in _read(path).downloads]
        long = [run for run in runs if run.seconds >= _TELLING_SECONDS and run.moved_bytes > 0]
        newest = max(long, key=lambda run: run.started_at, default=None)
        return newest.moved_bytes / newest.seconds if newest else None

    def add_download(self, model: str, run: DownloadRun) -> None:
        """Remember a run; it goes on from those before it unless they had brought everything.

        Raises:
            SetupError: If the state folder cannot be written.
        """
        before = self.find(model)
        earlier = before.downloads
        if earlier and earlier[-1].finished:
            earlier = ()
        self._save(model, replace(before, downloads=(*earlier, run)[-MOST_RUNS:]))

    def add_smoke(self, model: str, run: SmokeRun) -> None:
        """Remember a smoke test in place of the last one.

        Raises:
            SetupError: If the state folder cannot be written.
        """
        self._save(model, replace(self.find(model), smoke=run))

    def forget(self, model: str) -> None:
        """Drop what is remembered of a model; nothing happens where there is nothing."""
        self._path(model).unlink(missing_ok=True)

    def _save(self, model: str, history: ModelHistory) -> None:
        write_record(self._path(model), replace(history, model=model))

    def _path(self, model: str) -> Path:
        return self._folder / f"{hashlib.sha256(model.encode()).hexdigest()[:24]}.json"


def _read(path: Path, model: str | None = None) -> ModelHistory:
    """Read a file; None as the model for whichever it is about."""
    record = read_record(path, ModelHistory)
    return record if record and model in {None, record.model} else ModelHistory()
