"""Taking out what was put in, and nothing else.

Deleting happens in an order that a crash cannot hurt: registrations first, then files, then the
record, so that what is left is still known. A file that another model shares, or that was there
before this tool came, stays.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup_manager.app.folders import layout_of
from setup_manager.app.record import history_of
from setup_manager.app.verbs.register import unregister
from setup_manager.errors import RuntimeMissingError, SetupError
from setup_manager.fs import FileLock, LockedError
from setup_manager.library import (
    HubCacheLayout,
    InstalledFile,
    InstalledModel,
    PlainFolderLayout,
    Registration,
)
from setup_manager.session import Session
from setup_manager.units import format_size


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is removed.

    Attributes:
        model: MODEL argument of an installed model.
        forget: Go on without a runtime that does not answer, e.g. because it was uninstalled.
    """

    model: str
    forget: bool = False


@dataclass(frozen=True, slots=True)
class RemovePlan:
    """What removing a model will take out, and what stays.

    Attributes:
        model: The model.
        registrations: Will be undone.
        files: Will be deleted.
        kept: Files that stay, and why.
    """

    model: InstalledModel
    registrations: tuple[Registration, ...]
    files: tuple[InstalledFile, ...]
    kept: tuple[tuple[InstalledFile, str], ...]

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `remove`."""
        return {
            "model": self.model.name,
            "registrations": [
                {"runtime": entry.runtime, "name": entry.name} for entry in self.registrations
            ],
            "files": [
                {"path": str(file.path), "bytes": file.artifact.size_bytes} for file in self.files
            ],
            "kept": [{"path": str(file.path), "reason": why} for file, why in self.kept],
        }


def plan_removal(session: Session, model: InstalledModel) -> RemovePlan:
    """Work out what removing a model will do."""
    files, kept = [], []
    for file in model.files:
        others = session.inventory.others_using(file, model.name)
        if others:
            kept.append((file, f"also belongs to {', '.join(others)}"))
        elif not file.ours:
            kept.append((file, "was here before gemma-setup came"))
        else:
            files.append(file)
    return RemovePlan(model, model.registrations, tuple(files), tuple(kept))


def remove(session: Session, plan: RemovePlan, *, forget: bool = False) -> int:
    """Carry out a removal; can be run again after any interruption.

    Args:
        session: What to work with.
        plan: What is to go.
        forget: Go on without a runtime that does not answer, e.g. because it was uninstalled.

    Returns:
        Bytes that became free.

    Raises:
        RuntimeMissingError: If a runtime does not answer and is not to be forgotten.
        SetupError: If a runtime refuses or a folder cannot be written.
    """
    model = plan.model
    for registration in plan.registrations:
        try:
            unregister(session, model, registration)
        except RuntimeMissingError as error:
            if not forget:
                raise _without_runtime(error, registration) from error
        model = model.without_registration(registration)
    freed = 0
    for file in plan.files:
        layout = layout_of(file)
        freed += layout.remove(file.artifact)
        places = layout.places(file.artifact)
        freed += _delete((places.partial, places.journal))
    history_of(session).forget(model.name)
    session.inventory.forget(model.name)
    return freed


def _without_runtime(error: RuntimeMissingError, registration: Registration) -> RuntimeMissingError:
    return RuntimeMissingError(
        error.message,
        context=(*error.context, f"{registration.name} is registered there; nothing was removed"),
        hint=f"{error.hint} If {registration.runtime} is gone for good, add --forget.",
    )


@dataclass(frozen=True, slots=True)
class Litter:
    """Something that may go.

    Attributes:
        path: The file or folder.
        size_bytes: What it takes on disk.
        reason: What it is.
        lock: Held by whoever works on it, None where nobody can.
    """

    path: Path
    size_bytes: int
    reason: str
    lock: Path | None = None


def find_litter(session: Session) -> tuple[Litter, ...]:
    """List partial downloads and what interrupted work of this tool left."""
    litter = []
    for layout in (*_layouts(session), session.builds.archives):
        for partial in layout.partials():
            journal = partial.with_name(f"{partial.name}.journal")
            size = _allocated(partial) + _allocated(journal)
            litter.append(Litter(partial, size, "a partial download", layout.lock_of(partial)))
    litter += [
        Litter(path, _tree_bytes(path), "an unfinished llama.cpp build")
        for path in session.builds.leftovers()
    ]
    return tuple({item.path: item for item in litter}.values())


def clean(litter: Sequence[Litter]) -> tuple[int, tuple[Path, ...]]:
    """Delete litter, journals with their partials; what somebody works on stays.

    Returns:
        Bytes that became free, and the paths that are in use and stay.

    Raises:
        SetupError: If something cannot be deleted.
    """
    freed, busy = 0, []
    for item in litter:
        if item.lock is None:
            shutil.rmtree(item.path, ignore_errors=True)
            freed += item.size_bytes
            continue
        try:
            with FileLock(item.lock, wait=False):
                freed += _delete((item.path, item.path.with_name(f"{item.path.name}.journal")))
        except LockedError:
            busy.append(item.path)
    return freed, tuple(busy)


def forget_unfinished(session: Session) -> tuple[str, ...]:
    """Forget models whose download never ended and of which nothing is here any more."""
    gone = [
        model.name
        for model in session.inventory.models()
        if not model.registrations and not any(file.path.exists() for file in model.files)
    ]
    for name in gone:
        session.inventory.forget(name)
    return tuple(gone)


def _layouts(session: Session) -> tuple[HubCacheLayout | PlainFolderLayout, ...]:
    """List every folder that downloads may have gone to."""
    roots: dict[Path, HubCacheLayout | PlainFolderLayout] = {session.layout.root: session.layout}
    hub_cache = HubCacheLayout(session.paths.hub_cache.path)
    roots.setdefault(hub_cache.root, hub_cache)
    for model in session.inventory.models():
        for file in model.files:
            layout = layout_of(file)
            roots.setdefault(layout.root, layout)
    return tuple(roots.values())


def _delete(paths: Sequence[Path]) -> int:
    freed = 0
    for path in paths:
        size = _allocated(path)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise SetupError(
                f"{path} cannot be deleted.",
                code="folder-not-writable",
                context=[error.strerror or str(error), format_size(size)],
                hint="Check who owns the folder, and run the same command again.",
            ) from error
        freed += size
    return freed


def _allocated(path: Path) -> int:
    """Bytes that a file takes on disk; a sparse one takes less than its length."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    blocks = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else blocks * 512


def _tree_bytes(folder: Path) -> int:
    return sum(_allocated(path) for path in folder.rglob("*"))
