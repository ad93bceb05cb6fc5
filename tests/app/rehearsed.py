"""The rehearsal model on its way: a session at its hub, its download, one that stops halfway."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from setup_manager.app import download
from setup_manager.catalog import Model, load_catalog
from setup_manager.download import DownloadEvent
from setup_manager.errors import InterruptedByUserError
from setup_manager.library import InstalledModel
from setup_manager.rehearsal.model import (
    VARIANT,
    catalog_path,
    model_path,
)
from setup_manager.runtimes import RuntimeStatus
from setup_manager.session import Session, Silence
from tests.fit.machines import cpu_machine
from tests.support.loopback import LoopbackHub
from tests.support.sessions import session_at

CONTENT = model_path().read_bytes()
SIZE = len(CONTENT)
ABSENT = tuple(RuntimeStatus(name, found=False) for name in ("llama.cpp", "ollama"))
EMBEDDED = (*ABSENT, RuntimeStatus("embedded", found=True, gemma4=True))


def session_beside(hub: LoopbackHub, home: Path) -> Session:
    """Make a session that knows the rehearsal's catalogue and reaches no server but its hub."""
    session = session_at(home, hub.endpoint)
    # No server of the developer's may be found: nobody listens there.
    session.environment = {**session.environment, "OLLAMA_HOST": "127.0.0.1:9"}
    session.catalog = load_catalog(catalog_path())
    session.machine = cpu_machine(8.0, 16.0)
    return session


def plan_fetch(session: Session) -> download.Plan:
    return download.plan(session, download.Request(model=VARIANT))


def fetch(session: Session) -> download.Result:
    """Download the model."""
    return download.run(session, plan_fetch(session))


def recorded_as(session: Session, model: Model) -> InstalledModel:
    """What the inventory says of a model."""
    found = session.inventory.find(model.name)
    assert found is not None
    return found


class StopAfter(Silence):
    """Passes on how a download goes, and stops the work once so many bytes are here."""

    def __init__(self, session: Session, size_bytes: int) -> None:
        self._session = session
        self._shown = session.observer
        self._size_bytes = size_bytes

    def download(self, event: DownloadEvent) -> None:
        self._shown.download(event)
        if event.bytes >= self._size_bytes:
            self._session.cancel.set()


def stop_halfway(session: Session) -> None:
    """Begin a download, stop it in the middle, and leave the session as it was."""
    downloading, observer = session.downloading, session.observer
    session.downloading = replace(
        downloading, progress_seconds=0.0, rate_bytes_per_second=600_000, connections=2
    )
    session.observer = StopAfter(session, SIZE // 2)
    with pytest.raises(InterruptedByUserError):
        fetch(session)
    session.downloading, session.observer = downloading, observer
    session.cancel.clear()
