"""Fetching a model: what is wanted, what is planned, what came."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup_manager.app.requests import Files
from setup_manager.app.transfer import begin, fetch, jobs_for
from setup_manager.app.verbs.recover import use_leftovers
from setup_manager.catalog import Model
from setup_manager.download import DownloadPlan, VerifiedFile
from setup_manager.session import Session


@dataclass(frozen=True, kw_only=True)
class Request(Files):
    """What is fetched.

    Attributes:
        model: MODEL argument.
    """

    model: str


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """What a download brought.

    Attributes:
        model: The model.
        files: Its verified files, weights first.
        seconds: How long it took.
        adopted_bytes: Of what was here already, bytes that other tools had left.
    """

    model: Model
    files: tuple[VerifiedFile, ...]
    seconds: float
    adopted_bytes: int = 0

    @property
    def path(self) -> Path:
        """What a runtime is given: the weights, or their first shard."""
        return self.files[0].path

    @property
    def fetched_bytes(self) -> int:
        """Bytes that came over the network."""
        return sum(file.fetched_bytes for file in self.files)

    @property
    def reused_bytes(self) -> int:
        """Bytes that were here already."""
        return sum(file.reused_bytes for file in self.files)

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `download`."""
        return {
            "model": self.model.name,
            "path": str(self.path),
            "files": [
                {
                    "path": str(file.path),
                    "bytes": file.artifact.size_bytes,
                    "sha256": file.artifact.sha256,
                    "commit": file.artifact.commit,
                    "role": file.artifact.role,
                    "repository": file.artifact.repository,
                }
                for file in self.files
            ],
            "fetched_bytes": self.fetched_bytes,
            "reused_bytes": self.reused_bytes,
            "adopted_bytes": self.adopted_bytes,
            "retries": sum(file.retries for file in self.files),
            "seconds": round(self.seconds, 3),
            "verified": True,
        }


def plan_download(
    session: Session, model: Model, *, copied_bytes: int = 0, copied_to: Path | None = None
) -> DownloadPlan:
    """Work out what a download will do, from what is here already.

    Args:
        session: What to work with.
        model: What is wanted.
        copied_bytes: What a runtime's own copies will take at their peak.
        copied_to: Where it keeps them; None for the disk of the files.
    """
    jobs = jobs_for(session, model)
    return session.downloader.plan(jobs, copied_bytes=copied_bytes, copied_to=copied_to)


def plan_document(model: Model, planned: DownloadPlan) -> dict[str, Any]:
    """Return the JSON form of a plan."""
    return {
        "model": model.name,
        "files": [
            {
                "repository": file.artifact.repository,
                "path": file.artifact.path,
                "bytes": file.artifact.size_bytes,
                "sha256": file.artifact.sha256,
                "commit": file.artifact.commit,
                "installed": file.installed,
                "fetch_bytes": file.fetch_bytes,
            }
            for file in planned.files
        ],
        "fetch_bytes": planned.fetch_bytes,
        "reuse_bytes": planned.reuse_bytes,
        "write_bytes": planned.write_bytes,
        "copied_bytes": planned.copied_bytes,
        "peak_disk_bytes": planned.peak_disk_bytes,
    }


def download(session: Session, model: Model, planned: DownloadPlan) -> DownloadResult:
    """Carry a plan out, verify and record the model; goes on from whatever is here.

    Raises:
        SetupError: As `Downloader.execute` says; what came is kept.
    """
    started = time.monotonic()
    entry = begin(session, model)
    adopted_bytes = 0
    if planned.fetch_bytes and session.recovering:
        adopted_bytes = use_leftovers(session, model)
    files = fetch(session, entry, planned)
    return DownloadResult(model, files, time.monotonic() - started, adopted_bytes)
