"""Values in, words out: what the pieces of text say."""

import io
from dataclasses import replace

import pytest

from setup_manager.cli.outcome import Outcome, write_outcome
from setup_manager.cli.render.error_text import error_text
from setup_manager.cli.render.smoke_text import smoke_text
from setup_manager.cli.render.wrapping import wrapped
from setup_manager.cli.terminal import Terminal, describe_terminal
from setup_manager.errors import SetupError, interrupted
from setup_manager.runtimes import Completion
from setup_manager.smoke import SmokeReport

PAPER = describe_terminal({"NO_COLOR": "1"}, *(io.StringIO() for _ in range(3)))
REPORT = SmokeReport(
    "llama.cpp",
    "e4b",
    True,
    "Paris",
    ("It answers.",),
    1.0,
    Completion("Paris", tokens_per_second=9.0),
)


def test_a_drafter_is_told_with_its_speed() -> None:
    fast = Completion("Paris", tokens_per_second=14.25)
    assert "with drafter  14.2 tokens/s" in smoke_text(replace(REPORT, drafter=fast), PAPER)
    assert "with drafter" not in smoke_text(REPORT, PAPER)


def test_a_smoke_test_says_what_it_asked() -> None:
    assert "asked for France's capital: 'Paris'" in smoke_text(REPORT, PAPER)
    assert "asked about a picture: 'Paris'" in smoke_text(REPORT, PAPER, image=True)


def test_ctrl_c_is_no_error() -> None:
    assert error_text(interrupted(), PAPER).startswith("Stopped (Ctrl-C).\nnext: Run the same")


@pytest.mark.parametrize("quiet", [False, True])
def test_a_script_gets_the_bare_value_and_a_person_the_sentence(quiet: bool) -> None:
    out, err = io.StringIO(), io.StringIO()
    pipe = replace(PAPER, stdout=out, stderr=err)
    outcome = Outcome({}, "e4b downloaded:\n/m/e4b.gguf", value="/m/e4b.gguf")
    write_outcome("download", outcome, pipe, as_json=False, quiet=quiet)
    assert out.getvalue() == "/m/e4b.gguf\n"
    assert err.getvalue() == ("" if quiet else "e4b downloaded:\n/m/e4b.gguf\n")
    seen = replace(pipe, stdout=io.StringIO(), reads_results=True)
    write_outcome("download", outcome, seen, as_json=False)
    assert written(seen) == "e4b downloaded:\n/m/e4b.gguf\n"


def written(terminal: Terminal) -> str:
    assert isinstance(terminal.stdout, io.StringIO)
    return terminal.stdout.getvalue()


def test_a_failure_has_no_value() -> None:
    out, err = io.StringIO(), io.StringIO()
    error = SetupError("It failed.", hint="Run it again.")
    write_outcome(
        "download", Outcome(error=error), replace(PAPER, stdout=out, stderr=err), as_json=False
    )
    assert out.getvalue() == ""
    assert err.getvalue() == "error: It failed.\nnext: Run it again.\n"


def test_a_line_that_is_broken_keeps_its_columns() -> None:
    text = "✓ smoke      asked for the capital: 'Paris', `a command with words`"
    assert wrapped(text, 44) == [
        "✓ smoke      asked for the capital: 'Paris',",
        "  `a command with words`",
    ]
    assert wrapped("  two   three", 8) == ["  two", "    three"]
