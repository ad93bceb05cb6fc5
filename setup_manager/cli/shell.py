"""The shell of one run: the environment, the terminal, the options that every command has."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from setup_manager.cli.options import CommonOptions, DownloadingOptions, StorageOptions
from setup_manager.cli.terminal import Terminal
from setup_manager.state.paths import Paths, Place, resolve_paths

if TYPE_CHECKING:
    from setup_manager.workflow.events import Observer
    from setup_manager.workflow.session import HubAccess, Session

_DECIDED_BY = {
    ParameterSource.COMMANDLINE: "--models-dir",
    ParameterSource.ENVIRONMENT: "GEMMA_SETUP_MODELS_DIR",
    ParameterSource.DEFAULT_MAP: "configuration file",
}
OS_NAMES = {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}


class Shell:
    """What a command is given besides its own arguments.

    Args:
        environment: The environment variables.
        terminal: Where to write.
        cancel: Set when the user asks to stop.

    Attributes:
        command: Name of the running command.
        options: The common options.
    """

    def __init__(
        self, environment: Mapping[str, str], terminal: Terminal, cancel: threading.Event
    ) -> None:
        self.environment = environment
        self.terminal = terminal
        self.cancel = cancel
        self.command = ""
        self.options = CommonOptions()

    def begin(self, command: str, options: CommonOptions) -> None:
        """Take the common options of a command."""
        self.command = command
        self.options = options
        if options.no_color:
            self.terminal = replace(self.terminal, colour=False)
        if options.no_input or options.as_json:
            self.terminal = replace(self.terminal, can_ask=False)

    @property
    def program(self) -> str:
        """How this program can be called again: by its name where that finds it."""
        called = Path(sys.argv[0])
        found = shutil.which("gemma-setup", path=self.environment.get("PATH", ""))
        if called.name != "gemma-setup" or (found and Path(found).resolve() == called.resolve()):
            return "gemma-setup"
        return str(called)

    @property
    def os_name(self) -> str:
        """``"linux"``, ``"macos"``, ``"windows"``, or what Python calls another system."""
        system = platform.system()
        return OS_NAMES.get(system, system.lower())

    @property
    def home(self) -> Path | None:
        """The user's home folder, None where there is none."""
        try:
            return Path.home()
        except RuntimeError:
            return None

    @property
    def temporary(self) -> Path:
        """The system's folder for temporary files."""
        try:
            return Path(tempfile.gettempdir())
        except OSError:
            return Path(os.curdir)

    def paths(self, storage: StorageOptions) -> Paths:
        """Resolve every folder for this run."""
        models = None
        if storage.models_dir:
            source = click.get_current_context().get_parameter_source("models_dir")
            models = Place(
                Path(os.path.abspath(storage.models_dir)),  # noqa: PTH100 - links stay as typed
                _DECIDED_BY.get(source, "default") if source else "default",
            )
        return resolve_paths(
            self.environment,
            os_name=self.os_name,
            home=self.home,
            temporary=self.temporary,
            models_dir=models,
        )

    def open_session(
        self,
        storage: StorageOptions,
        downloading: DownloadingOptions | None = None,
        *,
        observer: Observer | None = None,
    ) -> Session:
        """Gather what a command works with from the environment and the options."""
        from setup_manager.download.options import DownloadOptions, NetworkOptions
        from setup_manager.hub.token import is_offline
        from setup_manager.workflow.session import Session

        paths = self.paths(storage)
        chosen = downloading or DownloadingOptions()
        return Session(
            paths,
            environment=self.environment,
            home=self.home,
            hub=self._hub_access(chosen),
            network=NetworkOptions.from_environment(self.environment),
            downloading=DownloadOptions(
                connections=chosen.connections,
                rate_bytes_per_second=chosen.limit_rate,
                wait=not chosen.no_wait,
                polite=chosen.gentle,
                checks_dir=paths.state.path / "checks",
                offline=is_offline(self.environment),
            ),
            catalog_path=Path(storage.catalog) if storage.catalog else None,
            observer=observer or self.display(),
            cancel=self.cancel,
        )

    def display(self) -> Observer:
        """Choose how progress is shown."""
        from setup_manager.cli.progress import choose_display

        return choose_display(
            self.terminal,
            progress=self.options.progress,
            quiet=self.options.quiet or self.options.as_json,
            hidden=self.options.no_progress,
        )

    def _hub_access(self, chosen: DownloadingOptions) -> HubAccess:
        from setup_manager.hub.token import find_token, is_offline
        from setup_manager.state.paths import PathResolver
        from setup_manager.workflow.session import DEFAULT_ENDPOINT, HubAccess

        endpoint = self.environment.get("HF_ENDPOINT", "").strip().rstrip("/")
        resolver = PathResolver(self.environment, self.os_name, self.home)
        return HubAccess(
            endpoint=endpoint or DEFAULT_ENDPOINT,
            token=find_token(self.environment, resolver.hub_home()),
            mirrors=tuple(mirror.rstrip("/") for mirror in chosen.mirror),
            offline=is_offline(self.environment),
        )

    def note(self, text: str) -> None:
        """Tell a person something on the way; silent under --quiet and --json."""
        if self.options.quiet or self.options.as_json or self.options.progress == "json":
            return
        print(self.terminal.plain(text), file=self.terminal.stderr, flush=True)

    def confirm(self, question: str) -> bool:
        """Ask a person yes or no; Enter means yes."""
        print(f"{question} [Y/n] ", end="", file=self.terminal.stderr, flush=True)
        answer = sys.stdin.readline()
        return answer.strip().lower() in {"", "y", "yes"} and answer != ""
