"""Every command's text and JSON are what was recorded; `scripts/record_golden.py` records anew."""

import difflib

import pytest

from tests.golden.cases import SCENARIOS, Scenario
from tests.golden.record import FOLDER, record


def recorded(name: str) -> str:
    path = FOLDER / name
    return path.read_text("utf-8") if path.exists() else ""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_program_answers_as_recorded(scenario: Scenario) -> None:
    differences = [
        line
        for name, now in record(scenario).items()
        for line in difflib.unified_diff(
            recorded(name).splitlines(),
            now.splitlines(),
            f"recorded/{name}",
            "now",
            lineterm="",
        )
    ]
    assert not differences, "\n" + "\n".join(differences)


def test_every_recorded_file_has_a_case() -> None:
    cases = {f"{s.name}/{run.name}.txt" for s in SCENARIOS for run in s.runs}
    files = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.txt")}
    assert files == cases


def test_names_are_given_once() -> None:
    names = [(s.name, run.name) for s in SCENARIOS for run in s.runs]
    assert len(names) == len(set(names))
