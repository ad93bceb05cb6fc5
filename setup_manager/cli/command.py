"""How a command is declared: its name, its parameters, its examples, and the function that runs it.

The function is called with the shell and the values of its parameters. What the shell reads itself
(the common options, those of the session, --dry-run and --yes) it does not see: the rest are the
fields of its verb's request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from setup_manager.cli.options import (
    COMMON,
    COMMON_NAMES,
    OPTIONS,
    SECTIONS,
    SESSION,
    WRITING,
    Option,
)
from setup_manager.errors import interrupted

if TYPE_CHECKING:
    from setup_manager.cli.outcome import Outcome
    from setup_manager.cli.shell import Shell

_THE_SHELLS = frozenset({*COMMON_NAMES, *SESSION, *WRITING})


def gemma_command(
    name: str, *parameters: click.Parameter | str, examples: tuple[str, ...]
) -> Callable[[Callable[..., Outcome]], click.Command]:
    """Make a click command of a function.

    Args:
        name: What is typed.
        parameters: Its own arguments and options; names stand for options that commands share.
            The common ones are on every command.
        examples: Command lines that its help begins with.
    """

    def decorate(function: Callable[..., Outcome]) -> click.Command:
        @click.pass_context
        @wraps(function)
        def run(context: click.Context, /, **values: Any) -> Outcome:
            shell: Shell = context.obj.shell
            shell.begin(context)
            fields = {name: value for name, value in values.items() if name not in _THE_SHELLS}
            try:
                return function(shell, **fields)
            except KeyboardInterrupt:
                # Click would print an empty line into whatever stands on the screen.
                raise interrupted() from None

        params = [OPTIONS[p] if isinstance(p, str) else p for p in (*parameters, *COMMON_NAMES)]
        return ExampleCommand(
            name, callback=run, params=params, help=function.__doc__, examples=examples
        )

    return decorate


class ExampleCommand(click.Command):
    """A command whose help starts with examples and has its options in sections."""

    def __init__(self, name: str, *, examples: tuple[str, ...], **attributes: Any) -> None:
        super().__init__(name, **attributes)
        self.examples = examples

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then what click writes."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write_text(example)
        formatter.write_paragraph()
        super().format_help(ctx, formatter)

    def get_help_option_names(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name --help as everywhere here, whatever context the help is made in."""
        return ["-h", "--help"]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options section by section."""
        write_sections(self.get_params(ctx), ctx, formatter)


def write_sections(
    parameters: Iterable[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write options under the titles of their sections; --help goes with the common ones."""
    rows: dict[str, list[tuple[str, str]]] = {title: [] for title in SECTIONS}
    options = (parameter for parameter in parameters if isinstance(parameter, click.Option))
    for option in options:
        if record := option.get_help_record(ctx):
            section = option.section if isinstance(option, Option) else COMMON
            rows[section].append(record)
    for title, records in rows.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)
