"""The shell of one run: the environment, the terminal, the options that every command has."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from setup_manager.cli.options import CommonOptions, DownloadingOptions, StorageOptions
from setup_manager.cli.terminal import StatusLine, Terminal
from setup_manager.library import Host, Paths, Place, this_host

if TYPE_CHECKING:
    from setup_manager.session import Observer, Session

_DECIDED_BY = {
    ParameterSource.COMMANDLINE: "--models-dir",
    ParameterSource.ENVIRONMENT: "GEMMA_SETUP_MODELS_DIR",
    ParameterSource.DEFAULT_MAP: "configuration file",
}
_GREETINGS = {
    "install": "looking at this machine",
    "check": "looking at this machine",
    "recommend": "looking at this machine",
    "explain": "looking at this machine",
    "report": "looking at this machine",
    "rehearse": "getting ready",
    "recover": "looking for leftovers",
    "verify": "hashing",
    "smoke": "getting ready",
    "serve": "getting ready",
    "download": "getting ready",
    "register": "getting ready",
}
_WHOLE_JOBS = {"install", "rehearse"}
"""Commands that say how they go without a terminal too."""


class Shell:
    """What a command is given besides its own arguments.

    Args:
        environment: The environment variables.
        terminal: Where to write.
        cancel: Set when the user asks to stop.

    Attributes:
        command: Name of the running command.
        options: The common options.
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
        self.status = StatusLine(terminal)
        self._display: Observer | None = None

    def begin(self, command: str, options: CommonOptions) -> None:
        """Take the common options of a command."""
        self.command = command
        self.options = options
        if options.no_color:
            self.terminal = replace(self.terminal, colour=False)
        if options.no_input or options.as_json:
            self.terminal = replace(self.terminal, can_ask=False)
        self.status = StatusLine(self.terminal)
        quiet = options.quiet or options.as_json or options.no_progress
        if command in _GREETINGS and not quiet and options.progress == "auto":
            # What takes longer than a blink says so at once, before anything heavy is imported.
            words = f"{self.terminal.mark('run')} {_GREETINGS[command]} ..."
            self.status.show(words)
            if command in _WHOLE_JOBS and not self.terminal.interactive:
                self.note(words)

    @property
    def program(self) -> str:
        """How this program can be called again: by its name where that finds it."""
        called = Path(sys.argv[0])
        found = shutil.which("gemma-setup", path=self.environment.get("PATH", ""))
        if called.name != "gemma-setup" or (found and Path(found).resolve() == called.resolve()):
            return "gemma-setup"
        return str(called)

    @cached_property
    def host(self) -> Host:
        """The system, its user and the environment."""
        return this_host(self.environment)

    def paths(self, storage: StorageOptions) -> Paths:
        """Resolve every folder for this run."""
        return self.host.paths(_named_models_dir(storage))

    def open_session(
        self,
        storage: StorageOptions,
        downloading: DownloadingOptions | None = None,
        *,
        observer: Observer | None = None,
    ) -> Session:
        """Gather what a command works with from the environment and the options."""
        from setup_manager.download import DownloadOptions
        from setup_manager.session import open_session

        chosen = downloading or DownloadingOptions()
        return open_session(
            self.environment,
            models_dir=_named_models_dir(storage),
            catalog=storage.catalog,
            mirrors=chosen.mirror,
            downloading=DownloadOptions(
                connections=chosen.connections,
                rate_bytes_per_second=chosen.limit_rate,
                wait=not chosen.no_wait,
                polite=chosen.gentle,
            ),
            recovering=not chosen.no_recover,
            observer=observer or self.display(),
            cancel=self.cancel,
            program=self.program,
        )

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

    def confirm(self, question: str) -> bool:
        """Ask a person yes or no; Enter means yes."""
        self.status.clear()
        print(f"{question} [Y/n] ", end="", file=self.terminal.stderr, flush=True)
        answer = sys.stdin.readline()
        return answer.strip().lower() in {"", "y", "yes"} and answer != ""


def _named_models_dir(storage: StorageOptions) -> Place | None:
    if not storage.models_dir:
        return None
    source = click.get_current_context().get_parameter_source("models_dir")
    return Place(
        Path(os.path.abspath(storage.models_dir)),  # noqa: PTH100 - links stay as typed
        _DECIDED_BY.get(source, "default") if source else "default",
    )
