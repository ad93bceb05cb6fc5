"""Manual pages, read by the programs that show them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.build_man_pages import build_man_pages, escaped
from setup_manager.cli import SUMMARIES
from setup_manager.errors import SetupError
from tests.cli.runner import Program


@pytest.fixture(scope="module")
def man(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    build_man_pages(folder)
    return folder / "man1"


def rendered(page: Path) -> str:
    """Typeset a page as `man` does; any complaint of groff fails."""
    if shutil.which("groff") is None:
        pytest.skip("no groff here")
    command = ["groff", "-man", "-Tutf8", "-P-cbou", "-ww", "-rLL=100n", str(page)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    # Options are typeset with a minus sign, which stands for the hyphen that is typed.
    return done.stdout.replace("−", "-").replace("‐", "-")


def test_there_is_a_page_for_the_program_and_for_each_command(man: Path) -> None:
    names = {page.name for page in man.iterdir()}
    assert names == {"gemma-setup.1", *(f"gemma-setup-{name}.1" for name in SUMMARIES)}


def test_the_program_s_page_has_every_command_and_exit_code(man: Path) -> None:
    text = rendered(man / "gemma-setup.1")
    for name in SUMMARIES:
        assert f"gemma-setup-{name}(1)" in text
    for kind in SetupError.__subclasses__():
        assert re.search(rf"^ +{kind.exit_code}  +{kind.default_code}:", text, re.MULTILINE)


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_command_s_page_says_what_its_help_says(man: Path, program: Program, name: str) -> None:
    text = rendered(man / f"gemma-setup-{name}.1")
    page = program(name, "--help").stdout
    options = set(re.findall(r"(?<!\S)--[a-z][a-z-]+", page.partition("Usage:")[2]))
    assert "--json" in options
    assert options <= set(re.findall(r"--[a-z][a-z-]+", text))
    for example in re.findall(r"^  (gemma-setup .*)$", page.partition("Usage:")[0], re.MULTILINE):
        assert example in text


def test_man_itself_shows_a_page(man: Path) -> None:
    if shutil.which("man") is None:
        pytest.skip("no man here")
    command = ["man", "--warnings", "-l", str(man / "gemma-setup-install.1")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "gemma-setup install" in done.stdout.replace("\u2010", "-").replace("\u2212", "-")


def test_the_same_sources_give_the_same_bytes(man: Path, tmp_path: Path) -> None:
    for page in build_man_pages(tmp_path):
        assert page.read_bytes() == (man / page.name).read_bytes()


@pytest.mark.parametrize("text", [".TH x", "'quoted", "a\\fBb", "--flag", "plain"])
def test_text_stands_for_itself(text: str, tmp_path: Path) -> None:
    page = tmp_path / "x.1"
    page.write_text(f".TH X 1\n.SH NAME\nx \\- y\n.SH TEXT\n{escaped(text)}\n", "utf-8")
    assert text in rendered(page).replace("’", "'")
