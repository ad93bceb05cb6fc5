"""docs/reference is what scripts/build_reference.py makes of the package today."""

from pathlib import Path

import click
import pytest

from scripts.build_reference import PAGES, REFERENCE, command_line, main, root_context


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_current(name: str) -> None:
    written = (REFERENCE / name).read_text("utf-8")
    assert written == PAGES[name](), "run `python -m scripts.build_reference`"


def test_every_command_and_option_is_there() -> None:
    page = PAGES["commands.md"]()
    group, context = command_line(), root_context()
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        assert f"\n## {name}\n" in page
        missing = [
            option
            for parameter in command.params
            if isinstance(parameter, click.Option) and not parameter.hidden
            for option in parameter.opts
            if option not in page
        ]
        assert missing == []


def test_the_script_writes_the_same_into_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["build_reference", str(tmp_path)])
    assert main() == 0
    assert {path.name for path in tmp_path.iterdir()} == set(PAGES)
    for name in PAGES:
        assert (tmp_path / name).read_bytes() == (REFERENCE / name).read_bytes()
