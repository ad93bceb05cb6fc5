"""Ctrl-C and SIGTERM: the first stops in good order, the second at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import NoReturn

_EXIT_CODE = 130


class Interruption:
    """Turns signals into one event that long work watches, and a KeyboardInterrupt.

    Attributes:
        requested: Set when the user has asked to stop.
    """

    def __init__(self) -> None:
        self.requested = threading.Event()

    def listen(self) -> None:
        """Take over SIGINT and SIGTERM for the rest of the process; main thread only."""
        signal.signal(signal.SIGINT, self._on_signal)
        if hasattr(signal, "SIGTERM"):
            signal.signal(signal.SIGTERM, self._on_signal)
        if hasattr(signal, "SIGHUP"):
            # A terminal that vanishes stops the work like Ctrl-C; what came is kept.
            signal.signal(signal.SIGHUP, self._on_signal)

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> NoReturn:
        if self.requested.is_set():
            os._exit(_EXIT_CODE)
        self.requested.set()
        raise KeyboardInterrupt
