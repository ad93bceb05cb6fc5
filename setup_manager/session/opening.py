"""Opening a session: from an environment and what was asked for to what the work needs."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from setup_manager.download import DownloadOptions
from setup_manager.library import Host, Place
from setup_manager.net import HubAccess, NetworkOptions
from setup_manager.runtimes.releases import RELEASES_URL
from setup_manager.session.events import Observer
from setup_manager.session.session import Session


def open_session(
    host: Host,
    *,
    models_dir: Place | None = None,
    catalog_path: Path | None = None,
    mirrors: tuple[str, ...] = (),
    downloading: DownloadOptions | None = None,
    recovering: bool = True,
    observer: Observer | None = None,
    cancel: threading.Event | None = None,
) -> Session:
    """Gather what a command works with; nothing is read from disk but the hub's token.

    Args:
        host: The system, its user and the environment variables.
        models_dir: A plain folder for models instead of the hub cache.
        catalog_path: Another catalogue than the package's.
        mirrors: Base URLs of other hubs with the same files.
        downloading: How a download behaves; where it keeps its checks is filled in here.
        recovering: Whether downloads look for what other tools left.
        observer: Who is told how the work goes.
        cancel: Set when the work is to stop.

    Raises:
        AccessDeniedError: If the hub's token cannot be one.
        UsageError: If a folder is needed below a home folder and there is none.
    """
    environment = host.environment
    paths = host.paths(models_dir)
    return Session(
        paths,
        environment=environment,
        home=host.home,
        hub=HubAccess.from_environment(environment, host.resolver.hub_home(), mirrors),
        network=NetworkOptions.from_environment(environment),
        downloading=replace(
            downloading or DownloadOptions(),
            checks_dir=paths.state.path / "checks",
        ),
        catalog_path=catalog_path,
        recovering=recovering,
        private_words=host.private_words,
        releases_url=environment.get("GEMMA_SETUP_RELEASES_URL") or RELEASES_URL,
        observer=observer,
        cancel=cancel,
    )
