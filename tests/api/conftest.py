"""A hub on this machine with the rehearsal model, and a catalogue file that names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from setup_manager.rehearsal.loopback import LoopbackHub
from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, model_path, rehearsal_catalog


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a program finds: a hub, and the variables that lead to it."""

    hub: LoopbackHub
    environment: dict[str, str]


@pytest.fixture
def surroundings(home: Path, tmp_path: Path, start_hub: Callable[..., LoopbackHub]) -> Surroundings:
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}})
    catalog = tmp_path / "catalog.json"
    commit = hub.artifact(REPOSITORY, FILE_NAME).commit
    catalog.write_text(json.dumps(catalog_document(commit)), "utf-8")
    environment = {
        "HOME": str(home),
        "PATH": "/nonexistent",
        "HF_ENDPOINT": hub.endpoint,
        "GEMMA_SETUP_CATALOG": str(catalog),
        # No server of the developer's may be found: nobody listens there.
        "OLLAMA_HOST": "127.0.0.1:9",
    }
    return Surroundings(hub, environment)


def catalog_document(commit: str) -> dict[str, object]:
    """Write the rehearsal's catalogue in the form of a file."""
    catalog = rehearsal_catalog(commit)
    variants = {key: asdict(variant) for key, variant in catalog.variants.items()}
    return {"schema": 1, "variants": variants, "files": [asdict(file) for file in catalog.files]}
