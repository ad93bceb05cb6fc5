"""Hashing again what is installed, and mending only what is damaged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from setup_manager.app.installed import canonical_name
from setup_manager.catalog import Artifact
from setup_manager.download import FileCheck, FileJob, VerifiedFile
from setup_manager.errors import UsageError, VerificationFailedError
from setup_manager.library import InstalledFile
from setup_manager.session import Session
from setup_manager.units import format_size


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which files are hashed.

    Attributes:
        model: MODEL argument or the path of a file, None for all that is installed.
        repair: Fetch the damaged chunks again.
    """

    model: str | None = None
    repair: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Which files will be hashed.

    Attributes:
        files: The files.
        unfinished: Those of them that a download has not brought yet.
        repair: Fetch the damaged chunks again, and what is missing.
    """

    files: tuple[InstalledFile, ...]
    unfinished: frozenset[InstalledFile] = frozenset()
    repair: bool = False


@dataclass(frozen=True, slots=True)
class FileResult:
    """One file that was hashed again.

    Attributes:
        file: The file.
        check: What hashing showed.
        repaired: The file after its repair, None if it was not repaired.
        kept_bytes: What a download that has not ended kept of it, None if none is open.
    """

    file: InstalledFile
    check: FileCheck
    repaired: VerifiedFile | None = None
    kept_bytes: int | None = None

    @property
    def right(self) -> bool:
        """Whether it is right now."""
        return self.check.right or self.repaired is not None

    @property
    def partial(self) -> bool:
        """Whether it is not wrong but not here yet."""
        return not self.check.found and self.kept_bytes is not None and not self.right

    def document(self) -> dict[str, Any]:
        """Return an entry of ``data.files``."""
        return {
            "path": str(self.file.path),
            "bytes": self.check.size_bytes,
            "sha256": self.check.sha256,
            "expected_sha256": self.file.artifact.sha256,
            "right": self.right,
            "partial": self.partial,
            "partial_bytes": self.kept_bytes if self.partial else 0,
            "damaged": [{"start": start, "end": end} for start, end in self.check.damaged],
            "fetched_bytes": self.repaired.fetched_bytes if self.repaired else 0,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What hashing showed.

    Attributes:
        files: One entry a file.
    """

    files: tuple[FileResult, ...]

    @property
    def verified(self) -> bool:
        """Whether every file is here and right now."""
        return all(file.right for file in self.files)

    @property
    def error(self) -> VerificationFailedError | None:
        """The error for files that are damaged or gone, None if there are none."""
        wrong = [file for file in self.files if not file.right and not file.partial]
        if not wrong:
            return None
        return VerificationFailedError(
            f"{len(wrong)} of {len(self.files)} files are damaged or gone.",
            context=[line for file in wrong for line in _facts(file.file.artifact, file)],
            hint="Run `gemma-setup verify --repair`: it fetches only what is damaged.",
        )

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `verify`."""
        return {"files": [file.document() for file in self.files], "verified": self.verified}


def plan(session: Session, request: Request) -> Plan:
    """Choose the files: of a model, of a path, or everything that is installed.

    Raises:
        UsageError: If there is nothing of that name.
    """
    name = None if request.model is None else canonical_name(session, request.model)
    models = session.inventory.models()
    files = [file for model in models for file in model.files if _is_meant(name, model.name, file)]
    if not files:
        raise UsageError(
            f"{name or 'Nothing'} is not installed." if name else "Nothing is installed yet.",
            code="not-installed",
            context=[f"installed: {', '.join(model.name for model in models) or 'nothing'}"],
            hint="`gemma-setup list --installed` shows what is here; `gemma-setup recover PATH` "
            "takes in a file that another tool fetched.",
        )
    unfinished = frozenset(file for model in models for file in model.unfinished)
    chosen = tuple({file.path: file for file in files}.values())
    return Plan(chosen, unfinished & set(chosen), request.repair)


def run(session: Session, plan: Plan) -> Result:
    """Hash files again, and mend them if it is asked for.

    Returns:
        What was found: its ``error`` where a file is wrong.

    Raises:
        SetupError: If a file cannot be read, or not be mended.
    """
    return Result(tuple(_verify(session, file, plan) for file in plan.files))


def _is_meant(name: str | None, model_name: str, file: InstalledFile) -> bool:
    if name is None or name == model_name:
        return True
    path = Path(name).absolute()
    return file.path in {path, path.resolve()} or file.path.resolve() == path.resolve()


def _verify(session: Session, file: InstalledFile, plan: Plan) -> FileResult:
    downloader = replace(session.downloader, layout=file.folder)
    check = downloader.verify(file.artifact)
    kept = file.partial_bytes if file in plan.unfinished else None
    if check.right or not plan.repair:
        return FileResult(file, check, kept_bytes=kept)
    return FileResult(file, check, downloader.repair(FileJob(file.artifact, session.origins)), kept)


def _facts(artifact: Artifact, found: FileResult) -> list[str]:
    if not found.check.found:
        return [f"{found.file.path}: gone"]
    lines = [
        f"{found.file.path}:",
        f"  expected SHA-256 {artifact.sha256}",
        f"  actual   SHA-256 {found.check.sha256}",
    ]
    if found.check.damaged:
        size = sum(end - start for start, end in found.check.damaged)
        lines.append(f"  damaged: {len(found.check.damaged)} places, {format_size(size)}")
    return lines
