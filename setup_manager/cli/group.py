"""The commands by name, imported only when used, so that `--help` stays quick."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from setup_manager import __version__
from setup_manager.cli.options import COMMON_NAMES, OPTIONS
from setup_manager.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SUMMARIES = {
    "install": "Check, choose, download, register and test: the whole job.",
    "check": "Check this machine before downloading: what works, what to fix.",
    "recommend": "Rank the models that fit this machine, and say why.",
    "explain": "Show where a model's memory goes and how fast it will run.",
    "download": "Download and verify a model; continue where it stopped.",
    "recover": "Finish or reuse other tools' incomplete downloads.",
    "verify": "Verify installed files; repair only damaged parts.",
    "register": "Register a model with a runtime.",
    "serve": "Run a model as an OpenAI-compatible server.",
    "smoke": "Ask a question, judge the answer, measure the speed.",
    "list": "Show the catalogue, or what is installed.",
    "remove": "Remove a model and its registrations.",
    "clean": "Delete partial downloads and stale records.",
    "runtime": "Install or remove the official build of llama.cpp.",
    "report": "Write a model's plan and results as one HTML page.",
    "rehearse": "Try the whole job on a tiny model; needs no internet.",
    "paths": "Show where everything is stored, and why there.",
    "completion": "Print the completion script for a shell.",
}


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
        """Find a command, also by another tool's word for it; pass on what was given before it."""
        word, rest = args[0], args[1:]
        name = canonical(word)
        if name in {"help", "version"}:
            return self._told(ctx, name, rest)
        if name not in SUMMARIES and not name.startswith("-"):
            from setup_manager.cli.words import hint_for

            hint = hint_for(name, SUMMARIES) or "See `gemma-setup --help`."
            raise UsageError(f"There is no command {word!r}.", hint=hint)
        return super().resolve_command(ctx, [name, *_given_before(ctx), *rest])

    def _told(
        self, ctx: click.Context, name: str, rest: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Understand `help`, `help COMMAND` and `version`."""
        topic = next((word for word in rest if not word.startswith("-")), None)
        if name == "help" and topic is not None:
            return self.resolve_command(ctx, [topic, "--help"])
        click.echo(ctx.get_help() if name == "help" else _VERSION)
        return ctx.exit()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from their summaries, without importing them; then the options."""
        from setup_manager.cli.command import write_sections

        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))
        write_sections(self.get_params(ctx), ctx, formatter)


def canonical(word: str) -> str:
    """Give a command's own name for another tool's word for it."""
    if word in SUMMARIES:
        return word
    from setup_manager.cli.words import ALIASES

    return ALIASES.get(word, word)


def _given_before(ctx: click.Context) -> list[str]:
    """Write the common options that stood before the command as its own."""
    words = []
    for name in COMMON_NAMES:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            words.append(OPTIONS[name].opts[-1])
            if not OPTIONS[name].is_flag:
                words.append(str(ctx.params[name]))
    return words


_VERSION = f"gemma-setup, version {__version__}"


@click.group(
    cls=LazyGroup,
    params=[OPTIONS[name] for name in COMMON_NAMES],
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `gemma-setup install`; `gemma-setup COMMAND --help` begins with examples.",
)
@click.version_option(__version__, "--version", prog_name="gemma-setup")
@click.pass_context
def cli(context: click.Context, /, **given: Any) -> None:
    """Get Google's Gemma 4 running on this machine: resumable, verified, tested."""
    from setup_manager.cli.config import read_defaults

    if context.invoked_subcommand is None:
        if given["as_json"]:
            context.fail("A command is missing.")
        click.echo(context.get_help())
        context.exit()
    defaults = read_defaults(context.obj.shell.host)
    context.default_map = dict.fromkeys(SUMMARIES, defaults)
