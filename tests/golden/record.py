"""Records scenarios: one file a run, readable as a diff."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from tests.golden.cases import Run, Scenario
from tests.golden.masks import Masks
from tests.golden.run import Finished, Place, place

FOLDER = Path(__file__).parent / "recorded"
_LINE = 110


def record(scenario: Scenario) -> dict[str, str]:
    """Run a scenario; return what is to stand in which file."""
    with place(scenario.hub) as here:
        if scenario.before:
            scenario.before(here)
        return {
            f"{scenario.name}/{run.name}.txt": _record(here, scenario, run) for run in scenario.runs
        }


def _record(here: Place, scenario: Scenario, run: Run) -> str:
    if run.before:
        run.before(here)
    environment = {**dict(scenario.environment), **dict(run.environment)}
    masks = here.masks()
    told = {
        width: _document(here.run(run.argv, environment, width), masks, run) for width in run.widths
    }
    parts = [f"$ {_command_line(scenario, run)}\n"]
    for width, text in told.items():
        same = text == told[run.widths[0]] and width != run.widths[0]
        parts.append(f"=== {width} columns\n{'the same' if same else text.rstrip()}\n")
    return "".join(parts)


def _command_line(scenario: Scenario, run: Run) -> str:
    variables = [f"{name}={value}" for name, value in (*scenario.environment, *run.environment)]
    return " ".join([*variables, "gemma-setup", shlex.join(run.argv)]).rstrip()


def _document(finished: Finished, masks: Masks, run: Run) -> str:
    stdout = finished.stdout
    is_document = "--json" in run.argv and stdout.startswith("{")
    shown = (
        pretty(masks.document(json.loads(stdout), live=run.live)) + "\n"
        if is_document
        else masks.text(stdout, live=run.live)
    )
    stderr = finished.stderr
    told = _events(stderr) if "--progress" in run.argv else masks.text(stderr, live=run.live)
    parts = [f"exit code {finished.code}\n", "--- stdout\n", shown]
    return "".join(parts + (["--- stderr\n", told] if told else []))


def pretty(value: Any, indent: int = 0) -> str:
    """Write JSON with sorted keys; what fits on a line stays on one."""
    line = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if len(line) + indent <= _LINE or not isinstance(value, dict | list) or not value:
        return line
    inner = " " * (indent + 1)
    if isinstance(value, dict):
        entries = [
            f"{inner}{json.dumps(key)}: {pretty(entry, indent + 1)}"
            for key, entry in sorted(value.items())
        ]
        return "{\n" + ",\n".join(entries) + "\n" + " " * indent + "}"
    entries = [inner + pretty(entry, indent + 1) for entry in value]
    return "[\n" + ",\n".join(entries) + "\n" + " " * indent + "]"


def _events(stderr: str) -> str:
    """Which kinds of events there were, and their keys: how many is a matter of time."""
    events = [json.loads(line) for line in stderr.splitlines()]
    kinds = {f"{event.get('event')}: {' '.join(sorted(event))}\n" for event in events}
    return "".join(sorted(kinds))
