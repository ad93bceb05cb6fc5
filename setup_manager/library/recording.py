"""Recording a download and a smoke test while they go on, for what is remembered of them.

Samples are thinned while they are taken, so that a download of days takes no more room than one
of minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar

from setup_manager.download import DownloadEvent, Kind
from setup_manager.library.history import (
    DownloadRun,
    DownloadSample,
    History,
    Incident,
    MachineSample,
    SmokeMark,
    SmokeRun,
)

MOST_SAMPLES = 400
MOST_INCIDENTS = 200
_INCIDENTS = {Kind.RETRY, Kind.WAIT, Kind.DROPPED, Kind.DAMAGED, Kind.FAILED}

T = TypeVar("T")


class Recording:
    """What happens to one model while a command works on it.

    Args:
        clock: Seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._download = _DownloadRecord(clock)
        self._smoke = _SmokeRecord(clock)

    def download(self, event: DownloadEvent) -> None:
        """Take note of how far a file is."""
        self._download.take(event)

    def step(self, name: str) -> None:
        """Take note of a step of the smoke test that began."""
        self._smoke.mark(name)

    def machine(
        self,
        available_bytes: int,
        capacity_bytes: int,
        process_bytes: int | None = None,
        celsius: float | None = None,
    ) -> None:
        """Take a sample of the machine during the smoke test; see `MachineSample`."""
        self._smoke.take(available_bytes, capacity_bytes, process_bytes, celsius)

    def save(self, history: History, model: str) -> None:
        """Remember what was recorded; nothing is written where nothing happened.

        Raises:
            SetupError: If the state folder cannot be written.
        """
        if (download := self._download.run()) is not None:
            history.add_download(model, download)
        if (smoke := self._smoke.run()) is not None:
            history.add_smoke(model, smoke)


class Thinned(Generic[T]):
    """A series that never holds more than a number of samples, evenly spread in time.

    When it is full, every second sample goes and the next ones are taken half as often.

    Args:
        most: How many samples it may hold, at least 2.
        interval_seconds: Least time between two samples, to begin with.
    """

    def __init__(self, most: int = MOST_SAMPLES, interval_seconds: float = 0.1) -> None:
        self._most = most
        self._interval = interval_seconds
        self._taken: list[tuple[float, T]] = []
        self._newest: T | None = None

    def add(self, seconds: float, sample: T) -> None:
        """Take a sample, if its time has come; the newest one is kept in any case."""
        self._newest = sample
        if self._taken and seconds - self._taken[-1][0] < self._interval:
            return
        self._taken.append((seconds, sample))
        if len(self._taken) >= self._most:
            self._taken = self._taken[::2]
            self._interval *= 2

    def samples(self) -> tuple[T, ...]:
        """Return what was kept, the newest sample last."""
        kept = [sample for _, sample in self._taken]
        if self._newest is not None and (not kept or kept[-1] is not self._newest):
            kept.append(self._newest)
        return tuple(kept)


class _DownloadRecord:
    """One run of a download, over all of its files."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begin: float | None = None
        self._started_at = ""
        self._end = 0.0
        self._files: dict[str, DownloadEvent] = {}
        self._samples: Thinned[DownloadSample] = Thinned()
        self._incidents: list[Incident] = []
        self._further = 0

    def take(self, event: DownloadEvent) -> None:
        if self._begin is None:
            self._begin, self._started_at = self._clock(), _now()
        self._files[event.file] = event
        seconds = self._end = round(self._clock() - self._begin, 3)
        latest = self._files.values()
        present = sum(file.bytes for file in latest)
        running = [file for file in latest if file.event not in {Kind.DONE, Kind.FAILED}]
        sample = DownloadSample(
            seconds,
            present,
            round(sum(file.rate for file in running)),
            sum(file.connections for file in running),
        )
        self._samples.add(seconds, sample)
        if event.event in _INCIDENTS:
            self._note(Incident(seconds, event.event.value, present, event.message))

    def _note(self, incident: Incident) -> None:
        if len(self._incidents) < MOST_INCIDENTS:
            self._incidents.append(incident)
        else:
            self._further += 1

    def run(self) -> DownloadRun | None:
        """Return the run; None if nothing was fetched and nothing went wrong."""
        samples = self._samples.samples()
        moved = bool(samples) and samples[-1].bytes > samples[0].bytes
        if not moved and not self._incidents:
            return None
        return DownloadRun(
            started_at=self._started_at,
            seconds=self._end,
            total_bytes=sum(file.total for file in self._files.values()),
            finished=all(file.event is Kind.DONE for file in self._files.values()),
            samples=samples,
            incidents=tuple(self._incidents),
            further_incidents=self._further,
        )


class _SmokeRecord:
    """One smoke test."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begin: float | None = None
        self._started_at = ""
        self._samples: Thinned[MachineSample] = Thinned()
        self._marks: list[SmokeMark] = []

    def _seconds(self) -> float:
        if self._begin is None:
            self._begin, self._started_at = self._clock(), _now()
        return round(self._clock() - self._begin, 3)

    def mark(self, step: str) -> None:
        seconds = self._seconds()
        if not self._marks or self._marks[-1].step != step:
            self._marks.append(SmokeMark(seconds, step))

    def take(
        self,
        available_bytes: int,
        capacity_bytes: int,
        process_bytes: int | None,
        celsius: float | None,
    ) -> None:
        seconds = self._seconds()
        sample = MachineSample(seconds, available_bytes, capacity_bytes, process_bytes, celsius)
        self._samples.add(seconds, sample)

    def run(self) -> SmokeRun | None:
        """Return the test; None if there was none."""
        samples = self._samples.samples()
        if not samples:
            return None
        return SmokeRun(self._started_at, samples, tuple(self._marks))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
