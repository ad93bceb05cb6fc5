"""Runs the command line as a user does, in surroundings that are the same everywhere."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.golden.hub_side import serving
from tests.golden.masks import Masks
from tests.support.launcher import Launcher
from tests.support.waiting import let_pass

ROOT = Path(__file__).parents[2]
MACHINES = Path(__file__).parent / "machines"
# What this environment needs to find its own libraries; nothing else comes in.
_INHERITED = ("LD_LIBRARY_PATH", "SYSTEMROOT")
# What an interpreter reads at its start, the same for all runs.
_START = {
    **{name: os.environ[name] for name in _INHERITED if name in os.environ},
    "PYTHONPATH": str(ROOT),
    "LANG": "C.UTF-8",
}
_LAUNCHER = Launcher(_START)
_CLOSED = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run left."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Place:
    """A home of its own, and what is around it.

    Attributes:
        base: The folder that goes when the scenario ends.
        environment: What every run of the scenario gets.
        running: Programs that were started and not waited for.
    """

    base: Path
    environment: dict[str, str]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """The home folder, where the runs start, too."""
        return self.base / "home"

    def run(self, argv: tuple[str, ...], environment: Mapping[str, str], width: int) -> Finished:
        """Run the program to its end."""
        env = {**self._environment(environment), "COLUMNS": str(width)}
        if _LAUNCHER.can_fork(env):
            process = _LAUNCHER.run(
                "setup_manager",
                [self.filled(argument) for argument in argv],
                env=env,
                cwd=self.home,
                timeout=120,
            )
        else:
            process = subprocess.run(
                self._argv(argv),
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                timeout=120,
                cwd=self.home,
            )
        return Finished(process.returncode, process.stdout, process.stderr)

    def start(self, *argv: str) -> None:
        """Start the program and leave it running."""
        process = subprocess.Popen(
            self._argv(argv),
            env=self._environment({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.home,
        )
        self.running.append(process)

    def wait_for(self, pattern: str) -> None:
        """Wait until a file is there.

        Raises:
            TimeoutError: After 30 seconds.
        """
        end = time.monotonic() + 30
        while not any(self.home.glob(pattern)):
            if time.monotonic() > end:
                raise TimeoutError(pattern)
            let_pass(0.02)

    def end_running(self) -> None:
        """End what was started."""
        for process in self.running:
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.running.clear()

    def masks(self) -> Masks:
        """Make the masks for what this place's runs print."""
        return Masks(
            {
                self.environment["HF_ENDPOINT"]: "<HUB>" if self.has_hub else _CLOSED,
                str(self.home): "<HOME>",
                str(self.base): "<BASE>",
                sys.prefix: "<ENVIRONMENT>",
                str(ROOT): "<CHECKOUT>",
            }
        )

    @property
    def has_hub(self) -> bool:
        """Whether a hub answers."""
        return self.environment["HF_ENDPOINT"] != _CLOSED

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            **self.environment,
            **{name: self.filled(value) for name, value in more.items()},
        }

    def _argv(self, argv: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "setup_manager", *map(self.filled, argv)]

    def filled(self, text: str) -> str:
        """Put this place's folders into an argument."""
        return (
            text.replace("{home}", str(self.home))
            .replace("{base}", str(self.base))
            .replace("{machines}", str(MACHINES))
            .replace("{checkout}", str(ROOT))
        )


@contextmanager
def place(hub: str | None) -> Iterator[Place]:
    """Make a place, with a hub of `HUBS` or none; all of it goes in the end.

    The folder's path has the same length each time, since texts are wrapped and aligned.
    """
    base = Path(tempfile.mkdtemp(prefix="golden-", dir=Path("/tmp").resolve()))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        for name in ("home", "tmp", "bin", "hub"):
            (base / name).mkdir()
        environment = _surroundings(base)
        if hub is not None:
            environment |= stack.enter_context(serving(hub, base / "hub"))
        made = Place(base, environment)
        stack.callback(made.end_running)
        yield made


def _surroundings(base: Path) -> dict[str, str]:
    return {
        **_START,
        "HOME": str(base / "home"),
        "TMPDIR": str(base / "tmp"),
        # No runtime and no tool of the developer's is found, only the engine in this environment.
        "PATH": str(base / "bin"),
        "TERM": "dumb",
        "NO_COLOR": "1",
        "TZ": "UTC",
        "HF_ENDPOINT": _CLOSED,
        "OLLAMA_HOST": "127.0.0.1:9",
        "GEMMA_SETUP_RELEASES_URL": f"{_CLOSED}/releases",
    }
