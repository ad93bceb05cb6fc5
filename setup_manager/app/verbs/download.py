"""Fetching a model: what is wanted, what is planned, what came."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from setup_manager.app.contract import Document
from setup_manager.app.record import recorded
from setup_manager.app.requests import Files
from setup_manager.app.transfer import plan_transfer, transfer
from setup_manager.app.verbs.recover import use_leftovers
from setup_manager.catalog import Model, Role
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
class File:
    """A file that is here and verified.

    Attributes:
        path: Where a user finds it.
        bytes: Length.
        sha256: Of its content.
        commit: Where its repository has it.
        role: What it is for.
        repository: ``org/name``.
    """

    path: Path
    bytes: int
    sha256: str
    commit: str
    role: Role
    repository: str

    @classmethod
    def of(cls, file: VerifiedFile) -> Self:
        """Describe a verified file."""
        known = file.artifact
        return cls(
            file.path, known.size_bytes, known.sha256, known.commit, known.role, known.repository
        )


@dataclass(frozen=True, slots=True)
class Result(Document):
    """What a download brought.

    Attributes:
        model: Canonical name of the model.
        path: What a runtime is given: the weights, or their first shard.
        files: Its files, weights first.
        fetched_bytes: Bytes that came over the network.
        reused_bytes: Bytes that were already here.
        adopted_bytes: Of these, bytes that other tools had left.
        retries: Requests that were made again.
        seconds: How long it took.
        verified: Every file has the digest that it is held to.
    """

    model: str
    path: Path
    files: tuple[File, ...]
    fetched_bytes: int
    reused_bytes: int
    adopted_bytes: int
    retries: int
    seconds: float
    verified: bool = True

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.bytes for file in self.files)


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
        return carry_out(session, plan)[1]


def carry_out(session: Session, plan: Plan) -> tuple[InstalledModel, Result]:
    """Do what `run` does, without a record for the report.

    Returns:
        The model as it is recorded now, and what came.
    """
    started = time.monotonic()
    adopted_bytes = 0

    def adopt() -> None:
        nonlocal adopted_bytes
        if plan.files.fetch_bytes and session.recovering:
            adopted_bytes = use_leftovers(session, plan.model)

    installed, files = transfer(session, plan.model, plan.files, adopt)
    return installed, Result(
        model=plan.model.name,
        path=files[0].path,
        files=tuple(map(File.of, files)),
        fetched_bytes=sum(file.fetched_bytes for file in files),
        reused_bytes=sum(file.reused_bytes for file in files),
        adopted_bytes=adopted_bytes,
        retries=sum(file.retries for file in files),
        seconds=round(time.monotonic() - started, 3),
    )
