"""Opening a session: from an environment and what was asked for to what the work needs."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from setup_manager.download import DownloadOptions
from setup_manager.errors import UsageError
from setup_manager.library import Host, Place
from setup_manager.net import HubAccess, NetworkOptions
from setup_manager.session.events import Observer
from setup_manager.session.session import Session

StrPath = str | os.PathLike[str]


def open_session(
    environment: Mapping[str, str] | None = None,
    *,
    models_dir: Place | StrPath | None = None,
    catalog: StrPath | None = None,
    mirrors: Sequence[str] = (),
    downloading: DownloadOptions | None = None,
    recovering: bool = True,
    observer: Observer | None = None,
    cancel: threading.Event | None = None,
    program: str = "gemma-setup",
) -> Session:
    """Gather what a verb works with; nothing is read from disk but the hub's token.

    Folders, the hub and proxies follow the environment, as they do for the command line.

    Args:
        environment: Variables that count instead of the process's own.
        models_dir: A plain folder for models instead of the hub cache.
        catalog: Another catalogue file than the package's.
        mirrors: Base URLs of other hubs with the same files.
        downloading: How a download behaves; where it keeps its checks is filled in here.
        recovering: Whether downloads look for what other tools left, and use it.
        observer: Who is told how the work goes.
        cancel: Setting it stops a download within a second; what came is kept.
        program: How this program is called, for commands that are shown to be typed.

    Raises:
        AccessDeniedError: If the hub's token cannot be one.
        UsageError: If a folder is needed below a home folder and there is none, or a value is none
            that can be used.
    """
    environment = os.environ if environment is None else environment
    downloading = downloading or DownloadOptions()
    _check_downloading(downloading)
    _check_observer(observer)
    host = Host.here(environment)
    paths = host.paths(_models_place(models_dir, host))
    named_catalog = catalog or environment.get("GEMMA_SETUP_CATALOG")
    return Session(
        paths,
        environment=environment,
        home=host.home,
        hub=HubAccess.from_environment(environment, host.resolver.hub_home(), tuple(mirrors)),
        network=NetworkOptions.from_environment(environment),
        downloading=replace(downloading, checks_dir=paths.state.path / "checks"),
        catalog_path=Path(named_catalog) if named_catalog else None,
        recovering=recovering,
        private_words=host.private_words,
        releases_url=environment.get("GEMMA_SETUP_RELEASES_URL", ""),
        program=program,
        observer=observer,
        cancel=cancel,
    )


def _models_place(named: Place | StrPath | None, host: Host) -> Place | None:
    if isinstance(named, Place):
        return named
    folder, decided_by = (os.fspath(named), "models_dir") if named else ("", "")
    if not folder:
        decided_by = "GEMMA_SETUP_MODELS_DIR"
        folder = host.environment.get(decided_by, "")
    return Place(host.resolver.expand(folder), decided_by) if folder else None


def _check_downloading(options: DownloadOptions) -> None:
    """Refuse what no download can be told to do.

    Raises:
        UsageError: If a number is out of range.
    """
    most = DownloadOptions().most
    if options.connections is not None and not 1 <= options.connections <= most:
        raise UsageError(
            f"connections cannot be {options.connections}.",
            code="bad-argument",
            hint=f"Give a number from 1 to {most}, or leave it out.",
        )
    rate = options.rate_bytes_per_second
    if rate is not None and rate <= 0:
        raise UsageError(
            "rate_bytes_per_second must be positive.",
            code="bad-argument",
            hint="Leave it out for any rate.",
        )


def _check_observer(observer: object) -> None:
    if observer is not None and not isinstance(observer, Observer):
        raise UsageError(
            f"{observer!r} is no observer.",
            code="bad-argument",
            hint="Give an object with the methods stage, download, smoke and note.",
        )
