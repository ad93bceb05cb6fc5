"""Questions: what Enter means, and what happens where nobody answers."""

import io
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from setup_manager.cli.shell import Shell
from setup_manager.cli.terminal import describe_terminal
from setup_manager.errors import InterruptedByUserError, SetupError, UsageError

PAPER = describe_terminal({"NO_COLOR": "1"}, *(io.StringIO() for _ in range(3)))


def shell(*, can_ask: bool = True) -> tuple[Shell, io.StringIO]:
    shown = io.StringIO()
    terminal = replace(PAPER, stderr=shown, can_ask=can_ask)
    return Shell({}, terminal, threading.Event()), shown


@pytest.mark.parametrize(
    ("typed", "default", "agreed"),
    [("\n", True, True), ("\n", False, False), ("y\n", False, True), ("YES\n", False, True),
     ("n\n", True, False), ("", True, False), ("what\n", True, False)],
)  # fmt: skip
def test_enter_means_what_the_question_says(
    typed: str, default: bool, agreed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, shown = shell()
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert asked.ask("Remove it?", default=default) is agreed
    assert shown.getvalue() == f"Remove it? {'[Y/n]' if default else '[y/N]'} "


def test_a_no_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, _ = shell()
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    with pytest.raises(SetupError) as caught:
        asked.require_consent("Remove it?", default=False)
    assert (caught.value.code, caught.value.message) == ("declined", "Cancelled.")


def test_where_nobody_can_answer_yes_is_needed() -> None:
    asked, shown = shell(can_ask=False)
    with pytest.raises(UsageError) as caught:
        asked.require_consent()
    assert caught.value.message == "Confirmation needed, but input is not interactive."
    assert not asked.offer("Install it?")
    assert shown.getvalue() == ""


def test_ctrl_c_at_a_question_says_that_nothing_was_downloaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stopped() -> str:
        raise KeyboardInterrupt

    asked, _ = shell()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(readline=stopped))
    with pytest.raises(InterruptedByUserError) as caught:
        asked.require_consent()
    assert caught.value.hint.startswith("Nothing was downloaded.")
