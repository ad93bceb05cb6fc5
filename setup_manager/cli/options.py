"""The options, in the groups in which commands share them.

Each group is a frozen dataclass; a command that lists a group gets one instance of it. Flags
beat environment beats configuration file beats defaults: click does the first two, its
``default_map`` (filled by ``cli.config``) the third.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import click

from setup_manager import units
from setup_manager.errors import interrupted

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from setup_manager.cli.group import Invocation
    from setup_manager.cli.outcome import Outcome

KV_TYPES = ("f16", "q8_0", "q4_0")
PREFERENCES = ("speed", "quality", "balanced")
RUNTIMES = ("auto", "llama.cpp", "ollama", "embedded")


class SizeType(click.ParamType[int]):
    """A size: 500M, 1.5GiB."""

    name = "size"
    parse = staticmethod(units.parse_size)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it; a number from the configuration file is bytes already."""
        if isinstance(value, int):
            return value
        try:
            return self.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class RateType(SizeType):
    """A transfer rate: 500K, 5M, 1.5MiB/s."""

    name = "rate"
    parse = staticmethod(units.parse_rate)


@dataclass(frozen=True, slots=True)
class CommonOptions:
    """On every command."""

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    no_color: bool = False
    no_progress: bool = False
    progress: str = "auto"
    no_input: bool = False

    OPTIONS: ClassVar[tuple[Callable[..., Any], ...]] = (
        click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout."),
        click.option("-q", "--quiet", is_flag=True, help="Say only what must be said."),
        click.option("-v", "--verbose", is_flag=True, help="Say more."),
        click.option("--no-color", is_flag=True, help="No colours (as does NO_COLOR)."),
        click.option(
            "--no-progress",
            is_flag=True,
            envvar="GEMMA_SETUP_NO_PROGRESS",
            help="No progress display.",
        ),
        click.option(
            "--progress",
            type=click.Choice(["auto", "json"]),
            default="auto",
            help="json: events as JSON lines on stderr.",
        ),
        click.option("--no-input", is_flag=True, help="Never ask; a question becomes an error."),
    )


@dataclass(frozen=True, slots=True)
class WritingOptions:
    """On commands that write."""

    dry_run: bool = False
    yes: bool = False

    OPTIONS: ClassVar[tuple[Callable[..., Any], ...]] = (
        click.option("-n", "--dry-run", is_flag=True, help="Show what would be done, do nothing."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask before going on."),
    )


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """On commands that look at models on disk or in the catalogue."""

    models_dir: str | None = None
    catalog: str | None = None

    OPTIONS: ClassVar[tuple[Callable[..., Any], ...]] = (
        click.option(
            "--models-dir",
            metavar="DIR",
            type=click.Path(file_okay=False),
            envvar="GEMMA_SETUP_MODELS_DIR",
            help="A plain folder for models instead of the hub cache.",
        ),
        click.option(
            "--catalog",
            metavar="FILE",
            type=click.Path(dir_okay=False),
            envvar="GEMMA_SETUP_CATALOG",
            help="Another catalogue than the one of this package.",
        ),
    )


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """On commands that turn a MODEL into files."""

    latest: bool = False
    with_projector: bool = False
    with_drafter: bool = False

    OPTIONS: ClassVar[tuple[Callable[..., Any], ...]] = (
        click.option("--latest", is_flag=True, help="Ask the hub for the newest upload."),
        click.option("--with-projector", is_flag=True, help="Also the projector, for images."),
        click.option("--with-drafter", is_flag=True, help="Also the MTP drafter, for speed."),
    )


@dataclass(frozen=True, slots=True)
class PlanningOptions:
    """On commands that plan how a model runs."""

    context: int | None = None
    kv_type: Literal["f16", "q8_0", "q4_0"] | None = None
    slots: int | None = None
    ubatch: int | None = None
    prefer: Literal["speed", "quality", "balanced"] = "balanced"
    runtime: str = "auto"
    machine: str | None = None

    OPTIONS: ClassVar[tuple[Callable[..., Any], ...]] = (
        click.option(
            "--context", type=int, metavar="N", help="Tokens of context (default: what fits)."
        ),
        click.option(
            "--kv-type", type=click.Choice(KV_TYPES), help="How the cache is stored (f16)."
        ),
        click.option("--slots", type=int, metavar="N", help="Requests served side by side (1)."),
        click.option("--ubatch", type=int, metavar="N", help="Tokens computed at once (512)."),
        click.option(
            "--prefer",
            type=click.Choice(PREFERENCES),
            default="balanced",
            help="What to rank by.",
        ),
        click.option(
            "--runtime", type=click.Choice(RUNTIMES), default="auto", help="What is to run it."
        ),
        click.option(
            "--machine",
            metavar="FILE",
            type=click.Path(dir_okay=False),
            help="Plan for the machine in FILE (data.machine of `check --json` there).",
        ),
    )


@dataclass(frozen=True, slots=True)
class DownloadingOptions:
    """On commands that download."""

    connections: int | None = None
    limit_rate: int | None = None
    mirror: tuple[str, ...] = ()
    no_wait: bool = False
    no_recover: bool = False
    gentle: bool = False

    OPTIONS: ClassVar[tuple[Callable[..., Any], ...]] = (
        click.option(
            "--connections",
            type=click.IntRange(1, 16),
            metavar="N",
            help="Connections at once, 1 to 16 (default: what helps).",
        ),
        click.option(
            "--limit-rate", type=RateType(), metavar="RATE", help="At most this fast, e.g. 5M."
        ),
        click.option(
            "--mirror", multiple=True, metavar="URL", help="Another hub with the same files."
        ),
        click.option(
            "--no-wait", is_flag=True, help="End with 18 if another process is at the file."
        ),
        click.option("--no-recover", is_flag=True, help="Do not look for other tools' leftovers."),
        click.option("--gentle", is_flag=True, help="Low CPU and disk priority."),
    )


def model_argument(
    *, required: bool = True, installed: bool = False, metavar: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the MODEL argument; the Tab key completes it.

    Args:
        required: Whether it must be given.
        installed: Offer the models that are here instead of the catalogue's.
        metavar: What help shows instead of MODEL.
    """

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        from setup_manager.cli.completion import complete_installed, complete_model

        offer = complete_installed if installed else complete_model
        return offer(ctx, param, incomplete)

    return click.argument("model", required=required, metavar=metavar, shell_complete=complete)


def ollama_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options on how a model gets into Ollama."""
    for option in (
        click.option("--name", metavar="NAME", help="Name to register under with Ollama."),
        click.option("--pull", is_flag=True, help="Let Ollama fetch the model by itself."),
        click.option(
            "--ollama-link",
            is_flag=True,
            help="Link the file into Ollama's store; no copy, undocumented.",
        ),
    ):
        function = option(function)
    return function


OptionGroup = type[
    CommonOptions
    | WritingOptions
    | StorageOptions
    | ModelOptions
    | PlanningOptions
    | DownloadingOptions
]
_KEYWORDS: Mapping[OptionGroup, str] = {
    CommonOptions: "common",
    WritingOptions: "writing",
    StorageOptions: "storage",
    ModelOptions: "files",
    PlanningOptions: "planning",
    DownloadingOptions: "downloading",
}
CONFIGURABLE = tuple(
    name
    for group in (StorageOptions, PlanningOptions, DownloadingOptions, CommonOptions)
    for name in (field.name for field in fields(group))
    if name not in {"as_json", "machine"}
)


def gemma_command(
    name: str, *groups: OptionGroup, examples: tuple[str, ...]
) -> Callable[[Callable[..., Outcome]], click.Command]:
    """Make a click command that gets a shell and its option groups.

    The function is called with ``shell`` and one keyword for each group: ``writing``,
    ``storage``, ``files``, ``planning``, ``downloading``; the rest are its own parameters.

    Args:
        name: What is typed.
        groups: Option groups beside the common one.
        examples: Command lines that its help begins with.
    """

    def decorate(function: Callable[..., Outcome]) -> click.Command:
        @click.pass_obj
        @wraps(function)
        def run(invocation: Invocation, /, **values: Any) -> Outcome:
            shell = invocation.shell
            common = _take(CommonOptions, values)
            chosen = {_KEYWORDS[group]: _take(group, values) for group in groups}
            shell.begin(name, common)
            try:
                return function(shell, **chosen, **values)
            except KeyboardInterrupt:
                # Click would print an empty line into whatever stands on the screen.
                raise interrupted() from None

        callback: Callable[..., Any] = run
        for group in (CommonOptions, *reversed(groups)):
            for option in reversed(group.OPTIONS):
                callback = option(callback)
        made = click.command(name, cls=_ExampleCommand)(callback)
        made.examples = examples
        return made

    return decorate


def _take(group: type[Any], values: dict[str, Any]) -> Any:
    return group(**{field.name: values.pop(field.name) for field in fields(group)})


class _ExampleCommand(click.Command):
    """A command whose help starts with examples."""

    examples: tuple[str, ...] = ()

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write_text(example)
        formatter.write_paragraph()
        super().format_help(ctx, formatter)
