"""Fetching a model: what is wanted, what is planned, what came."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup_manager.app.record import recorded
from setup_manager.app.requests import Files
from setup_manager.app.transfer import plan_transfer, transfer
from setup_manager.app.verbs.recover import use_leftovers
from setup_manager.catalog import Model
from setup_manager.download import DownloadPlan, VerifiedFile
from setup_manager.library import InstalledModel
from setup_manager.session import Session, Subject


@dataclass(frozen=True, kw_only=True)
class Request(Files):
    """What is fetched.

    Attributes:
        model: MODEL argument.
    """

    model: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a download will do.

    Attributes:
        model: The model.
        files: What is fetched, reused and written.
    """

    model: Model
    files: DownloadPlan

    def document(self) -> dict[str, Any]:
        """Return the JSON form of a plan."""
        return {
            "model": self.model.name,
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
                for file in self.files.files
            ],
            "fetch_bytes": self.files.fetch_bytes,
            "reuse_bytes": self.files.reuse_bytes,
            "write_bytes": self.files.write_bytes,
            "copied_bytes": self.files.copied_bytes,
            "peak_disk_bytes": self.files.peak_disk_bytes,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What a download brought.

    Attributes:
        model: The model.
        installed: Its record.
        files: Its verified files, weights first.
        seconds: How long it took.
        adopted_bytes: Of what was here already, bytes that other tools had left.
    """

    model: Model
    installed: InstalledModel
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
        """Bytes that were already here."""
        return sum(file.reused_bytes for file in self.files)

    @property
    def retries(self) -> int:
        """Requests that were made again."""
        return sum(file.retries for file in self.files)

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
            "retries": self.retries,
            "seconds": round(self.seconds, 3),
            "verified": True,
        }


def plan(session: Session, request: Request) -> Plan:
    """Work out what a download will do; asks the hub only for files that are not pinned.

    Raises:
        UsageError: If it is no model.
        InsufficientDiskError: If there is no room for it.
        SetupError: If the hub has to be asked and cannot be.
    """
    model = Subject(session, request.model, request, latest=request.latest).model
    planned = plan_transfer(session, model)
    planned.check_room()
    return Plan(model, planned)


def run(session: Session, plan: Plan) -> Result:
    """Fetch and verify a model and record it; goes on from whatever is here.

    Raises:
        SetupError: As the download engine says; what came is kept.
    """
    with recorded(session, plan.model.name):
        return carry_out(session, plan)


def carry_out(session: Session, plan: Plan) -> Result:
    """Do what `run` does, without a record for the report."""
    started = time.monotonic()
    adopted_bytes = 0

    def adopt() -> None:
        nonlocal adopted_bytes
        if plan.files.fetch_bytes and session.recovering:
            adopted_bytes = use_leftovers(session, plan.model)

    installed, files = transfer(session, plan.model, plan.files, adopt)
    return Result(plan.model, installed, files, time.monotonic() - started, adopted_bytes)
