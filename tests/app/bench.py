"""A hub on this machine with the rehearsal model and a projector, and a session that reaches it."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, model_path
from setup_manager.session import Session, open_session
from tests.cli.hub import catalog_file
from tests.support.loopback import LoopbackHub

PROJECTOR = "mmproj-F16.gguf"
_VALUES = 1 << 18


def projector_content() -> bytes:
    """A small GGUF file of another architecture than a text model's."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    entry = text("general.architecture") + struct.pack("<I", 8) + text("clip")
    tensor = text("v.patch_embd.weight") + struct.pack("<IQIQ", 1, _VALUES, 0, 0)
    header = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + entry + tensor
    return header + bytes(-len(header) % 32) + random.Random(1).randbytes(4 * _VALUES)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a verb works with here.

    Attributes:
        hub: The hub.
        environment: Variables that lead to it.
    """

    hub: LoopbackHub
    environment: dict[str, str]

    @property
    def home(self) -> Path:
        return Path(self.environment["HOME"])

    def session(self, **asked: Any) -> Session:
        """Open a session, with further variables as keywords in capitals."""
        variables = {name: value for name, value in asked.items() if name.isupper()}
        rest = {name: value for name, value in asked.items() if not name.isupper()}
        return open_session({**self.environment, **variables}, **rest)


def bench_at(home: Path, folder: Path, start_hub: Callable[..., LoopbackHub]) -> Bench:
    """Start the hub, and write its catalogue into a folder."""
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path(), PROJECTOR: projector_content()}})
    catalog = catalog_file(folder, hub)
    document = json.loads(catalog.read_text("utf-8"))
    artifact = hub.artifact(REPOSITORY, PROJECTOR)
    document["files"].append(
        {
            **document["files"][0],
            "role": "projector",
            "path": PROJECTOR,
            "commit": artifact.commit,
            "size_bytes": artifact.size_bytes,
            "sha256": artifact.sha256,
        }
    )
    catalog.write_text(json.dumps(document), "utf-8")
    environment = {
        "HOME": str(home),
        "PATH": "/nonexistent",
        "HF_ENDPOINT": hub.endpoint,
        "GEMMA_SETUP_CATALOG": str(catalog),
        # No server of the developer's may be found: nobody listens there.
        "OLLAMA_HOST": "127.0.0.1:9",
    }
    return Bench(hub, environment)
