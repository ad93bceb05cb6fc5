"""Pace: how many connections help, and how fast bytes may come."""

from __future__ import annotations

import threading
import time


class ConnectionCount:
    """Adapts the number of connections to what helps: pure, fed with samples.

    Climbs while every step brings more throughput. When a step brought nothing it goes back,
    rests, and tries fewer: they are kept as long as that costs nothing. After every trial that
    failed it turns round, since networks change.

    Args:
        fixed: A number that is not to be changed, or None.
        most: Upper limit.
        start: Where it begins.
    """

    GAIN = 1.08
    """A step up is worth it when throughput grows by this factor."""

    LOSS = 0.97
    """A step down is free when throughput keeps this factor."""

    REST = 8
    """Samples without a step after a trial that failed."""

    def __init__(self, fixed: int | None, most: int, start: int = 4) -> None:
        self._fixed = fixed
        self._most = most
        self.target = fixed if fixed is not None else min(start, most)
        self._before = 0.0
        self._tried_from: int | None = None
        self._rest = 0
        self._up = True

    def sample(self, rate: float, *, pressed: bool = False, held_back: bool = False) -> int:
        """Take note of the throughput since the last sample.

        Args:
            rate: Bytes per second over all connections.
            pressed: Whether the machine is short of something; then connections go down.
            held_back: Whether reads waited for this machine's disk or hash; then more
                connections cannot help.

        Returns:
            How many connections to use now.
        """
        if self._fixed is not None:
            return self.target
        if pressed:
            self.target = max(1, self.target // 2)
            self._tried_from, self._rest = None, self.REST
            return self.target
        if self._tried_from is not None:
            self._judge_step(rate)
        elif self._rest:
            self._rest -= 1
        elif self._up and held_back:
            self._up = False
        else:
            self._step(rate)
        return self.target

    def _step(self, rate: float) -> None:
        change = max(1, self.target // 2) if self._up else -max(1, self.target // 3)
        target = min(self._most, max(1, self.target + change))
        if rate <= 0 or target == self.target:
            self._turn()
            return
        self._before, self._tried_from = rate, self.target
        self.target = target

    def _judge_step(self, rate: float) -> None:
        worth_it = rate >= self._before * (self.GAIN if self._up else self.LOSS)
        if not worth_it:
            self.target = self._tried_from or 1
            self._turn()
        self._tried_from = None

    def _turn(self) -> None:
        self._up = not self._up
        self._rest = self.REST


class RateLimit:
    """A bucket that bytes are taken from, shared by all connections.

    Args:
        bytes_per_second: Limit, or None.
    """

    def __init__(self, bytes_per_second: int | None) -> None:
        self._rate = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def quantum(self, most: int) -> int:
        """Return how much to read at once, so that a low limit stays smooth."""
        return most if self._rate is None else max(1, min(most, self._rate // 10))

    def wait(self, stop: threading.Event) -> None:
        """Wait until more bytes may come."""
        if self._rate is None:
            return
        with self._lock:
            pause = self._free_at - time.monotonic()
        if pause > 0:
            stop.wait(pause)

    def spend(self, size_bytes: int) -> None:
        """Take note of bytes that came; what was too much is waited for later."""
        if self._rate is None:
            return
        with self._lock:
            self._free_at = max(time.monotonic(), self._free_at) + size_bytes / self._rate


def memory_pressure(text: str) -> float:
    """Return the share of time in percent that tasks waited for memory, from PSI's text.

    Args:
        text: Content of ``/proc/pressure/memory``; empty where there is none.

    Source: Documentation/accounting/psi.rst, the line ``some avg10=…``.
    """
    for line in text.splitlines():
        if line.startswith("some "):
            for field in line.split():
                if field.startswith("avg10="):
                    try:
                        return float(field.removeprefix("avg10="))
                    except ValueError:
                        return 0.0
    return 0.0
