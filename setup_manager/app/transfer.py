"""Fetching files by the engine, with the inventory told before and after."""

from __future__ import annotations

from datetime import UTC, datetime

from setup_manager.catalog import Model
from setup_manager.download import DownloadPlan, FileJob, VerifiedFile
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
    session: Session, entry: InstalledModel, planned: DownloadPlan
) -> tuple[VerifiedFile, ...]:
    """Fetch a model's files as planned and record that they are here.

    Args:
        session: What to work with.
        entry: What `begin` returned.
        planned: What is to be fetched.

    Raises:
        SetupError: As `Downloader.execute` says; what came is kept.
    """
    files = session.downloader.execute(planned)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    session.inventory.record_end(entry, files, installed_at=now)
    return files
