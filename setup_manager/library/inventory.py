"""The inventory: which models this tool put where, and where it registered them.

One small file a model, each replaced as a whole, and changed only under the inventory's lock, so
that two processes neither tear nor forget each other's changes. The truth about bytes stays with
the files themselves: an entry whose files are gone is shown as such and never believed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from setup_manager.catalog import Artifact, Model, Role
from setup_manager.download import VerifiedFile
from setup_manager.errors import SetupError
from setup_manager.fs import explain_unwritable
from setup_manager.library.layout import ModelFolder, folder_holding
from setup_manager.library.records import read_record, write_record


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A file of a model.

    Attributes:
        artifact: What it is held to.
        path: Where a user finds it.
        ours: Whether this tool put it there; a file that was there before is never removed.
    """

    artifact: Artifact
    path: Path
    ours: bool = True

    @property
    def present(self) -> bool:
        """Whether the file is there with the right length."""
        try:
            return self.path.stat().st_size == self.artifact.size_bytes
        except OSError:
            return False

    @property
    def folder(self) -> ModelFolder:
        """The folder of models that it lies in."""
        return folder_holding(self.path, self.artifact)

    @property
    def arrived_bytes(self) -> int:
        """How much of it is here: all, or what a download that has not ended has kept."""
        from setup_manager.download import Downloader, FileJob

        try:
            return Downloader(self.folder).plan([FileJob(self.artifact, ())]).reuse_bytes
        except SetupError:  # a record that was edited
            return 0


@dataclass(frozen=True, slots=True)
class Registration:
    """A runtime that knows a model.

    Attributes:
        runtime: Name of the runtime.
        name: What the runtime calls it.
        details: What undoing it needs; ``endpoint`` of a runtime that may have several servers.
    """

    runtime: str
    name: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str, str]:
        """What tells it from another: a name is taken once on each server."""
        return self.runtime, str(self.details.get("endpoint", "")), self.name


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model as the inventory records it.

    Attributes:
        name: Canonical MODEL argument.
        variant: Variant key, or None.
        quantization: Label.
        qat: Whether the weights were trained for this quantization.
        repository: Where the weights come from, ``org/name``.
        files: Its files, weights first; none where a runtime fetched the model by itself.
        registrations: Where it is registered.
        last_smoke: The last smoke result, or None.
        installed_at: RFC 3339 time of the last download, ``""`` while the first is under way.
    """

    name: str
    variant: str | None
    quantization: str
    qat: bool
    repository: str
    files: tuple[InstalledFile, ...]
    registrations: tuple[Registration, ...] = ()
    last_smoke: Mapping[str, Any] | None = None
    installed_at: str = ""

    @property
    def complete(self) -> bool:
        """Whether every file is there; a projector or drafter alone is no model."""
        if self.files and self.file(Role.WEIGHTS) is None:
            return False
        return all(file.present for file in self.files)

    @property
    def unfinished(self) -> tuple[InstalledFile, ...]:
        """Files that a download was to bring and has not brought, as opposed to files that went."""
        return tuple(
            file
            for file in self.files
            if not file.present and (not self.installed_at or file.arrived_bytes)
        )

    @property
    def weights(self) -> InstalledFile:
        """The first weights file, which is what a runtime is given; a lone companion as it is."""
        return self.file(Role.WEIGHTS) or self.files[0]

    def file(self, role: Role) -> InstalledFile | None:
        """Find the first file of a role."""
        return next((file for file in self.files if file.artifact.role is role), None)

    def registration(self, runtime: str, name: str | None = None) -> Registration | None:
        """Find the latest registration with a runtime, or the one of a name."""
        found = (r for r in reversed(self.registrations) if r.runtime == runtime)
        return next((r for r in found if name in {None, r.name}), None)

    def with_registration(self, registration: Registration) -> InstalledModel:
        """Record a registration in place of an earlier one of the same identity."""
        others = self.without_registration(registration).registrations
        return replace(self, registrations=(*others, registration))

    def without_registration(self, registration: Registration) -> InstalledModel:
        """Forget a registration."""
        kept = tuple(r for r in self.registrations if r.identity != registration.identity)
        return replace(self, registrations=kept)


class Inventory:
    """The folder of records.

    Args:
        folder: Where the records lie; made when first written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def models(self) -> tuple[InstalledModel, ...]:
        """Read every record that can be read, by name."""
        if not self._folder.is_dir():
            return ()
        records = (
            read_record(path, InstalledModel) for path in sorted(self._folder.glob("*.json"))
        )
        return tuple(sorted((r for r in records if r is not None), key=lambda r: r.name))

    def find(self, name: str) -> InstalledModel | None:
        """Read the record of a model."""
        return read_record(self._path(name), InstalledModel)

    def record_start(self, model: Model, paths: Mapping[Artifact, Path]) -> InstalledModel:
        """Record what a download is about to bring, and which files are there already.

        Args:
            model: What is wanted.
            paths: Where each file will be found.

        Raises:
            SetupError: If the state folder cannot be written.
        """
        with self._locked():
            entry = _started(model, paths, self.find(model.name))
            self._save(entry)
        return entry

    def record_end(
        self, entry: InstalledModel, files: tuple[VerifiedFile, ...], *, installed_at: str
    ) -> InstalledModel:
        """Record that a download is complete.

        Args:
            entry: What `record_start` returned.
            files: The verified files.
            installed_at: RFC 3339 time.

        Raises:
            SetupError: If the state folder cannot be written.
        """
        return self.update(entry, lambda now: _ended(now, files, installed_at))

    def save(self, model: InstalledModel) -> None:
        """Write a record in place of the one that is there.

        Raises:
            SetupError: If the state folder cannot be written.
        """
        self.update(model, lambda _: model)

    def update(
        self, model: InstalledModel, change: Callable[[InstalledModel], InstalledModel]
    ) -> InstalledModel:
        """Change a record as it is now, so that what another process wrote is kept.

        Args:
            model: Which; what it says counts where there is no record of it.
            change: Makes the new record from the one that is there.

        Raises:
            SetupError: If the state folder cannot be written.
        """
        with self._locked():
            changed = change(self.find(model.name) or model)
            self._save(changed)
        return changed

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from setup_manager.fs import FileLock  # imports filelock, which takes a while

        with explain_unwritable(self._folder), FileLock(self._folder / ".lock"):
            yield

    def _save(self, model: InstalledModel) -> None:
        write_record(self._path(model.name), model)

    def forget(self, name: str) -> None:
        """Drop a record; nothing happens where there is none."""
        self._path(name).unlink(missing_ok=True)

    def others_using(self, file: InstalledFile, name: str) -> tuple[str, ...]:
        """Name the other models that a file belongs to."""
        return tuple(
            model.name
            for model in self.models()
            if model.name != name and any(other.path == file.path for other in model.files)
        )

    def _path(self, name: str) -> Path:
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:80]
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        return self._folder / f"{readable}.{digest}.json"


def _started(
    model: Model, paths: Mapping[Artifact, Path], before: InstalledModel | None
) -> InstalledModel:
    """Make the record of a download that begins; what was known of the model stays."""
    known = {file.path: file for file in before.files} if before else {}
    wanted = [
        known.get(path) or InstalledFile(artifact, path, ours=not path.exists())
        for artifact, path in paths.items()
    ]
    return InstalledModel(
        name=model.name,
        variant=model.variant,
        quantization=model.quantization,
        qat=model.qat,
        repository=before.repository if before else model.artifacts[0].repository,
        files=_with_companions(wanted, before),
        registrations=before.registrations if before else (),
        last_smoke=before.last_smoke if before else None,
        installed_at=before.installed_at if before else "",
    )


def _ended(now: InstalledModel, files: Sequence[VerifiedFile], installed_at: str) -> InstalledModel:
    ours = {file.artifact: file.ours for file in now.files}
    verified = [
        InstalledFile(file.artifact, file.path, ours.get(file.artifact, True)) for file in files
    ]
    return replace(now, files=_with_companions(verified, now), installed_at=installed_at)


def _with_companions(
    files: Sequence[InstalledFile], before: InstalledModel | None
) -> tuple[InstalledFile, ...]:
    """Keep what an earlier download brought beside these files, weights first."""
    roles = {file.artifact.role for file in files}
    kept = [f for f in before.files if f.artifact.role not in roles] if before else []
    return tuple(sorted((*files, *kept), key=lambda file: file.artifact.role is not Role.WEIGHTS))
