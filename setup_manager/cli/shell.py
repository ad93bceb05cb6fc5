"""The shell of one run: the environment, the terminal, the options that every command has."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from setup_manager.cli.terminal import StatusLine, Terminal
from setup_manager.errors import InterruptedByUserError, SetupError, UsageError
from setup_manager.library import Host, Paths, Place

if TYPE_CHECKING:
    from setup_manager.session import Observer, Session

_GREETINGS = {
    "install": "checking this machine",
    "check": "checking this machine",
    "recommend": "checking this machine",
    "explain": "checking this machine",
    "report": "checking this machine",
    "rehearse": "preparing",
    "recover": "searching for incomplete downloads",
    "verify": "hashing",
    "smoke": "preparing",
    "serve": "preparing",
    "download": "preparing",
    "register": "preparing",
}
_WHOLE_JOBS = {"install", "rehearse"}
"""Commands that say how they go without a terminal too."""


@dataclass(frozen=True, slots=True)
class CommonOptions:
    """The options of every command, under the names of ``cli.options``."""

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    no_color: bool = False
    no_progress: bool = False
    progress: str = "auto"
    no_input: bool = False


class Shell:
    """What a command is given besides its own arguments.

    Args:
        environment: The environment variables.
        terminal: Where to write.
        cancel: Set when the user asks to stop.

    Attributes:
        command: Name of the running command.
        options: The common options.
        dry_run: Whether only to show what would be done.
        status: The last line of the terminal while something runs.
    """

    def __init__(
        self, environment: Mapping[str, str], terminal: Terminal, cancel: threading.Event
    ) -> None:
        self.environment = environment
        self.terminal = terminal
        self.cancel = cancel
        self.command = ""
        self.options = CommonOptions()
        self.dry_run = False
        self.status = StatusLine(terminal)
        self._display: Observer | None = None
        self._yes = False
        self._context: click.Context | None = None

    def take(self, context: click.Context) -> None:
        """Take what the shell itself reads of a command line."""
        given = context.params
        self._context = context
        self.command = context.command.name or ""
        self.options = CommonOptions(**{f.name: given[f.name] for f in fields(CommonOptions)})
        self.dry_run = given.get("dry_run", False)
        self._yes = given.get("yes", False)

    def begin(self, context: click.Context) -> None:
        """Begin a command: what takes longer than a blink says so before anything is imported."""
        self.take(context)
        command, options = self.command, self.options
        if options.no_color:
            self.terminal = replace(self.terminal, colour=False)
        if options.no_input or options.as_json:
            self.terminal = replace(self.terminal, can_ask=False)
        self.status = StatusLine(self.terminal)
        quiet = options.quiet or options.as_json or options.no_progress
        if command in _GREETINGS and not quiet and options.progress == "auto":
            words = f"{self.terminal.mark('run')} {_GREETINGS[command]} ..."
            self.status.show(words)
            if command in _WHOLE_JOBS and not self.terminal.interactive:
                self.note(words)

    @property
    def program(self) -> str:
        """How this program can be called again: by its name where that finds it."""
        called = Path(sys.argv[0]).absolute()
        found = shutil.which("gemma-setup", path=self.environment.get("PATH", ""))
        if called.name != "gemma-setup" or (found and Path(found).resolve() == called.resolve()):
            return "gemma-setup"
        root = called.parents[2]  # a checkout's own environment is <root>/.venv-run/bin
        script = root / "scripts" / "gemma-setup"
        if not (called.parents[1].name.startswith(".venv") and script.is_file()):
            return str(called)
        return "./scripts/gemma-setup" if Path.cwd() == root else str(script)

    @cached_property
    def host(self) -> Host:
        """The system, its user and the environment."""
        return Host.here(self.environment)

    @property
    def paths(self) -> Paths:
        """Every folder, for this run."""
        return self.host.paths(self._models_dir())

    @cached_property
    def session(self) -> Session:
        """What a command works with: from the environment, the configuration and the options."""
        from setup_manager.download import DownloadOptions
        from setup_manager.session import open_session

        asked = self._context.params if self._context else {}
        return open_session(
            self.environment,
            models_dir=self._models_dir(),
            catalog=asked.get("catalog"),
            mirrors=asked.get("mirror", ()),
            downloading=DownloadOptions(
                connections=asked.get("connections"),
                rate_bytes_per_second=asked.get("limit_rate"),
                wait=not asked.get("no_wait", False),
                polite=asked.get("gentle", False),
            ),
            recovering=not asked.get("no_recover", False),
            observer=self.display(),
            cancel=self.cancel,
            program=self.program,
        )

    def _models_dir(self) -> Place | None:
        """Find the plain folder for models, which holds also where no option offers it."""
        name, variable = "models_dir", "GEMMA_SETUP_MODELS_DIR"
        context = self._context
        if context is None:
            return None
        source = context.get_parameter_source(name)
        if source is ParameterSource.COMMANDLINE:
            folder, decided_by = context.params[name], "--models-dir"
        elif folder := self.environment.get(variable):
            decided_by = variable
        else:
            folder, decided_by = (context.default_map or {}).get(name), "configuration file"
        return Place(self.host.resolver.expand(str(folder)), decided_by) if folder else None

    def display(self) -> Observer:
        """Choose how progress is shown."""
        from setup_manager.cli.progress import choose_display

        self._display = choose_display(
            self.terminal,
            self.status,
            progress=self.options.progress,
            quiet=self.options.quiet or self.options.as_json,
            hidden=self.options.no_progress,
        )
        return self._display

    def settle(self) -> None:
        """Leave nothing that moves on the screen, before a result or an error is printed."""
        close = getattr(self._display, "close", None)
        if close is not None:
            close()
        self.status.clear()

    def note(self, text: str) -> None:
        """Tell a person something on the way; silent under --quiet and --json."""
        if self.options.quiet or self.options.as_json or self.options.progress == "json":
            return
        from setup_manager.cli.render.wrapping import folded

        self.status.clear()
        text = self.terminal.plain(text)
        if self.terminal.interactive:
            text = folded(text, self.terminal)
        print(text, file=self.terminal.stderr, flush=True)

    def ask(self, question: str, *, default: bool) -> bool:
        """Ask a person yes or no.

        Args:
            question: What is asked.
            default: What Enter means.
        """
        if self._yes:
            return True
        self.status.clear()
        choices = "[Y/n]" if default else "[y/N]"
        print(f"{question} {choices} ", end="", file=self.terminal.stderr, flush=True)
        try:
            answer = sys.stdin.readline()
        except KeyboardInterrupt:
            hint = "Nothing was downloaded. Run the same command again to be asked again."
            raise InterruptedByUserError("Stopped (Ctrl-C).", hint=hint) from None
        if not answer:  # the end of the input is no consent
            return False
        word = answer.strip().lower()
        return default if not word else word in {"y", "yes"}

    def require_consent(self, question: str = "Continue?", *, default: bool = True) -> None:
        """Ask before something is done.

        Args:
            question: What is asked.
            default: What Enter means; False for what deletes.

        Raises:
            UsageError: If nobody can answer.
            SetupError: If the answer is no.
        """
        if not self._yes and not self.terminal.can_ask:
            raise UsageError(
                "Confirmation needed, but input is not interactive.",
                code="needs-yes",
                hint="Add --yes to confirm, or --dry-run to see the plan only.",
            )
        if not self.ask(question, default=default):
            raise SetupError(
                "Cancelled.", code="declined", hint="Run `--dry-run` to see the plan only."
            )

    def offer(self, question: str) -> bool:
        """Ask where somebody can answer; no where nobody can."""
        return self._yes or (self.terminal.can_ask and self.ask(question, default=True))
