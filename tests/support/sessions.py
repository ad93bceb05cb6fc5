"""A session that lives in one folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from setup_manager.download.job import DownloadOptions
from setup_manager.library.paths import resolve_paths
from setup_manager.net.options import NetworkOptions
from setup_manager.net.origin import HubAccess
from setup_manager.session.session import Session


def session_at(home: Path, endpoint: str = "http://127.0.0.1:9") -> Session:
    """A session that lives in one folder and reaches no hub but the one named."""
    environment = {"HF_HUB_CACHE": str(home / "hub"), "GEMMA_SETUP_HOME": str(home)}
    paths = resolve_paths(environment, os_name="linux", home=home, temporary=home)
    network = NetworkOptions.from_environment({})
    return Session(
        paths,
        environment=environment,
        home=home,
        hub=HubAccess(endpoint),
        network=replace(network, stall_seconds=1.0),
        private_words=("alice",),
        downloading=DownloadOptions(chunk_bytes=128 * 1024, checks_dir=home / "checks"),
    )
