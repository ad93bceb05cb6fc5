"""A model's files on their way: planned, carried out, and recorded before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from setup_manager.app.folders import layout_of
from setup_manager.catalog import Model
from setup_manager.download import DownloadPlan, FileJob, VerifiedFile, plan_files
from setup_manager.download import check_disk as check_room
from setup_manager.download import fetch as fetch_files
from setup_manager.errors import SetupError
from setup_manager.library import InstalledFile, InstalledModel
from setup_manager.session import Session


def plan_transfer(session: Session, model: Model, *, copied_bytes: int = 0) -> DownloadPlan:
    """Work out what a download will do, from what is here already.

    Args:
        session: What to work with.
        model: What is wanted.
        copied_bytes: What a runtime's own copy will take on the same disk.
    """
    options = replace(session.downloading, extra_bytes=copied_bytes)
    return plan_files(_jobs(session, model), session.layout, options)


def arrived_bytes(session: Session, file: InstalledFile) -> int:
    """Count what is here of a file whose download has not ended; the next one continues there."""
    job = FileJob(file.artifact, session.origins)
    try:
        return plan_files((job,), layout_of(file), session.downloading).reuse_bytes
    except SetupError:  # a record that was edited
        return 0


def check_disk(session: Session, planned: DownloadPlan) -> None:
    """Refuse a plan for which there is no room.

    Raises:
        InsufficientDiskError: With what is needed and what is free.
    """
    check_room(planned, session.paths.download_root, session.downloading)


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
    files = fetch_files(
        _jobs(session, model),
        session.layout,
        replace(session.downloading, extra_bytes=planned.extra_bytes),
        session.observer.download,
        session.network,
        session.cancel,
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return session.inventory.record_end(entry, files, installed_at=now), files


def _jobs(session: Session, model: Model) -> tuple[FileJob, ...]:
    return tuple(FileJob(artifact, session.origins) for artifact in model.artifacts)
