"""A model's files on their way: planned, carried out, and recorded before and after."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from setup_manager.catalog import Model
from setup_manager.download import DownloadPlan, FileJob, VerifiedFile
from setup_manager.library import InstalledModel
from setup_manager.session import Session


def plan_transfer(
    session: Session, model: Model, *, copied_bytes: int = 0, copied_to: Path | None = None
) -> DownloadPlan:
    """Work out what a download will do, from what is already here.

    Args:
        session: What to work with.
        model: What is wanted.
        copied_bytes: What a runtime's own copies will take at their peak.
        copied_to: Where it keeps them; None for the disk of the files.
    """
    jobs = [FileJob(artifact, session.origins) for artifact in model.artifacts]
    return session.downloader.plan(jobs, copied_bytes=copied_bytes, copied_to=copied_to)


def transfer(
    session: Session,
    model: Model,
    planned: DownloadPlan,
    prepare: Callable[[], None] = lambda: None,
) -> tuple[InstalledModel, tuple[VerifiedFile, ...]]:
    """Fetch a model's files; the inventory knows of them from before the first byte.

    Args:
        session: What to work with.
        model: What is wanted.
        planned: What `plan_transfer` returned.
        prepare: Called once the start is recorded, e.g. to bring what is here by other means.

    Returns:
        The model as it is recorded now, and its files.

    Raises:
        SetupError: As the download engine says; what came is kept.
    """
    paths = {artifact: session.layout.places(artifact).visible for artifact in model.artifacts}
    entry = session.inventory.record_start(model, paths)
    prepare()
    files = session.downloader.execute(planned)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return session.inventory.record_end(entry, files, installed_at=now), files
