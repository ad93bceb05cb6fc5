"""The options that commands share, each declared once: what is typed, what it means, its section.

An option's name is that of the field that it fills in a request of `app`, or in what the shell
itself reads. Flags beat environment beats configuration file beats defaults: click does the first
two, its ``default_map`` (filled by ``cli.config``) the third.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from setup_manager import units
from setup_manager.runtimes import REGISTRY

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    IntegerType = click.ParamType[int]
else:
    IntegerType = click.ParamType  # not generic before click 8.4

KV_TYPES = ("f16", "q8_0", "q4_0")
PREFERENCES = ("speed", "quality", "balanced")
RUNTIMES = ("auto", *REGISTRY)
*_OTHERS, _LAST = REGISTRY

OWN = "Options"
PLANNING = "Memory and speed"
DOWNLOAD = "Download"
OLLAMA = "Ollama"
PLACES = "Files and folders"
COMMON = "Common options"
SECTIONS = (OWN, PLANNING, DOWNLOAD, OLLAMA, PLACES, COMMON)
"""In the order in which help shows them: everyday ones first."""


class Option(click.Option):
    """An option that help shows under the title of its section."""

    def __init__(self, *declarations: str, section: str = OWN, **attributes: Any) -> None:
        super().__init__(declarations, **attributes)
        self.section = section


class SizeType(IntegerType):
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


class TokensType(SizeType):
    """A number of tokens: 32768, 32k."""

    name = "tokens"
    parse = staticmethod(units.parse_tokens)


class HomePath(click.Path):
    """A path in which ``~`` is the home folder, also where no shell has expanded it."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """Read it."""
        return super().convert(os.path.expanduser(value), param, ctx)  # noqa: PTH111 - never raises


def _flag(*declarations: str, section: str = OWN, **attributes: Any) -> Option:
    return Option(*declarations, is_flag=True, section=section, **attributes)


_DECLARED = (
    _flag("-n", "--dry-run", help="Show what would be done; change nothing."),
    _flag("-y", "--yes", help="Answer yes to every question."),
    Option(
        "--prefer",
        metavar="WHAT",
        type=click.Choice(PREFERENCES),
        default="balanced",
        help="Rank by speed, quality or balanced (default).",
    ),
    Option(
        "--runtime",
        metavar="NAME",
        type=click.Choice(RUNTIMES),
        default="auto",
        help=f"Run it with {', '.join(_OTHERS)} or {_LAST} (default: auto).",
    ),
    Option(
        "--context",
        type=TokensType(),
        metavar="N",
        help="Tokens of context, e.g. 32k (default: what fits).",
    ),
    _flag("--with-projector", help="Also the projector, for images."),
    _flag("--with-drafter", help="Also the MTP drafter, for speed."),
    Option(
        "--kv-type",
        section=PLANNING,
        type=click.Choice(KV_TYPES),
        help="Type of the KV cache (default: f16).",
    ),
    Option(
        "--slots",
        section=PLANNING,
        type=int,
        metavar="N",
        help="Parallel requests (default: 1).",
    ),
    Option(
        "--ubatch",
        section=PLANNING,
        type=int,
        metavar="N",
        help="Tokens per micro-batch (default: 512).",
    ),
    Option(
        "--machine",
        section=PLANNING,
        metavar="FILE",
        type=HomePath(dir_okay=False),
        help="Plan for the machine in FILE (`check --json` from there).",
    ),
    _flag("--latest", section=DOWNLOAD, help="Newest upload on the hub, not the pinned one."),
    Option(
        "--connections",
        section=DOWNLOAD,
        type=click.IntRange(1, 16),
        metavar="N",
        help="Parallel connections (default: adaptive).",
    ),
    Option(
        "--limit-rate",
        section=DOWNLOAD,
        type=RateType(),
        metavar="RATE",
        help="Maximum speed, e.g. 5M.",
    ),
    Option(
        "--mirror",
        section=DOWNLOAD,
        multiple=True,
        metavar="URL",
        help="Another hub with the same files; may be repeated.",
    ),
    _flag("--no-wait", section=DOWNLOAD, help="Exit 18 if another process is downloading it."),
    _flag("--no-recover", section=DOWNLOAD, help="Ignore other tools' incomplete downloads."),
    _flag("--gentle", section=DOWNLOAD, help="Low CPU and disk priority."),
    Option("--name", section=OLLAMA, metavar="NAME", help="Name to register under."),
    _flag("--pull", section=OLLAMA, help="Let Ollama download the model itself."),
    _flag(
        "--ollama-link",
        section=OLLAMA,
        help="Link instead of copying (relies on Ollama internals).",
    ),
    Option(
        "--models-dir",
        section=PLACES,
        metavar="DIR",
        type=HomePath(file_okay=False),
        envvar="GEMMA_SETUP_MODELS_DIR",
        help="Plain folder for models instead of the hub cache.",
    ),
    Option(
        "--catalog",
        section=PLACES,
        metavar="FILE",
        type=HomePath(dir_okay=False),
        envvar="GEMMA_SETUP_CATALOG",
        help="Use another catalogue file.",
    ),
    _flag("--json", "as_json", section=COMMON, help="Print one JSON document on stdout."),
    _flag("-q", "--quiet", section=COMMON, help="Print only results and errors."),
    _flag("-v", "--verbose", section=COMMON, help="Print more detail."),
    _flag("--no-color", section=COMMON, help="No colours (like NO_COLOR)."),
    _flag(
        "--no-progress",
        section=COMMON,
        envvar="GEMMA_SETUP_NO_PROGRESS",
        help="No progress display.",
    ),
    Option(
        "--progress",
        section=COMMON,
        type=click.Choice(["auto", "json"]),
        default="auto",
        help="json: events as JSON lines on stderr.",
    ),
    _flag("--no-input", section=COMMON, help="Never ask; exit with an error instead."),
)
OPTIONS = {str(option.name): option for option in _DECLARED}
COMMON_NAMES = tuple(name for name, option in OPTIONS.items() if option.section == COMMON)
WRITING = ("dry_run", "yes")
"""On every command that writes."""
RUN = ("runtime", "context", "with_projector", "with_drafter", "kv_type", "slots", "ubatch")
TRANSFER = ("connections", "limit_rate", "mirror", "no_wait", "gentle")
INTO_OLLAMA = ("name", "pull", "ollama_link")
SESSION = ("models_dir", "catalog", *TRANSFER, "no_recover")
"""What a session is opened with; no request has it."""

_NEVER_CONFIGURED = {
    "as_json", "machine", "latest", "with_projector", "with_drafter", *WRITING, *INTO_OLLAMA,
}  # fmt: skip
CONFIGURABLE = tuple(name for name in OPTIONS if name not in _NEVER_CONFIGURED)


def model_argument(
    *, required: bool = True, installed: bool = False, metavar: str | None = None
) -> click.Argument:
    """Make the MODEL argument; the Tab key completes it.

    Args:
        required: Whether it must be given.
        installed: Offer the models that are installed instead of the catalogue's.
        metavar: What help shows instead of MODEL.
    """

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        from setup_manager.cli.completion import complete_installed, complete_model

        offer = complete_installed if installed else complete_model
        return offer(ctx, param, incomplete)

    return click.Argument(["model"], required=required, metavar=metavar, shell_complete=complete)
