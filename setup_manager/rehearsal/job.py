"""The rehearsal: the whole job on a tiny real model, from a loopback hub over a bad line.

Everything but the hub and the model is what `install` uses. All of it happens in a temporary
folder, which goes when the rehearsal ends, however it ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from setup_manager.app import install
from setup_manager.errors import SetupError
from setup_manager.library import Paths, Place
from setup_manager.net import HubAccess
from setup_manager.rehearsal.faults import BadLine
from setup_manager.rehearsal.loopback import LoopbackHub
from setup_manager.rehearsal.model import (
    FILE_NAME,
    REPOSITORY,
    VARIANT,
    model_path,
    rehearsal_catalog,
)
from setup_manager.session import Session

# Shorter than for a real hub, so that the stall of the bad line is noticed while people watch.
_STALL_SECONDS = 2.0
_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class RehearsalResult:
    """How a rehearsal went.

    Attributes:
        install: How far the installation came.
        error: What stopped it, or None.
        mishaps: What the line did, in order.
        served_bytes: What the hub sent in all.
        file_bytes: Length of the model.
    """

    install: install.Progress
    error: SetupError | None
    mishaps: tuple[str, ...]
    served_bytes: int
    file_bytes: int

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `rehearse`."""
        return {
            **self.install.document(),
            "mishaps": list(self.mishaps),
            "served_bytes": self.served_bytes,
            "file_bytes": self.file_bytes,
        }


def rehearse(session: Session, runtime: str) -> RehearsalResult:
    """Do the whole job, and leave nothing behind.

    Args:
        session: The user's own; its folders are not touched.
        runtime: What is to run the model, or ``"auto"``.

    Raises:
        SetupError: If the temporary folder cannot be made.
    """
    with _temporary_folder(session.paths.temporary.path) as folder:
        hub = LoopbackHub({REPOSITORY: {FILE_NAME: model_path()}}, faults=[BadLine()])
        with hub:
            rehearsing = _session_in(folder, session, hub)
            request = install.Request(model=VARIANT, context=4096, runtime=runtime)
            came, error = _install(rehearsing, request)
            mishaps = tuple(exchange.fault for exchange in hub.requests if exchange.fault)
            size = model_path().stat().st_size
            return RehearsalResult(came, error, mishaps, hub.served_bytes, size)


def _install(
    session: Session, request: install.Request
) -> tuple[install.Progress, SetupError | None]:
    try:
        return install.run(session, install.plan(session, request)), None
    except SetupError as error:
        if not isinstance(error.partial, install.Progress):
            raise
        return error.partial, error


@contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(
            prefix="gemma-setup-rehearsal-", dir=parent, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise SetupError(
            "No temporary folder can be made.",
            code="no-temporary-folder",
            context=[f"{parent}: {error.strerror or error}"],
            hint="Set TMPDIR to a folder that is writable.",
        ) from error
    with folder as name:
        yield Path(name)


def _session_in(folder: Path, session: Session, hub: LoopbackHub) -> Session:
    """Make a session in which every folder is temporary and the hub is the loopback one."""

    def place(name: str) -> Place:
        return Place(folder / name, "the rehearsal")

    paths = Paths(
        hub_cache=place("hub"),
        models=None,
        config_file=place("config.toml"),
        data=place("data"),
        state=place("state"),
        ollama_models=session.paths.ollama_models,
        temporary=session.paths.temporary,
    )
    commit = hub.artifact(REPOSITORY, FILE_NAME).commit
    rehearsing = Session(
        paths,
        environment=_without_hub_settings(session.environment),
        home=session.home,
        hub=HubAccess(hub.endpoint),
        # No proxy stands between a machine and itself.
        network=replace(
            session.network,
            proxies={},
            ca_bundle=None,
            variables={},
            offline=False,
            stall_seconds=_STALL_SECONDS,
        ),
        downloading=replace(
            session.downloading,
            chunk_bytes=_CHUNK_BYTES,
            checks_dir=folder / "checks",
        ),
        # Nothing of the user's own is looked at.
        recovering=False,
        observer=session.observer,
        cancel=session.cancel,
    )
    rehearsing.catalog = rehearsal_catalog(commit)
    return rehearsing


def _without_hub_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("HF_")}
