"""Waiting in tests: for a condition and with a deadline, never for a fixed time."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float = 10, what: str = "") -> None:
    """Return as soon as a condition is true.

    Raises:
        AssertionError: it is still false after so many seconds; `what` says what was expected.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what or condition}"
        time.sleep(0.005)


def let_pass(seconds: float) -> None:
    """Let time pass where the time is the case itself: a process that stood still, a kill."""
    time.sleep(seconds)
