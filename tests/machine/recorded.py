"""Machines rebuilt from recordings: a folder of files, a table of command outputs."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup_manager.machine.facts import Machine
from setup_manager.machine.probe.machine import read_machine
from setup_manager.machine.probe.system import CommandResult, Outcome, System
from setup_manager.platforms import Platform

FOLDER = Path(__file__).parent / "recordings"


@dataclass(frozen=True, slots=True)
class RecordedCommands:
    """Answers commands from a table; whatever is not in it is not installed."""

    answers: tuple[Mapping[str, Any], ...] = ()

    def __call__(self, argv: Sequence[str], seconds: float) -> CommandResult:
        line = " ".join(argv)
        for answer in self.answers:
            if line.startswith(answer["run"]):
                if answer.get("hang"):
                    return CommandResult(Outcome.TIMED_OUT)
                return CommandResult(
                    Outcome.RAN,
                    answer.get("stdout", ""),
                    answer.get("stderr", ""),
                    answer.get("returncode", 0),
                )
        installed = {answer["run"].split()[0] for answer in self.answers}
        if argv[0] in installed:
            return CommandResult(Outcome.RAN, "", "", 1)
        return CommandResult(Outcome.NOT_FOUND)


def load(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def build(recording: Mapping[str, Any], folder: Path) -> System:
    """Lay a recording's files out below a folder."""
    for path, text in recording["files"].items():
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    platform = Platform(recording["os"], recording["version"], recording["arch"])
    return System(folder, RecordedCommands(tuple(recording.get("commands", ()))), platform)


def read(recording: Mapping[str, Any], folder: Path) -> Machine:
    """Read the machine that a recording describes."""
    system = build(recording, folder)
    return read_machine(folder, system.run, platform=system.platform, meter=None)
