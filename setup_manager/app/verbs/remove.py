"""Taking out what was put in, and nothing else.

Deleting happens in an order that a crash cannot hurt: registrations first, then files, then the
record, so that what is left is still known. A file that another model shares, or that was there
before this tool came, stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from setup_manager.app.folders import delete_files
from setup_manager.app.installed import find_recorded
from setup_manager.app.verbs.register import unregister
from setup_manager.errors import RuntimeMissingError
from setup_manager.library import (
    InstalledFile,
    InstalledModel,
    Registration,
)
from setup_manager.session import Session


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
class Plan:
    """What removing a model will take out, and what stays.

    Attributes:
        model: The model.
        registrations: Will be undone.
        files: Will be deleted.
        kept: Files that stay, and why.
        forget: Go on without a runtime that does not answer.
    """

    model: InstalledModel
    registrations: tuple[Registration, ...]
    files: tuple[InstalledFile, ...]
    kept: tuple[tuple[InstalledFile, str], ...]
    forget: bool = False

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


@dataclass(frozen=True, slots=True)
class Result:
    """What a removal did.

    Attributes:
        plan: What was to go.
        freed_bytes: Bytes that became free.
    """

    plan: Plan
    freed_bytes: int

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `remove`."""
        return {**self.plan.document(), "freed_bytes": self.freed_bytes}


def plan(session: Session, request: Request) -> Plan:
    """Work out what removing a model will do.

    Raises:
        UsageError: If it is not installed.
    """
    model = find_recorded(session, request.model)
    files, kept = [], []
    for file in model.files:
        others = session.inventory.others_using(file, model.name)
        if others:
            kept.append((file, f"also belongs to {', '.join(others)}"))
        elif not file.ours:
            kept.append((file, "not installed by gemma-setup"))
        else:
            files.append(file)
    return Plan(model, model.registrations, tuple(files), tuple(kept), request.forget)


def run(session: Session, plan: Plan) -> Result:
    """Carry out a removal; can be run again after any interruption.

    Raises:
        RuntimeMissingError: If a runtime does not answer and is not to be forgotten.
        SetupError: If a runtime refuses or a folder cannot be written.
    """
    model = plan.model
    for registration in plan.registrations:
        try:
            unregister(session, model, registration)
        except RuntimeMissingError as error:
            if not plan.forget:
                raise _without_runtime(error, registration) from error
        model = model.without_registration(registration)
    freed = 0
    for file in plan.files:
        layout = file.folder
        freed += layout.remove(file.artifact)
        places = layout.places(file.artifact)
        freed += delete_files((places.partial, places.journal))
    session.history.forget(model.name)
    session.inventory.forget(model.name)
    return Result(plan, freed)


def _without_runtime(error: RuntimeMissingError, registration: Registration) -> RuntimeMissingError:
    return RuntimeMissingError(
        error.message,
        context=(*error.context, f"{registration.name} is registered there; nothing was removed"),
        hint=f"{error.hint} If {registration.runtime} is gone for good, add --forget.",
    )
