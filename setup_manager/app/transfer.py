"""Fetching files by the engine, with the inventory told before and after."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from setup_manager.catalog import Model
from setup_manager.download import FileJob, VerifiedFile
from setup_manager.download import fetch as fetch_files
from setup_manager.library import InstalledModel
from setup_manager.session import Session


def jobs_for(session: Session, model: Model) -> tuple[FileJob, ...]:
    """Say what is to be fetched from where."""
    return tuple(FileJob(artifact, session.origins) for artifact in model.artifacts)


def begin(session: Session, model: Model) -> InstalledModel:
    """Record what is about to come, before anything of it is here.

    Raises:
        SetupError: If the state folder cannot be written.
    """
    paths = {artifact: session.layout.places(artifact).visible for artifact in model.artifacts}
    return session.inventory.record_start(model, paths)


def fetch(
    session: Session, model: Model, entry: InstalledModel, *, copied_bytes: int = 0
) -> tuple[VerifiedFile, ...]:
    """Fetch a model's files and record that they are here.

    Args:
        session: What to work with.
        model: What is wanted.
        entry: What `begin` returned.
        copied_bytes: What a runtime's own copy will take on the same disk.

    Raises:
        SetupError: As `engine.fetch` says; what came is kept.
    """
    files = fetch_files(
        jobs_for(session, model),
        session.layout,
        replace(session.downloading, extra_bytes=copied_bytes),
        session.observer.download,
        session.network,
        session.cancel,
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    session.inventory.record_end(entry, files, installed_at=now)
    return files
