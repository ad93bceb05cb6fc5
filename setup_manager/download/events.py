"""What an observer is told while files come.

The names and fields are stable: `--progress json` prints them as they are, one object a line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum


class Kind(StrEnum):
    """What happened."""

    START = "start"  # a file begins; bytes says what is already here
    PROGRESS = "progress"
    RETRY = "retry"  # a request is repeated; message says why
    WAIT = "wait"  # a server or another process makes us wait; seconds says how long
    RESOLVED = "resolved"  # an origin said which host has the bytes; message names both
    DROPPED = "dropped"  # an origin is not asked any more
    DAMAGED = "damaged"  # bytes were wrong and are fetched again
    VERIFY = "verify"  # everything is here and is being hashed
    DONE = "done"  # verified and under its final name
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DownloadEvent:
    """One thing that happened.

    Attributes:
        time: RFC 3339, UTC.
        event: What.
        file: Path of the file in its repository.
        bytes: How much of it is here; never falls, never over `total`.
        total: Its length.
        rate: Bytes per second over the last seconds.
        eta: Seconds to go, or None if that cannot be told.
        connections: Connections in use.
        retries: Requests repeated so far.
        seconds: How long to wait; only with `wait`.
        message: One sentence, or empty.
    """

    time: str
    event: Kind
    file: str
    bytes: int
    total: int
    rate: float = 0.0
    eta: float | None = None
    connections: int = 0
    retries: int = 0
    seconds: float | None = None
    message: str = ""

    def document(self) -> dict[str, object]:
        """Return the event as it is printed as JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


Observer = Callable[[DownloadEvent], None]


def timestamp(seconds: float) -> str:
    """Write seconds since the epoch as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class Meter:
    """Bytes so far, rate and time to go, from samples; holds no clock."""

    def __init__(self, total: int, window_seconds: float = 5.0) -> None:
        self._total = total
        self._window = window_seconds
        self._samples: list[tuple[float, int]] = []
        self._shown = 0

    def sample(self, now: float, present: int) -> None:
        """Take note of the bytes that are present at a moment."""
        self._samples.append((now, present))
        while len(self._samples) > 2 and self._samples[1][0] < now - self._window:
            self._samples.pop(0)
        self._shown = max(self._shown, min(present, self._total))

    @property
    def shown(self) -> int:
        """Bytes to show: they do not fall when damaged ones are fetched again."""
        return self._shown

    @property
    def rate(self) -> float:
        """Bytes per second over the window."""
        if len(self._samples) < 2:
            return 0.0
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return max(0.0, (after - before) / (last - first)) if last > first else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds to go, or None."""
        rate = self.rate
        return (self._total - self._shown) / rate if rate > 0 else None
