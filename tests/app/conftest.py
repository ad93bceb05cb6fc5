"""A session in an empty home, at a hub on this machine that has the rehearsal model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from setup_manager.app.verbs.download import download
from setup_manager.catalog.artifact import Model
from setup_manager.download.events import DownloadEvent
from setup_manager.errors import InterruptedByUserError
from setup_manager.library.inventory import InstalledModel
from setup_manager.rehearsal.loopback import LoopbackHub
from setup_manager.rehearsal.model import (
    FILE_NAME,
    REPOSITORY,
    VARIANT,
    model_path,
    rehearsal_catalog,
)
from setup_manager.session.events import Silence
from setup_manager.session.session import Session
from setup_manager.session.subject import Subject
from tests.fit.machines import cpu_machine
from tests.support.sessions import session_at

CONTENT = model_path().read_bytes()
SIZE = len(CONTENT)


@pytest.fixture
def hub(start_hub: Callable[..., LoopbackHub]) -> LoopbackHub:
    return start_hub({REPOSITORY: {FILE_NAME: model_path()}})


@pytest.fixture
def session(tmp_path: Path, hub: LoopbackHub) -> Session:
    session = session_at(tmp_path / "home", hub.endpoint)
    session.catalog = rehearsal_catalog(hub.artifact(REPOSITORY, FILE_NAME).commit)
    session.machine = cpu_machine(8.0, 16.0)
    return session


@pytest.fixture
def model(session: Session) -> Model:
    return Subject(session, VARIANT).model


@pytest.fixture
def installed(session: Session, model: Model) -> InstalledModel:
    """The model after its download."""
    download(session, model)
    return recorded_as(session, model)


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


def stop_halfway(session: Session, model: Model) -> None:
    """Begin a download, stop it in the middle, and leave the session as it was."""
    downloading, observer = session.downloading, session.observer
    session.downloading = replace(
        downloading, progress_seconds=0.0, rate_bytes_per_second=600_000, connections=2
    )
    session.observer = StopAfter(session, SIZE // 2)
    with pytest.raises(InterruptedByUserError):
        download(session, model)
    session.downloading, session.observer = downloading, observer
    session.cancel.clear()
