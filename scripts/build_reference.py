"""Write docs/reference from the package itself: commands, errors and rooms.

    python -m scripts.build_reference [FOLDER]

`tests/docs/test_reference.py` fails while docs/reference and the package differ; this script is
the cure. The same sources give the same bytes.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "setup_manager"
REFERENCE = ROOT / "docs" / "reference"
PROGRAM = "gemma-setup"
NOTICE = "<!-- Made by scripts/build_reference.py from the package; edit the package instead. -->"


def command_line() -> click.Group:
    """Give the command line; the only place that knows where it stands."""
    from setup_manager.cli import cli

    return cli


def root_context() -> click.Context:
    """Give the context that the program itself starts with."""
    group = command_line()
    return click.Context(group, info_name=PROGRAM, **group.context_settings)


def error_classes() -> dict[str, tuple[int, str, str]]:
    """Give exit code, default code and meaning of each class of errors, by the class's name."""
    from setup_manager import errors

    return {
        name: (kind.exit_code, kind.default_code, (kind.__doc__ or "").split("\n")[0])
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.SetupError)
    }


# --- commands ----------------------------------------------------------------------------------


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Give a table; nothing where it has no rows."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    if lines:
        yield "| " + " | ".join(headings) + " |"
        yield "|" + "---|" * len(headings)
        yield from lines
        yield ""


def contexts(parent: click.Context, group: click.Group) -> Iterator[click.Context]:
    """Give the context of every command, those of groups in groups too."""
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        if command is None or command.hidden:
            continue
        context = click.Context(command, info_name=name, parent=parent)
        yield context
        if isinstance(command, click.Group):
            yield from contexts(context, command)


def options(context: click.Context) -> dict[str, tuple[str, str]]:
    """Give the options of a command by how they are written: what they do, and their variable."""
    found = {}
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record and isinstance(parameter, click.Option):
            variable = f"`{parameter.envvar}`" if parameter.envvar else ""
            found[record[0]] = (" ".join(record[1].split()), variable)
    return found


def option_table(rows: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """Give options as a table."""
    return table(
        ("option", "what it does", "variable"),
        ((f"`{written}`", text, variable) for written, (text, variable) in rows.items()),
    )


def command_section(context: click.Context, common: Iterable[str]) -> Iterator[str]:
    """Describe one command: usage, what it does, examples, its own options."""
    name = context.command_path.removeprefix(f"{PROGRAM} ")
    usage = " ".join(context.command.collect_usage_pieces(context))
    yield f"## {name}"
    yield ""
    yield from ("```text", f"{PROGRAM} {name} {usage}", "```", "")
    yield " ".join((context.command.help or "").split()).replace("\b", "")
    yield ""
    if examples := getattr(context.command, "examples", ()):
        yield from ("```sh", *examples, "```", "")
    yield from option_table({k: v for k, v in options(context).items() if k not in common})


def commands_page() -> str:
    """Write the page of all commands and options."""
    every = list(contexts(root_context(), command_line()))
    first, *others = (options(context) for context in every)
    common = {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}
    links = (f"[{c.command_path.removeprefix(PROGRAM).strip()}]" for c in every)
    lines = [
        "# Commands",
        "",
        NOTICE,
        "",
        " · ".join(f"{link}(#{link[1:-1].replace(' ', '-')})" for link in links),
        "",
        "## On every command",
        "",
        *option_table(common),
        *(line for context in every for line in command_section(context, common)),
    ]
    return "\n".join(lines).rstrip() + "\n"


# --- errors ------------------------------------------------------------------------------------


def errors_page() -> str:
    """Write the page of exit codes and error codes."""
    from setup_manager.errors import CODES

    other, *kinds = sorted(error_classes().values())
    meanings = [
        ("0", "", "Done."),
        (str(other[0]), "", "Any other failure; for `check`: something failed."),
        *((str(code), name, meaning) for code, name, meaning in kinds),
    ]
    rows = sorted(
        (row.error.exit_code, row.error.default_code, code, row.meaning, row.remedy)
        for code, row in CODES.items()
    )
    lines = [
        "# Errors and exit codes",
        "",
        NOTICE,
        "",
        "Every error says what is wrong, the facts, and after `next:` what to do. Under `--json`",
        "the same is in `errors[0]` with a stable `code`.",
        "[Troubleshooting](../guides/troubleshooting.md) is sorted by symptom.",
        "",
        "## Exit codes",
        "",
        *table(("exit", "name", "meaning"), meanings),
        "## Error codes",
        "",
        "An error's own hint is more exact than what stands here.",
        "",
        *table(
            ("exit", "name", "code", "what is wrong", "what to do"),
            (
                (str(exit_code), "" if exit_code == 1 else name, f"`{code}`", meaning, remedy)
                for exit_code, name, code, meaning, remedy in rows
            ),
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


# --- rooms -------------------------------------------------------------------------------------


def rooms() -> Iterator[str]:
    """Give the packages and modules below the top one, the lowest first, as import-linter has them.

    Those whose names begin with an underscore are of no use to outsiders.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    names = (name for layer in reversed(layers) for name in layer.split(" | "))
    return (name for name in names if not name.startswith("_"))


def room_section(name: str) -> Iterator[str]:
    """Describe one room by its docstring and by what its door hands out."""
    room = PACKAGE / name
    module = import_module(f"{PACKAGE.name}.{name}")
    purpose, *rest = (module.__doc__ or "").replace("``", "`").split("\n\n")
    yield f"## {name}{'/' if room.is_dir() else ''}"
    yield ""
    yield purpose.replace("\n", " ").strip()
    yield ""
    if room.is_dir():
        for paragraph in rest:
            yield from (re.sub(r"\n(?=Invariant)", "\n\n", paragraph).strip(), "")
        yield f"Exports: {', '.join(f'`{exported}`' for exported in module.__all__)}."
        yield ""


def rooms_page() -> str:
    """Write the page of the package's rooms: purpose, what they may import, invariant, door."""
    lines = [
        "# Rooms",
        "",
        NOTICE,
        "",
        "The packages and modules below `setup_manager`, the lowest first: each may import those",
        "before it. What a package exports is all that others may import of it.",
        "[Architecture](../explanation/architecture.md) says how they work together.",
        "",
        *(line for name in rooms() for line in room_section(name)),
    ]
    return "\n".join(lines).rstrip() + "\n"


PAGES = {"commands.md": commands_page, "errors.md": errors_page, "rooms.md": rooms_page}
"""What is made from the package, by the file's name in docs/reference."""


def main() -> int:
    """Write the pages into docs/reference or the folder that was given."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else REFERENCE
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), "utf-8")
        print(folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
