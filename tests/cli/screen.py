"""A real pseudo-terminal, read through a screen emulator: what a person sees."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable

import pyte

from tests.cli.runner import Program

_NUMBERS = (
    (re.compile(r", \d+ warnings? \(gemma-setup check\)"), ""),  # this machine's own
    (re.compile(r"\d+(\.\d+)? ?(B|kB|MB|GB|KiB|MiB|GiB|%)(/s)?"), "<size>"),
    (re.compile(r"\d+(\.\d+)? (ms|s|min|tokens/s|connections?|retries)\b"), "<n> \\2"),
    (re.compile(r"\(\d+(\.\d+)? to \d+(\.\d+)?\)"), "(<n> to <n>)"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<hub>"),
    (re.compile(r"Model file:\s(?s:.*?)\.gguf"), "Model file: <path>"),
    (re.compile(r" \(<n> s\)"), ""),
    # A machine that is busy with other tests is warned of.
    (re.compile(r", \d+ warnings? \(gemma-setup check\)"), ""),
)


class Screen:
    """A program in a terminal of a certain size."""

    def __init__(
        self, program: Program, *arguments: str, columns: int = 80, **environment: str
    ) -> None:
        self._emulated = pyte.Screen(columns, 50)
        self._stream = pyte.ByteStream(self._emulated)
        self.raw = b""
        self._leader, follower = pty.openpty()
        size = struct.pack("HHHH", 50, columns, 0, 0)
        fcntl.ioctl(follower, termios.TIOCSWINSZ, size)
        inherited = {k: v for k, v in program.environment.items() if k not in {"COLUMNS", "LINES"}}
        self.process = subprocess.Popen(
            program.argv(*arguments),
            env={**inherited, "TERM": "xterm-256color", **environment},
            stdin=follower,
            stdout=follower,
            stderr=follower,
            cwd=program.home,
            start_new_session=True,
        )
        os.close(follower)

    def type(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self._leader, text.encode())

    def read(self, seconds: float) -> bool:
        """Take in what comes within a time; False once the program has ended."""
        ready, _, _ = select.select([self._leader], [], [], seconds)
        if not ready:
            return True
        try:
            piece = os.read(self._leader, 65536)
        except OSError:
            return False
        self.raw += piece
        self._stream.feed(piece)
        return bool(piece)

    def until(self, seen: Callable[[str], bool], seconds: float = 60) -> str:
        """Wait until the screen shows something."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            alive = self.read(0.05)
            if seen(self.text) or not alive:
                return self.text
        raise AssertionError(f"not seen in {seconds} s:\n{self.text}")

    def finish(self, seconds: float = 60) -> str:
        """Wait for the end and return what stands on the screen then."""
        deadline = time.monotonic() + seconds
        while self.read(0.1) and time.monotonic() < deadline:
            pass
        self.process.wait(timeout=10)
        os.close(self._leader)
        return self.text

    @property
    def text(self) -> str:
        """The screen, without trailing blanks."""
        return "\n".join(line.rstrip() for line in self._emulated.display).rstrip()


def masked(text: str) -> str:
    """Replace what differs from run to run."""
    for pattern, instead in _NUMBERS:
        text = pattern.sub(instead, text)
    return "\n".join(line.rstrip() for line in text.splitlines())
