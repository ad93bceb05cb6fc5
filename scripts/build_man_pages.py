"""Write manual pages from the commands themselves.

    python -m scripts.build_man_pages [FOLDER]

One page for the program and one for each command, in the form of man(7), into FOLDER/man1
(build/man/man1 if none is given). `man -l build/man/man1/gemma-setup.1` shows one;
`MANPATH=build/man: man gemma-setup-install` finds all. The same sources give the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from setup_manager import __version__
from setup_manager.cli import SUMMARIES, cli
from setup_manager.errors import SetupError

ROOT = Path(__file__).parents[1]
PROGRAM = "gemma-setup"
ENVIRONMENT = {
    "HF_ENDPOINT": "The hub, instead of https://huggingface.co.",
    "HF_TOKEN": "Token for the hub; sent to it alone.",
    "HF_HOME, HF_HUB_CACHE": "Where the hub cache lies.",
    "HF_HUB_OFFLINE": "1: ask no hub.",
    "OLLAMA_HOST, OLLAMA_MODELS": "Where Ollama's server and its store are.",
    "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY": "Proxies, as for curl.",
    "REQUESTS_CA_BUNDLE, SSL_CERT_FILE": "Certificates to trust.",
    "NO_COLOR": "No colours.",
    "GEMMA_SETUP_HOME": "One folder for configuration, data and state.",
    "GEMMA_SETUP_MODELS_DIR": "As --models-dir.",
    "GEMMA_SETUP_CATALOG": "As --catalog.",
    "GEMMA_SETUP_NO_PROGRESS": "As --no-progress.",
    "GEMMA_SETUP_DEBUG": "Show where an internal error happened.",
}


def escaped(text: str) -> str:
    """Make text stand for itself in roff."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Give a section, or nothing where it would be empty."""
    content = list(lines)
    if content:
        yield f".SH {title}"
        yield from content


def paragraphs(text: str) -> Iterator[str]:
    """Give running text, one input line a paragraph."""
    for paragraph in text.split("\n\n"):
        words = " ".join(paragraph.translate({8: None, ord("`"): None}).split())
        if words:
            yield ".PP"
            yield escaped(words)


def definitions(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Give a list of terms, each with its explanation."""
    for term, explanation in rows:
        yield ".TP"
        yield f"\\fB{escaped(term)}\\fR"
        yield escaped(" ".join(explanation.split()) or term)


def heading(name: str, summary: str) -> Iterator[str]:
    """Give the title and the line that `apropos` reads."""
    yield f'.TH "{escaped(name.upper())}" "1" "" "{PROGRAM} {__version__}" "User Commands"'
    # No hyphenation and no filling to both edges: commands stay as they are typed.
    yield ".nh"
    yield ".ad l"
    yield ".SH NAME"
    yield f"{escaped(name)} \\- {escaped(summary.rstrip('.'))}"


def synopsis(name: str, pieces: Iterable[str]) -> Iterator[str]:
    """Give the command line in short."""
    yield ".SH SYNOPSIS"
    yield f"\\fB{escaped(name)}\\fR {escaped(' '.join(pieces))}"


def examples(lines: Iterable[str]) -> Iterator[str]:
    """Give command lines as they are typed."""
    for line in lines:
        yield ".PP"
        yield ".nf"
        yield f"    {escaped(line)}"
        yield ".fi"


def options(context: click.Context) -> Iterator[tuple[str, str]]:
    """List the options of a command as its help has them."""
    for parameter in context.command.get_params(context):
        if record := parameter.get_help_record(context):
            yield record


def exit_codes() -> Iterator[tuple[str, str]]:
    """List the exit codes from the errors that cause them."""
    yield "0", "Done."
    yield str(SetupError.exit_code), "Any other failure; of check: something failed."
    for kind in sorted(SetupError.__subclasses__(), key=lambda kind: kind.exit_code):
        summary = (kind.__doc__ or "").split("\n", maxsplit=1)[0]
        yield str(kind.exit_code), f"{kind.default_code}: {summary}"


def program_page() -> str:
    """Write the page of the program."""
    context = click.Context(cli, info_name=PROGRAM)
    commands = ((f"{PROGRAM}-{name}(1)", summary) for name, summary in SUMMARIES.items())
    lines = [
        *heading(PROGRAM, (cli.help or "").split("\n", maxsplit=1)[0]),
        *synopsis(PROGRAM, cli.collect_usage_pieces(context)),
        *section("DESCRIPTION", paragraphs(f"{cli.help}\n\n{cli.epilog or ''}")),
        *section("COMMANDS", definitions(commands)),
        *section("OPTIONS", definitions(options(context))),
        *section("EXIT STATUS", definitions(exit_codes())),
        *section("ENVIRONMENT", definitions(ENVIRONMENT.items())),
        *section("FILES", paragraphs(f"`{PROGRAM} paths` shows where everything lives and why.")),
    ]
    return "\n".join(lines) + "\n"


def command_page(name: str) -> str:
    """Write the page of a command."""
    parent = click.Context(cli, info_name=PROGRAM)
    command = cli.get_command(parent, name)
    if command is None:
        raise LookupError(name)
    context = click.Context(command, info_name=name, parent=parent)
    title = f"{PROGRAM}-{name}"
    lines = [
        *heading(title, SUMMARIES[name]),
        *synopsis(f"{PROGRAM} {name}", command.collect_usage_pieces(context)),
        *section("DESCRIPTION", paragraphs(command.help or "")),
        *section("EXAMPLES", examples(getattr(command, "examples", ()))),
        *section("OPTIONS", definitions(options(context))),
        *section("SEE ALSO", paragraphs(f"{PROGRAM}(1), where the exit codes are too")),
    ]
    return "\n".join(lines) + "\n"


def build_man_pages(folder: Path) -> list[Path]:
    """Write every page and return where they are."""
    pages = {PROGRAM: program_page()}
    pages |= {f"{PROGRAM}-{name}": command_page(name) for name in SUMMARIES}
    man1 = folder / "man1"
    man1.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in pages.items():
        path = man1 / f"{name}.1"
        path.write_text(text, "utf-8")
        written.append(path)
    return written


def main() -> int:
    """Write the pages into the folder that was given."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "man"
    pages = build_man_pages(folder)
    print(f"{len(pages)} pages in {folder / 'man1'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
