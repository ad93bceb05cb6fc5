"""A hub on this machine with the rehearsal model, and a catalogue file that names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, catalog_path, model_path
from tests.support.loopback import LoopbackHub


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a program finds: a hub, and the variables that lead to it."""

    hub: LoopbackHub
    environment: dict[str, str]


@pytest.fixture
def surroundings(home: Path, start_hub: Callable[..., LoopbackHub]) -> Surroundings:
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}})
    environment = {
        "HOME": str(home),
        "PATH": "/nonexistent",
        "HF_ENDPOINT": hub.endpoint,
        "GEMMA_SETUP_CATALOG": str(catalog_path()),
        # No server of the developer's may be found: nobody listens there.
        "OLLAMA_HOST": "127.0.0.1:9",
    }
    return Surroundings(hub, environment)
