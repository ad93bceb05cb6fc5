"""Recording how the work goes while somebody else shows it, for the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol, runtime_checkable

from setup_manager.download import DownloadEvent
from setup_manager.errors import SetupError
from setup_manager.library import History, Recording
from setup_manager.machine import ProcessMemory, Reading
from setup_manager.runtimes import RuntimeEvent
from setup_manager.session import Observer, Session, StageEvent
from setup_manager.smoke import Watch


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
        self._recording = Recording(clock)

    def stage(self, event: StageEvent) -> None:
        """Pass it on."""
        self._shown.stage(event)

    def note(self, text: str) -> None:
        """Pass it on."""
        self._shown.note(text)

    def download(self, event: DownloadEvent) -> None:
        """Pass it on and take a sample."""
        self._recording.download(event)
        self._shown.download(event)

    def smoke(self, event: RuntimeEvent) -> None:
        """Pass it on and mark the step."""
        self._recording.step(event.stage)
        self._shown.smoke(event)

    def reading(self, reading: Reading, memory: ProcessMemory | None) -> None:
        """Pass it on and take a sample."""
        held = (memory.anonymous_bytes + memory.mapped_bytes or memory.peak_bytes) if memory else 0
        self._recording.machine(
            reading.available_bytes, reading.capacity_bytes, held or None, reading.celsius
        )
        if isinstance(self._shown, MachineObserver):
            self._shown.reading(reading, memory)

    def save(self, history: History, model: str) -> None:
        """Remember what came; a folder that cannot be written costs the record, not the work."""
        try:
            self._recording.save(history, model)
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
