"""A session in an empty home, at a hub on this machine that has the rehearsal model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from setup_manager.app import planning
from setup_manager.catalog import Model
from setup_manager.library import InstalledModel
from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, model_path
from setup_manager.session import Session, Subject
from tests.app.bench import Bench, bench_at
from tests.app.rehearsed import EMBEDDED, fetch, recorded_as, session_beside
from tests.support.loopback import LoopbackHub


@pytest.fixture
def hub(start_hub: Callable[..., LoopbackHub]) -> LoopbackHub:
    return start_hub({REPOSITORY: {FILE_NAME: model_path()}})


@pytest.fixture
def session(tmp_path: Path, hub: LoopbackHub) -> Session:
    return session_beside(hub, tmp_path / "home")


@pytest.fixture
def bench(home: Path, tmp_path: Path, start_hub: Callable[..., LoopbackHub]) -> Bench:
    return bench_at(home, tmp_path, start_hub)


@pytest.fixture
def model(session: Session) -> Model:
    return Subject(session, VARIANT).model


@pytest.fixture
def installed(session: Session, model: Model) -> InstalledModel:
    """The model after its download."""
    fetch(session)
    return recorded_as(session, model)


@pytest.fixture
def embedded_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded engine is the one runtime that is looked for, and it is here."""
    monkeypatch.setattr(planning, "find_runtimes", lambda _session: EMBEDDED)
