"""Runs the program as a user does: a process of its own, its output, its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.launcher import launcher_here


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run left."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)


@dataclass(frozen=True, slots=True)
class Program:
    """gemma-setup with a home of its own."""

    home: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str, timeout: float = 120, **environment: str) -> Finished:
        """Run it to its end; there is no terminal."""
        env = {**self.environment, **environment}
        launcher = launcher_here()
        if launcher.can_fork(env):
            process = launcher.run(
                "setup_manager", arguments, env=env, cwd=self.home, timeout=timeout
            )
            return Finished(process.returncode, process.stdout, process.stderr)
        process = subprocess.run(
            self.argv(*arguments),
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=self.home,
        )
        return Finished(process.returncode, process.stdout, process.stderr)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start it and leave it running."""
        return subprocess.Popen(
            self.argv(*arguments),
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
        )

    @staticmethod
    def argv(*arguments: str) -> list[str]:
        """The command line as a list."""
        return [sys.executable, "-m", "setup_manager", *arguments]


def program_at(home: Path) -> Program:
    """Make a program whose environment holds nothing of the developer's own settings."""
    prefixes = ("HF_", "HUGGING", "LLAMA_", "XDG_", "GEMMA_SETUP_", "OLLAMA_", "NO_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    root = str(Path(__file__).parents[2])
    # No server of the developer's may be found: the port is one that nobody listens on.
    own = {"HOME": str(home), "PYTHONPATH": root, "OLLAMA_HOST": "127.0.0.1:9"}
    return Program(home, {**kept, **own})
