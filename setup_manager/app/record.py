"""Recording how the work goes while somebody else shows it, for the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from setup_manager.download import DownloadEvent, Kind
from setup_manager.errors import SetupError
from setup_manager.library import (
    MOST_INCIDENTS,
    DownloadRun,
    DownloadSample,
    History,
    Incident,
    MachineSample,
    SmokeMark,
    SmokeRun,
    Thinned,
)
from setup_manager.machine import ProcessMemory, Reading
from setup_manager.runtimes import RuntimeEvent
from setup_manager.session import Observer, Session, StageEvent
from setup_manager.smoke import Watch

_INCIDENTS = {Kind.RETRY, Kind.WAIT, Kind.DROPPED, Kind.DAMAGED, Kind.FAILED}


@runtime_checkable
class MachineObserver(Protocol):
    """An observer that is also told what the guard of a smoke test reads, from its thread."""

    def reading(self, reading: Reading, memory: ProcessMemory | None) -> None:
        """The guard looked; the memory is that of the engine's process, where it is known."""


def observed(watch: Watch, observer: Observer) -> Watch:
    """Let an observer see what a watch reads, if it wants to."""
    if not isinstance(observer, MachineObserver):
        return watch
    told = observer
    last: list[ProcessMemory | None] = [None]

    def read() -> Reading:
        reading = watch.read()
        told.reading(reading, last[0])
        return reading

    def read_process(pid: int) -> ProcessMemory | None:
        last[0] = watch.read_process(pid)
        return last[0]

    return replace(watch, read=read, read_process=read_process)


class Recorder:
    """Passes everything on to another observer and remembers what the report shows.

    Args:
        shown: Who shows the work.
        clock: Seconds that only rise.
    """

    def __init__(self, shown: Observer, clock: Callable[[], float] = time.monotonic) -> None:
        self._shown = shown
        self._clock = clock
        self._download = _DownloadRecord(clock)
        self._smoke = _SmokeRecord(clock)

    def stage(self, event: StageEvent) -> None:
        """Pass it on."""
        self._shown.stage(event)

    def note(self, text: str) -> None:
        """Pass it on."""
        self._shown.note(text)

    def download(self, event: DownloadEvent) -> None:
        """Pass it on and take a sample."""
        self._download.take(event)
        self._shown.download(event)

    def smoke(self, event: RuntimeEvent) -> None:
        """Pass it on and mark the step."""
        self._smoke.mark(event.stage)
        self._shown.smoke(event)

    def reading(self, reading: Reading, memory: ProcessMemory | None) -> None:
        """Pass it on and take a sample."""
        self._smoke.take(reading, memory)
        if isinstance(self._shown, MachineObserver):
            self._shown.reading(reading, memory)

    def save(self, history: History, model: str) -> None:
        """Remember what came; a folder that cannot be written costs the record, not the work."""
        try:
            if (download := self._download.run()) is not None:
                history.add_download(model, download)
            if (smoke := self._smoke.run()) is not None:
                history.add_smoke(model, smoke)
        except SetupError as error:
            self._shown.note(f"The report will not show this run: {error.message}")


@contextmanager
def recorded(session: Session, model: str) -> Iterator[None]:
    """Record the work on a model while the context is open, and remember it at its end.

    Args:
        session: Whose work.
        model: Canonical name of the model.
    """
    shown = session.observer
    recorder = Recorder(shown)
    session.observer = recorder
    try:
        yield
    finally:
        session.observer = shown
        recorder.save(session.history, model)


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

    def take(self, reading: Reading, memory: ProcessMemory | None) -> None:
        seconds = self._seconds()
        held = (memory.anonymous_bytes + memory.mapped_bytes or memory.peak_bytes) if memory else 0
        sample = MachineSample(
            seconds,
            reading.available_bytes,
            reading.capacity_bytes,
            held or None,
            reading.celsius,
        )
        self._samples.add(seconds, sample)

    def run(self) -> SmokeRun | None:
        """Return the test; None if there was none."""
        samples = self._samples.samples()
        if not samples:
            return None
        return SmokeRun(self._started_at, samples, tuple(self._marks))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
