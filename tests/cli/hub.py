"""A loopback hub with the rehearsal model, and the catalogue file that goes with it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from setup_manager.rehearsal.loopback import LoopbackHub
from setup_manager.rehearsal.model import (
    FILE_NAME,
    QUANTIZATION,
    REPOSITORY,
    VARIANT,
    rehearsal_catalog,
)


def catalog_file(folder: Path, hub: LoopbackHub, **changes: Any) -> Path:
    """Write a catalogue of the one model as this hub has it; `changes` go into its file entry."""
    artifact = hub.artifact(REPOSITORY, FILE_NAME)
    variant = rehearsal_catalog(artifact.commit).variants[VARIANT]
    document = {
        "schema": 1,
        "variants": {VARIANT: _variant(dataclasses.asdict(variant))},
        "files": [
            {
                "variant": VARIANT,
                "quantization": QUANTIZATION,
                "qat": False,
                "role": "weights",
                "repository": REPOSITORY,
                "path": FILE_NAME,
                "commit": artifact.commit,
                "size_bytes": artifact.size_bytes,
                "sha256": artifact.sha256,
                "superseded": False,
                **changes,
            }
        ],
    }
    path = folder / "catalog.json"
    path.write_text(json.dumps(document))
    return path


def _variant(document: dict[str, Any]) -> dict[str, Any]:
    del document["key"]
    return document


def environment_for(hub: LoopbackHub, catalog: Path) -> Mapping[str, str]:
    """Point the program at a hub and a catalogue."""
    return {"HF_ENDPOINT": hub.endpoint, "GEMMA_SETUP_CATALOG": str(catalog)}


def sha256_of(path: Path) -> str:
    """Hash a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
