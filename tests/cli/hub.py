"""A loopback hub with the rehearsal model, and the catalogue file that goes with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, catalog_path
from tests.support.loopback import LoopbackHub


def catalog_file(folder: Path, hub: LoopbackHub, **changes: Any) -> Path:
    """Write a catalogue of the one model as this hub has it; `changes` go into its file entry."""
    artifact = hub.artifact(REPOSITORY, FILE_NAME)
    document = json.loads(catalog_path().read_text("utf-8"))
    identity = {name: getattr(artifact, name) for name in ("commit", "size_bytes", "sha256")}
    document["files"][0] |= {**identity, **changes}
    path = folder / "catalog.json"
    path.write_text(json.dumps(document))
    return path


def environment_for(hub: LoopbackHub, catalog: Path) -> Mapping[str, str]:
    """Point the program at a hub and a catalogue."""
    return {"HF_ENDPOINT": hub.endpoint, "GEMMA_SETUP_CATALOG": str(catalog)}


def sha256_of(path: Path) -> str:
    """Hash a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
