"""The guard: ends a model before the machine suffers from it.

The decision is a pure function of the last few readings; a thread takes the readings and acts.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from setup_manager.machine import ProcessMemory, Reading
from setup_manager.smoke.report import Heat
from setup_manager.units import MIB, format_memory

INTERVAL_SECONDS = 0.05
_KEPT_READINGS = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """When to end a model.

    Attributes:
        floor_share: Share of the capacity that must stay available …
        floor_least_bytes: … but at least this much …
        floor_most_bytes: … and never more than this.
        pressure_percent: PSI at which everything on the machine is slow already.
        swap_in_pages_per_second: Rate of swapping in that means thrashing (2000 pages are 8 MB).
        celsius: Temperature above what processors reach under their own control.
        sustained_seconds: How long pressure, swapping or heat has to last to count.
        deadline_seconds: Longest run, None without a limit.
    """

    floor_share: float = 0.03
    floor_least_bytes: int = 32 * MIB
    floor_most_bytes: int = 512 * MIB
    pressure_percent: float = 60.0
    swap_in_pages_per_second: float = 2000.0
    celsius: float = 104.0
    sustained_seconds: float = 3.0
    deadline_seconds: float | None = None

    def floor_bytes(self, capacity_bytes: int) -> int:
        """Return what must stay available on a machine, or in a container, of this size."""
        share = int(capacity_bytes * self.floor_share)
        return max(self.floor_least_bytes, min(share, self.floor_most_bytes))


def decide(readings: Sequence[Reading], limits: Limits, elapsed_seconds: float) -> str | None:
    """Say why a model has to be ended now, or None.

    Args:
        readings: The last ones, oldest first; the first is the state before the model if few came.
        limits: When to end it.
        elapsed_seconds: Since the guard started.

    Returns:
        The reason as a sentence for people.
    """
    if limits.deadline_seconds is not None and elapsed_seconds > limits.deadline_seconds:
        return f"it took longer than {limits.deadline_seconds:.0f} seconds"
    if not readings:
        return None
    return (
        _memory_reason(readings, limits)
        or _pressure_reason(readings, limits)
        or _swap_reason(readings, limits)
        or _heat_reason(readings, limits)
    )


def _memory_reason(readings: Sequence[Reading], limits: Limits) -> str | None:
    """Look one interval ahead: a model that loads takes gigabytes a second."""
    now = readings[-1]
    if now.capacity_bytes <= 0:
        return None  # memory cannot be read here
    before = readings[-2] if len(readings) > 1 else now
    floor_bytes = limits.floor_bytes(now.capacity_bytes)
    fall_bytes = max(before.available_bytes - now.available_bytes, 0)
    if now.available_bytes - fall_bytes >= floor_bytes:
        return None
    return (
        f"memory was running out: {format_memory(now.available_bytes)} of "
        f"{format_memory(now.capacity_bytes)} left, falling by {format_memory(fall_bytes)} "
        f"between two looks; {format_memory(floor_bytes)} must stay free"
    )


def _pressure_reason(readings: Sequence[Reading], limits: Limits) -> str | None:
    recent = _sustained(readings, limits.sustained_seconds)
    values = [reading.pressure_percent for reading in recent]
    low = min((value for value in values if value is not None), default=0.0)
    if None in values or not values or low < limits.pressure_percent:
        return None
    return f"programs were waiting for memory {low:.0f} % of the time (pressure stall information)"


def _swap_reason(readings: Sequence[Reading], limits: Limits) -> str | None:
    recent = _sustained(readings, limits.sustained_seconds)
    if len(recent) < 2:
        return None
    first, last = recent[0], recent[-1]
    if first.swapped_in_pages is None or last.swapped_in_pages is None:
        return None
    seconds = last.at_seconds - first.at_seconds
    rate = (last.swapped_in_pages - first.swapped_in_pages) / seconds if seconds > 0 else 0.0
    if rate < limits.swap_in_pages_per_second:
        return None
    return f"the machine was swapping: {rate:.0f} pages a second came back from swap"


def _heat_reason(readings: Sequence[Reading], limits: Limits) -> str | None:
    recent = _sustained(readings, limits.sustained_seconds)
    values = [reading.celsius for reading in recent]
    low = min((value for value in values if value is not None), default=0.0)
    if None in values or not values or low < limits.celsius:
        return None
    return f"the processor was at {low:.0f} °C"


def _sustained(readings: Sequence[Reading], seconds: float) -> Sequence[Reading]:
    """Return the readings of the last seconds, or none if they do not reach that far back."""
    last = readings[-1].at_seconds
    if last - readings[0].at_seconds < seconds:
        return ()
    return [reading for reading in readings if reading.at_seconds >= last - seconds]


@dataclass(frozen=True, slots=True)
class Watched:
    """What the guard saw.

    Attributes:
        memory: Of the server process at its peak.
        heat: Temperatures and throttling.
        swapped_in_pages: Pages that came back from swap.
    """

    memory: ProcessMemory
    heat: Heat
    swapped_in_pages: int


class Guard:
    """Watches while its context is open, and calls once for the end of the model if it must.

    Attributes:
        reason: Why it called for the end, None while all is well.
    """

    def __init__(
        self,
        read: Callable[[], Reading],
        read_process: Callable[[int], ProcessMemory | None],
        limits: Limits,
    ) -> None:
        """Prepare; watching starts with the context.

        Args:
            read: Reads the machine.
            read_process: Reads a process, None when it is gone.
            limits: When to end the model.
        """
        self.reason: str | None = None
        self._read = read
        self._read_process = read_process
        self._limits = limits
        self._readings: deque[Reading] = deque(maxlen=_KEPT_READINGS)
        self._first: Reading | None = None
        self._peak_celsius: float | None = None
        self._memory = ProcessMemory()
        self._pid: int | None = None
        self._end: Callable[[], None] = lambda: None
        self._looking = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="guard", daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    @property
    def resident_bytes(self) -> int:
        """What the process held at most, as of the last look."""
        return self._memory.peak_bytes

    @property
    def allowance_bytes(self) -> int:
        """Memory that a model may take without coming under the floor, as of the last look."""
        last = self._readings[-1]
        spare = last.available_bytes - self._limits.floor_bytes(last.capacity_bytes)
        return max(spare, self._limits.floor_least_bytes)

    def protect_from(self, pid: int, end: Callable[[], None]) -> None:
        """Watch a process from now on, and call `end` when it has to go."""
        self._pid, self._end = pid, end

    def watched(self) -> Watched:
        """Look once more and return what was seen so far."""
        self._look()
        first, last = self._first, self._readings[-1] if self._readings else None
        heat = Heat(
            start_celsius=first.celsius if first else None,
            peak_celsius=self._peak_celsius,
            throttled=_grew(first, last),
        )
        return Watched(self._memory, heat, _swapped_in(first, last))

    def _watch(self) -> None:
        started = time.monotonic()
        while not self._stopped.wait(INTERVAL_SECONDS):
            self._look()
            reason = decide(self._readings, self._limits, time.monotonic() - started)
            if reason is not None:
                self.reason = reason
                self._end()
                return

    def _look(self) -> None:
        with self._looking:
            self._take_reading()

    def _take_reading(self) -> None:
        reading = self._read()
        self._first = self._first or reading
        self._readings.append(reading)
        if reading.celsius is not None:
            self._peak_celsius = max(reading.celsius, self._peak_celsius or reading.celsius)
        memory = self._read_process(self._pid) if self._pid is not None else None
        if memory is not None:
            self._memory = _later_peak(self._memory, memory)


def _later_peak(old: ProcessMemory, new: ProcessMemory) -> ProcessMemory:
    """Keep the parts of the moment at which most was resident; faults only grow."""
    if new.peak_bytes >= old.peak_bytes:
        return new
    return ProcessMemory(old.peak_bytes, old.anonymous_bytes, old.mapped_bytes, new.major_faults)


def _grew(first: Reading | None, last: Reading | None) -> bool | None:
    if first is None or last is None:
        return None
    if first.throttle_count is None or last.throttle_count is None:
        return None
    return last.throttle_count > first.throttle_count


def _swapped_in(first: Reading | None, last: Reading | None) -> int:
    if first is None or last is None:
        return 0
    return max((last.swapped_in_pages or 0) - (first.swapped_in_pages or 0), 0)
