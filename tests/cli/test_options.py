"""What each command offers: just what it reads, everyday ones first, all of it to some effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import click
import pytest

from setup_manager.app import (
    check,
    clean,
    download,
    install,
    recommend,
    recover,
    register,
    remove,
    runtime,
    serve,
    smoke,
    verify,
)
from setup_manager.app.requests import KvTypeName, PreferenceName
from setup_manager.cli.command import ExampleCommand
from setup_manager.cli.group import SUMMARIES, cli
from setup_manager.cli.invocation import Invocation
from setup_manager.cli.options import (
    COMMON_NAMES,
    OPTIONS,
    SECTIONS,
    SESSION,
    TRANSFER,
    WRITING,
    Option,
)
from setup_manager.cli.shell import Shell
from setup_manager.cli.terminal import describe_terminal
from setup_manager.report import ReportRequest

REQUESTS: dict[str, tuple[type[Any], ...]] = {
    "check": (check.Request,),
    "clean": (clean.Request,),
    "download": (download.Request,),
    "explain": (recommend.ExplainRequest,),
    "install": (install.Request,),
    "recommend": (recommend.Request,),
    "recover": (recover.Request,),
    "register": (register.Request,),
    "remove": (remove.Request,),
    "report": (ReportRequest,),
    "runtime": (runtime.Request, runtime.RemovalRequest),
    "serve": (serve.Request,),
    "smoke": (smoke.Request,),
    "verify": (verify.Request,),
}
# Read by the command itself and by no request.
THE_COMMANDS_OWN = {
    "list": {"installed"},
    "rehearse": {"runtime"},
    "report": {"output", "show"},
}
# Who reads what a session is opened with. Every command has the models folder of the environment
# and of the configuration file; naming one matters where files are written or places are looked at.
READERS = {
    **{key: {"install", "download", "recover", "verify"} for key in TRANSFER},
    "connections": {"install", "download", "recover", "verify", "runtime"},
    "limit_rate": {"install", "download", "recover", "verify", "runtime"},
    "no_wait": {"install", "download", "recover", "verify", "runtime"},
    "gentle": {"install", "download", "recover", "verify", "runtime"},
    "no_recover": {"install", "download"},
    "models_dir": {"install", "download", "recover", "check", "clean", "paths"},
    "catalog": {*SUMMARIES} - {"clean", "paths", "runtime", "completion", "rehearse"},
}
WRITERS = {"install", "download", "recover", "register", "remove", "clean", "runtime"}


def command(name: str) -> ExampleCommand:
    found = cli.get_command(click.Context(cli), name)
    assert isinstance(found, ExampleCommand)
    return found


def offered() -> Iterator[tuple[str, Option]]:
    for name in SUMMARIES:
        for parameter in command(name).params:
            if isinstance(parameter, Option):
                yield name, parameter


def typed(option: Option, folder: Path) -> list[str]:
    """Write an option with a value that is not its default."""
    if option.is_flag:
        return [option.opts[-1]]
    if isinstance(option.type, click.Choice):
        return [option.opts[-1], next(c for c in option.type.choices if c != option.default)]
    values = {"path": str(folder / "x"), "text": "x", "float range": "2"}
    return [option.opts[-1], values.get(option.type.name, "7")]


def parsed(name: str, arguments: list[str]) -> dict[str, Any]:
    """Parse a command line, with every argument that the command needs."""
    made = command(name)
    needed = {"completion": ["bash"], "runtime": ["list"]}
    model = [p.name for p in made.params if isinstance(p, click.Argument) and p.required]
    words = needed.get(name, ["e4b"] * len(model))
    context = made.make_context(name, [*words, *arguments], obj=Invocation())
    return dict(context.params)


def made_of(kind: type[Any], values: dict[str, Any]) -> Any:
    own = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in own})


@pytest.fixture(autouse=True)
def no_settings(home: Path) -> None:
    """Nothing of the developer's own environment counts."""


@pytest.mark.parametrize(
    ("name", "option"), list(offered()), ids=lambda x: str(getattr(x, "name", x))
)
def test_each_option_changes_what_its_command_is_asked(
    name: str, option: Option, tmp_path: Path
) -> None:
    key = str(option.name)
    before, after = parsed(name, []), parsed(name, typed(option, tmp_path))
    assert before[key] != after[key]
    if key in COMMON_NAMES:
        return
    if key in SESSION:
        assert name in READERS[key]
    elif key in WRITING:
        assert name in WRITERS
    elif key not in THE_COMMANDS_OWN.get(name, ()):
        assert any(made_of(kind, before) != made_of(kind, after) for kind in REQUESTS[name])


@pytest.mark.parametrize("name", SUMMARIES)
def test_no_command_lacks_an_option_that_it_reads(name: str) -> None:
    names = {str(parameter.name) for parameter in command(name).params}
    assert {key for key, readers in READERS.items() if name in readers} <= names
    assert (name in WRITERS) == (set(WRITING) <= names)
    assert set(COMMON_NAMES) <= names


def test_what_a_session_is_opened_with_comes_from_the_options(home: Path, tmp_path: Path) -> None:
    options = ["--connections", "3", "--limit-rate", "5M", "--mirror", "http://m", "--no-wait"]
    options += ["--gentle", "--no-recover", "--models-dir", "~/m", "--catalog", "~/c.json"]
    made = command("download")
    context = made.make_context("download", ["e4b", *options], obj=Invocation())
    shell = Shell({"HOME": str(home)}, describe_terminal({}), Invocation().shell.cancel)
    shell.take(context)
    session = shell.session
    downloading = session.downloading
    assert (downloading.connections, downloading.rate_bytes_per_second) == (3, 5_000_000)
    assert (downloading.wait, downloading.polite, session.recovering) == (False, True, False)
    assert session.hub.mirrors == ("http://m",)
    assert session.paths.download_root == home / "m"


@pytest.mark.parametrize("name", SUMMARIES)
def test_help_has_everyday_options_first_and_common_ones_last(name: str) -> None:
    made = command(name)
    page = made.get_help(click.Context(made, info_name=name))
    titles = [line.rstrip(":") for line in page.splitlines() if line.rstrip(":") in SECTIONS]
    assert titles == [title for title in SECTIONS if title in titles]
    assert titles[-1] == "Common options"
    for option in OPTIONS.values():
        assert (f" {option.opts[-1]}" in page) == (option in made.params)


def test_a_context_may_be_written_with_a_k() -> None:
    assert parsed("explain", ["--context", "32k"])["context"] == 32768
    assert parsed("explain", ["--context", "262144"])["context"] == 262144


def test_what_an_option_offers_is_what_a_request_takes() -> None:
    taken = {"kv_type": KvTypeName, "prefer": PreferenceName}
    for name, names in taken.items():
        offered_by = OPTIONS[name].type
        assert isinstance(offered_by, click.Choice)
        assert tuple(offered_by.choices) == get_args(names)
