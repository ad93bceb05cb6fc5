"""Disks for tests: one that fails on demand, and one that records what is done to it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from setup_manager.fs.disk import OsDisk


class FailingDisk(OsDisk):
    """Fails calls of one kind with an error number, from the nth on, until it is mended.

    Args:
        call: Name of the method that fails.
        number: `errno` value.
        from_nth: First call that fails, from 1.
    """

    def __init__(self, call: str, number: int, from_nth: int = 1) -> None:
        self.mended = False
        self._call = call
        self._number = number
        self._left = from_nth - 1
        self._lock = threading.Lock()

    def _pass(self, call: str) -> None:
        with self._lock:
            if call != self._call or self.mended:
                return
            self._left -= 1
            if self._left < 0:
                raise OSError(self._number, os.strerror(self._number))

    def write_at(self, descriptor: int, data: memoryview | bytes, offset: int) -> None:
        self._pass("write_at")
        super().write_at(descriptor, data, offset)

    def append(self, descriptor: int, data: bytes) -> None:
        self._pass("append")
        super().append(descriptor, data)

    def sync_data(self, descriptor: int) -> None:
        self._pass("sync_data")
        super().sync_data(descriptor)

    def resize(self, descriptor: int, size_bytes: int) -> None:
        self._pass("resize")
        super().resize(descriptor, size_bytes)

    def write_new(self, path: Path, data: bytes) -> None:
        self._pass("write_new")
        super().write_new(path, data)

    def rename(self, source: Path, target: Path) -> None:
        self._pass("rename")
        super().rename(source, target)


@dataclass
class Kill(BaseException):
    """Stands for a kill -9 inside the process: nothing after it happens."""

    step: str


@dataclass
class SteppingDisk(OsDisk):
    """Calls back before every step, with its name."""

    before: Callable[[str], None]
    steps: list[str] = field(default_factory=list)

    def _step(self, name: str) -> None:
        self.steps.append(name)
        self.before(name)

    def append(self, descriptor: int, data: bytes) -> None:
        self._step("append")
        super().append(descriptor, data)
        self._step("appended")

    def sync_data(self, descriptor: int) -> None:
        self._step("sync_data")
        super().sync_data(descriptor)

    def write_new(self, path: Path, data: bytes) -> None:
        self._step(f"write_new {path.suffix}")
        super().write_new(path, data)

    def rename(self, source: Path, target: Path) -> None:
        self._step(f"rename {source.suffix}")
        super().rename(source, target)
        self._step(f"renamed {source.suffix}")

    def remove(self, path: Path) -> None:
        self._step("remove")
        super().remove(path)
