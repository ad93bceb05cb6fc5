"""`gemma-setup report` as a user runs it."""

from pathlib import Path

import pytest

from setup_manager.rehearsal.model import catalog_path
from setup_manager.session.session import Session
from tests.cli.runner import Program, program_at
from tests.report.conftest import MODEL


@pytest.fixture
def program(installed: Session, tmp_path: Path) -> Program:
    """The program in the home in which a model is installed, with the catalogue that knows it."""
    home = tmp_path / "home"
    home.mkdir()
    program = program_at(home)
    own = {**installed.environment, "GEMMA_SETUP_CATALOG": str(catalog_path())}
    return Program(home, {**program.environment, **own})


def test_report_writes_one_page_and_says_where(program: Program, installed: Session) -> None:
    finished = program("report")
    assert finished.code == 0, finished.stderr
    path = installed.paths.state.path / "reports" / "rehearsal-F16.html"
    assert finished.stdout.startswith(str(path))
    assert path.read_text("utf-8").startswith("<!doctype html>")


def test_report_under_json_gives_path_model_and_bytes(program: Program, tmp_path: Path) -> None:
    output = tmp_path / "a folder" / "mine.html"
    finished = program("report", MODEL, "--output", str(output), "--json")
    assert finished.code == 0, finished.stdout
    assert finished.document["data"] == {
        "path": str(output),
        "model": MODEL,
        "bytes": output.stat().st_size,
    }


def test_planning_options_and_a_relative_output_are_followed(program: Program) -> None:
    asked = ("--context", "5000", "--output", "r.html", "--anonymous", "-q")
    assert program("report", *asked).code == 0
    page = (program.home / "r.html").read_text("utf-8")
    assert str(program.home) not in page
    assert "Programs, paths, devices, hosts and times were left out" in page
    assert "5,000 tokens" in page


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nonsense:::",), 2),
        (("e9b",), 2),
        (("--context", "0"), 2),
        (("--output", "/proc/no/report.html"), 1),
    ],
)
def test_what_cannot_be_done_is_an_error_with_a_hint(
    program: Program, arguments: tuple[str, ...], code: int
) -> None:
    finished = program("report", *arguments)
    assert finished.code == code
    assert "next:" in finished.stderr
    assert ("--output" in finished.stderr.split("next:")[1]) == ("--output" in arguments)
    assert "Traceback" not in finished.stderr
