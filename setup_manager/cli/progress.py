"""Showing how the work goes: a calm view in a terminal, few lines without one, or JSON lines.

tqdm draws the bar; what stands beside it comes from the events, whose rate is smoothed where it is
measured. The time to go is steadied here, since only a person minds when it jumps.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from setup_manager.cli.render.progress_text import (
    machine_words,
    progress_words,
    short_name,
    smoke_words,
    stage_line,
    trouble_words,
)
from setup_manager.cli.render.wrapping import wrapped
from setup_manager.cli.terminal import StatusLine, Terminal, visible_length
from setup_manager.download import DownloadEvent, Kind
from setup_manager.machine import ProcessMemory, Reading
from setup_manager.runtimes import RuntimeEvent
from setup_manager.session import Observer, Silence, StageEvent, StageStatus

if TYPE_CHECKING:
    from tqdm import tqdm

PLAIN_INTERVAL_SECONDS = 10.0
_READING_SECONDS = 0.5
"""Between two looks at the machine that are shown; the guard looks much more often."""
_SETTLE_SECONDS = 10.0
_TOLD = {Kind.RETRY, Kind.WAIT, Kind.DROPPED, Kind.DAMAGED}
_WIDE = 95


def choose_display(
    terminal: Terminal, status: StatusLine, *, progress: str, quiet: bool, hidden: bool
) -> Observer:
    """Choose how progress is shown.

    Args:
        terminal: Where.
        status: The terminal's last line.
        progress: ``"auto"`` or ``"json"``.
        quiet: Whether only results and errors are wanted.
        hidden: Whether progress was switched off.
    """
    if progress == "json":
        return JsonDisplay(terminal)
    if quiet:
        return Silence()
    if hidden or not terminal.interactive:
        return PlainDisplay(terminal, bars=not hidden)
    return TerminalDisplay(terminal, status)


class JsonDisplay:
    """Events as JSON lines on stderr."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def stage(self, event: StageEvent) -> None:
        """Print a stage event."""
        from setup_manager.cli.render.stage_text import stage_text

        document = {"stage": event.stage, "status": event.status, "detail": stage_text(event)}
        self._print("stage", {**document, "seconds": event.seconds})

    def download(self, event: DownloadEvent) -> None:
        """Print a download event, as it is."""
        self._line(event.document())

    def smoke(self, event: RuntimeEvent) -> None:
        """Print a smoke event."""
        self._print("smoke", asdict(event))

    def note(self, text: str) -> None:
        """Print a note."""
        self._print("note", {"message": text})

    def _print(self, kind: str, document: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._line({"time": now, "event": kind, **document})

    def _line(self, document: dict[str, Any]) -> None:
        print(json.dumps(document), file=self._terminal.stderr, flush=True)


class PlainDisplay:
    """No cursor to move: whole lines, at most one every ten seconds for a running download.

    Args:
        terminal: Where.
        bars: Whether a running download is reported at all.
        clock: Seconds that only rise.
    """

    def __init__(
        self, terminal: Terminal, *, bars: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._terminal = terminal
        self._bars = bars
        self._clock = clock
        self._told_at = clock()
        self._anything_told = False
        self._last_message = ""
        self._untold = ""
        self._steady = SteadyTime(clock)

    def stage(self, event: StageEvent) -> None:
        """Print a stage when it ended."""
        self._told_at, self._anything_told = self._clock(), False
        if event.status is not StageStatus.RUNNING:
            self.note(stage_line(self._terminal, event))

    def download(self, event: DownloadEvent) -> None:
        """Print the state now and then; the first trouble at once, later ones when it is time."""
        event = replace(event, eta=self._steady.update(event.eta))
        if event.event in _TOLD and event.message and event.message != self._last_message:
            self._last_message, self._untold = event.message, trouble_words(event)
        if event.event in {Kind.DONE, Kind.FAILED}:
            self._untold = ""  # the result or the error says it better
        elif self._untold and (self._due or not self._anything_told):
            self._tell(f"  {self._untold}")
            self._untold = ""
        elif self._bars and self._due and event.event in {Kind.PROGRESS, Kind.VERIFY}:
            self._tell(f"  {short_name(event.file, 40)}  {progress_words(event, 100)}")

    def smoke(self, event: RuntimeEvent) -> None:
        """Say now and then what the test is at; a short one is said by the stage's end."""
        if self._bars and self._due:
            self._tell(f"  {smoke_words(event)}")

    @property
    def _due(self) -> bool:
        return self._clock() - self._told_at >= PLAIN_INTERVAL_SECONDS

    def _tell(self, text: str) -> None:
        self._told_at, self._anything_told = self._clock(), True
        self.note(text)

    def note(self, text: str) -> None:
        """Print a line."""
        print(self._terminal.plain(text), file=self._terminal.stderr, flush=True)


class TerminalDisplay:
    """Stages as lines, a running download as a bar, trouble in words above it."""

    def __init__(
        self,
        terminal: Terminal,
        status: StatusLine,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._terminal = terminal
        self._status = status
        self._clock = clock
        self._steady = SteadyTime(clock)
        self._writing = threading.RLock()  # the guard's readings come from a thread of its own
        self._bar: tqdm[Any] | None = None
        self._bar_file = ""
        self._last_message = ""
        self._reading: Reading | None = None
        self._read_at = 0.0
        self._step: RuntimeEvent | None = None
        self._step_at = 0.0

    def stage(self, event: StageEvent) -> None:
        """Show a running stage on the last line, an ended one for good."""
        self._step = None
        self._end_bar()
        line = stage_line(self._terminal, event)
        if event.status is StageStatus.RUNNING:
            self._show_status(line)
        else:
            self.note(line)

    def download(self, event: DownloadEvent) -> None:
        """Move the bar."""
        if event.event in _TOLD and event.message and event.message != self._last_message:
            self._last_message = event.message
            self.note(f"  {trouble_words(event)}")
        if event.event in {Kind.DONE, Kind.FAILED}:
            self._end_bar()
        elif event.total > 0:
            self._move_bar(replace(event, eta=self._steady.update(event.eta)))

    def smoke(self, event: RuntimeEvent) -> None:
        """Say what the test is doing, on the last line."""
        with self._writing:
            self._step, self._step_at = event, self._clock()
            self._show_step()

    def reading(self, reading: Reading, memory: ProcessMemory | None) -> None:  # noqa: ARG002
        """Show how the machine is while a test runs; told from another thread."""
        now = self._clock()
        self._reading = reading
        if now - self._read_at < _READING_SECONDS:
            return
        self._read_at = now
        # A terminal that vanished must not end the guard, whose thread this is.
        with self._writing, suppress(OSError, ValueError):
            self._show_step()

    def _show_step(self) -> None:
        if self._step is None:
            return
        seconds = self._step.seconds + self._clock() - self._step_at
        words = smoke_words(replace(self._step, seconds=seconds))
        if self._reading is not None:
            words += f" · {machine_words(self._reading)}"
        self._show_status(f"  {self._terminal.mark('run')} {words}")

    def note(self, text: str) -> None:
        """Print a line above whatever moves, broken at words where it is too wide."""
        width = self._terminal.columns
        lines = []
        for line in self._terminal.plain(text).split("\n"):
            lines += [line] if visible_length(line) <= width else wrapped(line, width)
        text = "\n".join(lines)
        with self._writing:
            self._status.clear()
            if self._bar is not None:
                self._bar.write(text, file=self._terminal.stderr)
            else:
                print(text, file=self._terminal.stderr, flush=True)

    def close(self) -> None:
        """Leave nothing that moves on the screen."""
        with self._writing:
            self._step = None
            self._end_bar()
            self._status.clear()

    def _move_bar(self, event: DownloadEvent) -> None:
        self._status.clear()
        if self._bar is None or self._bar_file != event.file:
            self._end_bar()
            self._bar = self._new_bar(event)
            self._bar_file = event.file
        width = self._terminal.columns
        self._bar.n = event.bytes
        self._bar.ncols = width - 1  # the window may have been resized
        words = self._terminal.plain(progress_words(event, width))
        self._bar.set_description_str(words, refresh=False)
        self._bar.refresh()

    def _new_bar(self, event: DownloadEvent) -> tqdm[Any]:
        from tqdm import tqdm

        width = self._terminal.columns
        name = f"{short_name(event.file, 24)} " if width > _WIDE else ""
        return tqdm(
            total=event.total,
            initial=event.bytes,
            file=self._terminal.stderr,
            ncols=width - 1,
            ascii=False if self._terminal.unicode else ".#",
            leave=False,
            bar_format=f"  {name}{{percentage:3.0f}}% |{{bar}}| {{desc}}",
            mininterval=0,
        )

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show_status(self, line: str) -> None:
        self._end_bar()
        self._status.show(line)


class SteadyTime:
    """A time to go that counts down like a clock and drifts to what is measured.

    A measured one jumps with every reset and every gust of the line. The moment of the end is
    shown instead, moved towards the measured one by an exponential filter: slowly while the end is
    far, quickly at first and when it is near.

    Args:
        clock: Seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end: float | None = None
        self._began = self._updated = 0.0

    def update(self, measured: float | None) -> float | None:
        """Take a measured time to go and return the one to show, in seconds; None if unknown."""
        now = self._clock()
        if measured is None:
            self._end = None
            return None
        target = now + measured
        if self._end is None:
            self._end, self._began = target, now
        settle = min(_SETTLE_SECONDS, max(1.0, measured / 3), 1.0 + now - self._began)
        self._end += (target - self._end) * (1 - math.exp((self._updated - now) / settle))
        self._updated = now
        return max(0.0, self._end - now)
