"""Ctrl-C and its kind: the first stops in good order, the second at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import NoReturn

_EXIT_CODE = 130
# A terminal that vanishes stops the work like Ctrl-C: SIGHUP, and where a Windows console is
# closed SIGBREAK (learn.microsoft.com/cpp/c-runtime-library/reference/signal).
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class Interruption:
    """Turns signals into one event that long work watches, and a KeyboardInterrupt.

    Attributes:
        requested: Set when the user has asked to stop.
    """

    def __init__(self) -> None:
        self.requested = threading.Event()

    def listen(self) -> None:
        """Take over these signals for the rest of the process; main thread only.

        One that is ignored stays so: `nohup` and shells' background jobs rely on it.
        """
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> NoReturn:
        if self.requested.is_set():
            os._exit(_EXIT_CODE)
        self.requested.set()
        raise KeyboardInterrupt
