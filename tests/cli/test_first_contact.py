"""What people type before they know the program: bare, misspelt, in another tool's words."""

from pathlib import Path
from typing import Any

import pytest

from setup_manager.cli.group import SUMMARIES, canonical
from setup_manager.cli.words import ALIASES, hint_for
from tests.cli.runner import Program
from tests.cli.test_shell import configured


def test_without_a_command_there_is_help(program: Program) -> None:
    bare = program()
    assert bare.code == 0
    assert bare.stdout == program("--help").stdout == program("help").stdout
    assert "Commands:" in bare.stdout


def test_without_a_command_there_is_an_error_under_json(program: Program) -> None:
    assert program("--json").document["errors"][0]["message"] == "A command is missing."


@pytest.mark.parametrize(
    "words",
    [("--json", "paths"), ("paths", "--json"), ("-v", "--progress", "auto", "--json", "paths")],
)
def test_common_options_stand_before_or_behind_the_command(
    program: Program, words: tuple[str, ...]
) -> None:
    finished = program(*words)
    assert finished.document["command"] == "paths"


def test_other_tools_words_are_understood(program: Program) -> None:
    assert program("help", "remove").stdout == program("uninstall", "--help").stdout
    assert program("version").stdout == program("--version").stdout
    assert program("ls", "--json").document["command"] == "list"
    assert program("rm", "--json").document["command"] == "remove"


@pytest.mark.parametrize("word", ALIASES)
def test_an_alias_hides_no_command(word: str) -> None:
    assert word not in SUMMARIES
    assert canonical(word) in SUMMARIES


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("run", "gemma-setup serve"),
        ("chat", "gemma-setup serve"),
        ("ps", "gemma-setup list --installed"),
        ("e4b", "gemma-setup install e4b"),
        ("E4B:Q4_K_M", "gemma-setup install E4B:Q4_K_M"),
        ("google/gemma-4-E4B-it", "gemma-setup install google/gemma-4-E4B-it"),
        ("instal", "'install'"),
        ("chek", "'check'"),
        ("pul", "'pull'"),
    ],
)
def test_a_wrong_command_is_answered_with_the_right_one(word: str, named: str) -> None:
    assert named in hint_for(word, SUMMARIES)


def test_the_hint_is_what_comes_next(program: Program) -> None:
    finished = program("run", "e4b")
    assert finished.code == 2
    assert "next: `gemma-setup serve MODEL`" in finished.stderr


def test_the_home_folder_is_found_in_every_way_of_naming_a_folder(
    program: Program, home: Path
) -> None:
    def models(*words: str, **environment: Any) -> str:
        found = program("paths", "--json", *words, **environment).document["data"]["models"]
        return str(found["path"])

    assert models("--models-dir=~/m") == str(home / "m")
    assert models(GEMMA_SETUP_MODELS_DIR="~/m") == str(home / "m")
    configured(home, 'models-dir = "~/m"\n')
    assert models() == str(home / "m")
