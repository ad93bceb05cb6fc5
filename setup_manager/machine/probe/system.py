"""The two ways a probe looks at a machine: files under a root, and commands with a time limit.

Both can be replaced, so that a whole machine is rebuilt from a folder of recorded files and a
table of recorded outputs. This is the only place in ``machine`` that starts a process.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from setup_manager.platforms import Platform

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_OUTPUT_CHARACTERS = 4 * 1024 * 1024
MAX_BYTES = 1 << 60
"""No machine has more than one EiB of anything: larger numbers are rubbish or "unlimited"."""

DEFAULT_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
EXTRA_FOLDERS = ("/usr/lib/wsl/lib", "/opt/rocm/bin", "/opt/homebrew/bin", "/usr/sbin", "/sbin")
"""Vendor tools live here and are often missing from PATH, e.g. nvidia-smi under WSL."""


class Outcome(StrEnum):
    """How a command ended."""

    RAN = "ran"
    NOT_FOUND = "not found"
    TIMED_OUT = "timed out"
    NOT_STARTED = "could not be started"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command said.

    Attributes:
        outcome: Whether it ran at all.
        stdout: Its output.
        stderr: Its complaints.
        returncode: Its exit status; 0 unless it ran.
    """

    outcome: Outcome
    stdout: str = ""
    stderr: str = ""
    returncode: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether it ran and exited with 0."""
        return self.outcome is Outcome.RAN and self.returncode == 0

    @property
    def complaint(self) -> str:
        """What went wrong, in one line."""
        if self.outcome is not Outcome.RAN:
            return self.outcome.value
        said = first_line(self.stderr) or first_line(self.stdout)
        return f"exit status {self.returncode}" + (f": {said}" if said else "")


class CommandRunner(Protocol):
    """Runs a command and never raises for anything the command does."""

    def __call__(self, argv: Sequence[str], seconds: float) -> CommandResult:
        """Run `argv`, for at most `seconds`."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True)
class LocalCommands:
    """Runs commands on this machine, in the C locale, each as the leader of its own group.

    Attributes:
        environment: Variables for the commands; ``PATH`` of it is searched first.
    """

    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, argv: Sequence[str], seconds: float) -> CommandResult:
        """Run `argv`, for at most `seconds`.

        Returns:
            What it said; a command that hangs is killed with all its children. One that cannot
            even be killed (a driver that hangs in the kernel) is left behind.
        """
        path = self._search_path()
        executable = shutil.which(argv[0], path=path)
        if executable is None:
            return CommandResult(Outcome.NOT_FOUND)
        variables = {**self.environment, "PATH": path, "LC_ALL": "C", "LANG": "C"}
        try:
            child = subprocess.Popen(
                [executable, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=variables,
                start_new_session=True,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            return CommandResult(Outcome.NOT_STARTED, stderr=str(error))
        return _wait(child, seconds)

    def _search_path(self) -> str:
        given = self.environment.get("PATH")
        folders = given.split(os.pathsep) if given else list(DEFAULT_FOLDERS)
        return os.pathsep.join([*folders, *EXTRA_FOLDERS])


def _wait(child: subprocess.Popen[str], seconds: float) -> CommandResult:
    try:
        stdout, stderr = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _kill(child)
        return CommandResult(Outcome.TIMED_OUT)
    return CommandResult(
        Outcome.RAN,
        stdout[:MAX_OUTPUT_CHARACTERS],
        stderr[:MAX_OUTPUT_CHARACTERS],
        child.returncode,
    )


def _kill(child: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):
        if os.name == "posix":
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.communicate(timeout=0.2)


@dataclass(frozen=True, slots=True)
class System:
    """A machine as the probes see it.

    Attributes:
        root: Where its file system starts; ``/`` for this machine.
        run: Runs its commands.
        platform: Its operating system.
    """

    root: Path
    run: CommandRunner
    platform: Platform

    @property
    def is_live(self) -> bool:
        """Whether this is the machine we run on and no recording of one."""
        return self.root == Path("/")

    def path(self, path: str) -> Path:
        """Find an absolute path of the machine under the root."""
        return self.root / path.lstrip("/")

    def read(self, path: str) -> str | None:
        """Read a file, None where that cannot be done (sysfs gives many reasons)."""
        data = self.read_bytes(path)
        return None if data is None else data.decode("utf-8", "replace").replace("\0", "")

    def read_bytes(self, path: str) -> bytes | None:
        """Read a file as bytes, at most 4 MiB of it; None where that cannot be done."""
        try:
            with self.path(path).open("rb") as file:
                return file.read(MAX_FILE_BYTES)
        except (OSError, ValueError):
            return None

    def read_word(self, path: str) -> str:
        """Read a one-line file, ``""`` where that cannot be done."""
        return (self.read(path) or "").strip()

    def read_whole(self, path: str) -> int | None:
        """Read a file that holds one number."""
        return whole(self.read_word(path))

    def names(self, folder: str) -> tuple[str, ...]:
        """List a folder, sorted; empty where that cannot be done."""
        try:
            return tuple(sorted(entry.name for entry in self.path(folder).iterdir()))
        except OSError:
            return ()

    def link_target(self, path: str) -> str:
        """Read where a symbolic link points, ``""`` where there is none."""
        try:
            return str(self.path(path).readlink())
        except OSError:
            return ""

    def exists(self, path: str) -> bool:
        """Whether a path is there."""
        try:
            return self.path(path).exists()
        except OSError:
            return False


_WHOLE = re.compile(r"[0-9]{1,20}")


def whole(text: str, highest: int = MAX_BYTES) -> int | None:
    """Read a natural number written in ASCII digits.

    Returns:
        The number, None for anything else and for numbers above `highest`.
    """
    text = text.strip()
    if not _WHOLE.fullmatch(text):
        return None
    number = int(text)
    return number if number <= highest else None


def decimal(text: str) -> float | None:
    """Read a finite number such as ``"12.5"``."""
    try:
        number = float(text.strip())
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def first_line(text: str, longest: int = 160) -> str:
    """Cut the first line that says something."""
    lines = (line.strip() for line in text.splitlines())
    return next((line[:longest] for line in lines if line), "")


_MAX_LISTED = 4096


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """Read a kernel CPU list such as ``"0-3,8,10-11"``.

    Source: Linux, Documentation/admin-guide/cputopology.rst (list format).

    Returns:
        The numbers in order, without those that make no sense; at most 4096.
    """
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        low = whole(first, _MAX_LISTED)
        high = whole(last, _MAX_LISTED) if last else low
        if low is not None and high is not None:
            found.update(range(low, high + 1))
    return tuple(sorted(found))[:_MAX_LISTED]
