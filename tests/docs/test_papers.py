"""The papers agree with the program and with each other."""

import re
import tomllib
from pathlib import Path

import click
import pytest

from scripts.build_reference import command_line, root_context
from tests.docs.papers import (
    PAPERS,
    ROOT,
    anchors,
    command_lines,
    fences,
    inline_code,
    links,
    name_of,
    words,
)

README = ROOT / "README.md"
every_paper = pytest.mark.parametrize("paper", PAPERS, ids=name_of)


def parse(group: click.Group, argv: list[str], parent: click.Context) -> None:
    """Read a command line as the program would, without running anything."""
    name, *rest = argv
    command = group.get_command(parent, name)
    assert command is not None, f"there is no command {name!r}"
    if isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        parse(command, rest, click.Context(command, info_name=name, parent=parent))
        return
    if not rest:
        return  # in running text a command is often only named
    try:
        command.make_context(name, rest, parent=parent).close()
    except click.exceptions.Exit:
        return  # --help ends it
    except click.BadParameter as error:
        # Folders and files of examples are on the reader's machine.
        if not isinstance(getattr(error.param, "type", None), click.Path):
            raise


def parse_line(arguments: str) -> None:
    if arguments not in {"--version", "--help", "-h"}:
        parse(command_line(), words(arguments), root_context())


@every_paper
def test_every_command_line_parses(paper: Path) -> None:
    wrong = []
    for line in command_lines(paper):
        try:
            parse_line(line)
        except (click.ClickException, AssertionError) as error:
            wrong.append(f"gemma-setup {line}: {error}")
    assert wrong == []


@pytest.mark.parametrize(
    "line",
    ["no-such-command", "download --latest", "download e4b --no-such-option", "serve e4b --port x"],
)
def test_a_command_line_that_does_not_parse_is_noticed(line: str) -> None:
    with pytest.raises((click.ClickException, AssertionError)):
        parse_line(line)


def test_command_lines_are_found_where_they_stand() -> None:
    found = set(command_lines(README))
    assert {"install", "check", "explain e4b"} <= found


@every_paper
def test_every_link_leads_somewhere(paper: Path) -> None:
    broken = []
    for link in links(paper):
        file, _, anchor = link.partition("#")
        target = (paper.parent / file).resolve() if file else paper
        in_place = target.exists() and target.is_relative_to(ROOT)
        if not in_place or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@every_paper
def test_every_file_that_is_named_is_there(paper: Path) -> None:
    named = [
        name
        for code in inline_code(paper)
        for name in re.findall(r"^(?:python -m )?((?:\./)?(?:scripts|tests|docs)/[\w./-]+)$", code)
    ]
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_paper_in_docs_can_be_reached_from_the_readme() -> None:
    seen, queue = set(), [README]
    while queue:
        paper = queue.pop()
        if paper not in seen and paper.suffix == ".md":
            seen.add(paper)
            queue += [(paper.parent / link.partition("#")[0]).resolve() for link in links(paper)]
    assert [name_of(paper) for paper in PAPERS if paper not in seen] == []


def test_the_readme_is_short() -> None:
    assert len(README.read_bytes()) <= 6_000


def test_configuration_examples_are_toml() -> None:
    examples = [text for paper in PAPERS for text in fences(paper, "toml")]
    assert examples
    assert all(tomllib.loads(text) for text in examples)


def test_the_source_distribution_holds_every_paper() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    tops = {paper.relative_to(ROOT).parts[0] for paper in PAPERS}
    assert tops - set(included) == set()
