"""The commands by name, imported only when used, so that `--help` stays quick."""

from __future__ import annotations

import os
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

import click

from setup_manager import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from setup_manager.cli.shell import Shell

SUMMARIES = {
    "install": "Check, choose, download, register and try a model: the whole job.",
    "check": "Look at this machine before the first byte: what works, what to mend.",
    "recommend": "Say which models fit this machine, ranked, and why.",
    "explain": "Show where a model's memory goes and how fast it will run.",
    "download": "Fetch and verify a model; go on where it stopped.",
    "recover": "Take over what other tools' downloads left behind.",
    "verify": "Hash again what is here; mend only what is damaged.",
    "register": "Make a runtime know a model.",
    "serve": "Run a model as an OpenAI-compatible server on this machine.",
    "smoke": "Ask a model a question, judge the answer, measure it.",
    "list": "Show the catalogue, or what is installed.",
    "remove": "Take a model out again, everywhere.",
    "clean": "Drop partial downloads and stale records.",
    "runtime": "Install or remove llama.cpp's official build.",
    "report": "Write what is known of this machine and its model as one HTML page.",
    "rehearse": "Do the whole job on a tiny model from a bad line; no internet.",
    "paths": "Show where everything lives and what decided it.",
    "completion": "Print the completion script for a shell.",
}


class Invocation:
    """One run of the program; its shell is made when a command or an error needs it."""

    @cached_property
    def shell(self) -> Shell:
        """The shell, listening for Ctrl-C from now on."""
        from setup_manager.cli.interrupt import Interruption
        from setup_manager.cli.shell import Shell
        from setup_manager.cli.terminal import describe_terminal

        interruption = Interruption()
        interruption.listen()
        return Shell(os.environ, describe_terminal(os.environ), interruption.requested)


class LazyGroup(click.Group):
    """A group that imports a command's module only to run it or show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order in which people need them."""
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in SUMMARIES:
            return None
        module = import_module(f"setup_manager.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Offer commands without importing them, and the group's own options."""
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=summary)
            for name, summary in SUMMARIES.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, with a suggestion where there is none of that name."""
        name = args[0]
        if name not in SUMMARIES and not name.startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(name, SUMMARIES, n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"There is no command {name!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands from their summaries, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `gemma-setup install`; `gemma-setup COMMAND --help` begins with examples.",
)
@click.version_option(__version__, "--version", prog_name="gemma-setup")
@click.pass_context
def cli(context: click.Context) -> None:
    """Get Google's Gemma 4 running on this machine, and keep at it until it does."""
    from setup_manager.cli.config import read_defaults

    defaults = read_defaults(context.obj.shell)
    context.default_map = dict.fromkeys(SUMMARIES, defaults)
