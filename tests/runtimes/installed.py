"""Installed models and a place for runtimes, without the rest of the program."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from setup_manager.catalog.artifact import Artifact, Role
from setup_manager.library.inventory import InstalledFile, InstalledModel, Inventory
from setup_manager.library.layout import HubCacheLayout
from setup_manager.library.paths import Paths, resolve_paths


@dataclass(frozen=True)
class Place:
    """Surroundings of a runtime: a home of its own, and the variables that it sees."""

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> Paths:
        return resolve_paths(
            self.environment, os_name="linux", home=self.home, temporary=self.home / "tmp"
        )

    @property
    def inventory(self) -> Inventory:
        return Inventory(self.paths.state.path / "inventory")

    @property
    def layout(self) -> HubCacheLayout:
        return HubCacheLayout(self.paths.hub_cache.path)


def installed(
    weights: Path,
    projector: Path | None = None,
    drafter: Path | None = None,
    *,
    variant: str = "e2b",
) -> InstalledModel:
    """A model of these files, as the inventory would record it; they need not be there."""
    paths = {Role.WEIGHTS: weights, Role.PROJECTOR: projector, Role.DRAFTER: drafter}
    files = tuple(_file(path, role) for role, path in paths.items() if path is not None)
    return InstalledModel(f"{variant}:F16", variant, "F16", False, "org/gemma", files)


def _file(path: Path, role: Role) -> InstalledFile:
    content = path.read_bytes() if path.exists() else b""
    digest = hashlib.sha256(content).hexdigest()
    artifact = Artifact("org/gemma", path.name, "0" * 40, len(content), digest, role)
    return InstalledFile(artifact, path)
