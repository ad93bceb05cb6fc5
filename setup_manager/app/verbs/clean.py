"""Dropping partial downloads and what interrupted work left."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup_manager.app.folders import allocated_bytes, delete_files
from setup_manager.app.verbs.runtime import installable
from setup_manager.fs import FileLock, LockedError
from setup_manager.library import ModelFolder
from setup_manager.session import Session


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything that may go is asked for."""


@dataclass(frozen=True, slots=True)
class Litter:
    """Something that may go.

    Attributes:
        path: The file or folder.
        size_bytes: What it takes on disk.
        reason: What it is.
        lock: Held by whoever works on it.
    """

    path: Path
    size_bytes: int
    reason: str
    lock: Path


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be deleted.

    Attributes:
        found: What may go.
    """

    found: tuple[Litter, ...]

    def document(self) -> dict[str, Any]:
        """Return what of ``data`` is known before anything is done."""
        return {
            "found": [
                {"path": str(item.path), "bytes": item.size_bytes, "reason": item.reason}
                for item in self.found
            ]
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What was deleted.

    Attributes:
        plan: What was to go.
        freed_bytes: Bytes that became free.
        busy: What is in use and stays.
    """

    plan: Plan
    freed_bytes: int = 0
    busy: tuple[Path, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `clean`."""
        busy = [str(path) for path in self.busy]
        return {**self.plan.document(), "freed_bytes": self.freed_bytes, "busy": busy}


def plan(session: Session, request: Request | None = None) -> Plan:
    """List partial downloads and what interrupted work of this tool left."""
    del request  # there is nothing to choose
    builds = installable(session).builds
    archives = builds.archives
    litter = [_partial(path, archives.lock_of(path)) for path in archives.partials()]
    for folder in _folders(session):
        litter += [_partial(path, folder.lock_of(path)) for path in folder.partials()]
    litter += [
        Litter(path, _tree_bytes(path), "an unfinished llama.cpp build", builds.lock)
        for path in builds.leftovers()
    ]
    return Plan(tuple({item.path: item for item in litter}.values()))


def run(session: Session, plan: Plan) -> Result:
    """Delete litter, journals with their partials; what somebody works on stays.

    Models whose download never ended and of which nothing is here any more are forgotten.

    Raises:
        SetupError: If something cannot be deleted.
    """
    freed, busy = 0, []
    for item in plan.found:
        try:
            with FileLock(item.lock, wait=False):
                freed += _drop(item)
        except LockedError:
            busy.append(item.path)
    _forget_unfinished(session)
    return Result(plan, freed, tuple(busy))


def _partial(path: Path, lock: Path) -> Litter:
    size = sum(map(allocated_bytes, (path, _journal_of(path))))
    return Litter(path, size, "a partial download", lock)


def _drop(item: Litter) -> int:
    if item.path.is_dir():
        shutil.rmtree(item.path, ignore_errors=True)
        return item.size_bytes
    return delete_files((item.path, _journal_of(item.path)))


def _journal_of(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.journal")


def _forget_unfinished(session: Session) -> None:
    for model in session.inventory.models():
        if not model.registrations and not any(file.path.exists() for file in model.files):
            session.inventory.forget(model.name)


def _folders(session: Session) -> tuple[ModelFolder, ...]:
    """List every folder that downloads may have gone to."""
    installed = (file.folder for model in session.inventory.models() for file in model.files)
    folders = (session.layout, session.paths.hub_folder, *installed)
    return tuple({folder.root: folder for folder in folders}.values())


def _tree_bytes(folder: Path) -> int:
    return sum(allocated_bytes(path) for path in folder.rglob("*"))
