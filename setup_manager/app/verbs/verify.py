"""Verifying what is installed against its digests, and repairing only what is damaged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from setup_manager.app.installed import canonical_name
from setup_manager.catalog import Artifact
from setup_manager.download import FileCheck, FileJob, VerifiedFile
from setup_manager.errors import SetupError, UsageError, VerificationFailedError
from setup_manager.library import InstalledFile, InstalledModel
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
        files: The files, each with the model that it belongs to.
        repair: Fetch the damaged chunks again.
    """

    files: tuple[tuple[InstalledModel, InstalledFile], ...]
    repair: bool = False


@dataclass(frozen=True, slots=True)
class FileResult:
    """One file that was hashed again.

    Attributes:
        model: The model that it belongs to.
        file: The file.
        check: What hashing showed.
        repaired: The file after its repair, None if it was not repaired.
        arrived_bytes: What is here of a file whose download has not ended.
    """

    model: InstalledModel
    file: InstalledFile
    check: FileCheck
    repaired: VerifiedFile | None = None
    arrived_bytes: int = 0

    @property
    def unfinished(self) -> bool:
        """Whether its download has not ended, so that there is nothing to verify yet."""
        begun = self.arrived_bytes > 0 or not self.model.installed_at
        return not self.right and not self.check.found and begun

    @property
    def right(self) -> bool:
        """Whether it is right now."""
        return self.check.right or self.repaired is not None

    def document(self) -> dict[str, Any]:
        """Return an entry of ``data.files``."""
        return {
            "path": str(self.file.path),
            "bytes": self.check.size_bytes,
            "sha256": self.check.sha256,
            "expected_sha256": self.file.artifact.sha256,
            "right": self.right,
            "arrived_bytes": self.arrived_bytes,
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
        """Whether every file is right now."""
        return all(file.right for file in self.files)

    @property
    def error(self) -> SetupError | None:
        """The error for files that are wrong or missing, None if there are none.

        A download that has not ended is no error beside files that are right.
        """
        wrong = [file for file in self.files if not file.right and not file.unfinished]
        if wrong:
            return VerificationFailedError(
                f"{len(wrong)} of {len(self.files)} files are damaged or missing.",
                context=[line for file in wrong for line in _facts(file.file.artifact, file)],
                hint="Run `gemma-setup verify --repair`; it downloads only what is damaged.",
            )
        if any(file.right for file in self.files):
            return None
        name = self.files[0].model.name
        return UsageError(
            f"{name} is not fully downloaded, so there is nothing to verify.",
            code="not-installed",
            hint=f"Run `gemma-setup download {name}`; it continues where it stopped.",
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
    files = {
        file.path: (model, file)
        for model in models
        for file in model.files
        if _is_meant(name, model.name, file)
    }
    if not files:
        raise UsageError(
            f"{name} is not installed." if name else "Nothing is installed yet.",
            code="not-installed",
            context=[f"installed: {', '.join(model.name for model in models) or 'nothing'}"],
            hint="`gemma-setup list --installed` shows what is installed; "
            "`gemma-setup recover PATH` reuses a file that another tool downloaded.",
        )
    return Plan(tuple(files.values()), request.repair)


def run(session: Session, plan: Plan) -> Result:
    """Hash files again, and repair them if that was asked for.

    Returns:
        What was found: its ``error`` where a file is wrong.

    Raises:
        SetupError: If a file cannot be read or repaired.
    """
    return Result(tuple(_verify(session, *entry, repairing=plan.repair) for entry in plan.files))


def _is_meant(name: str | None, model_name: str, file: InstalledFile) -> bool:
    if name is None or name == model_name:
        return True
    path = Path(name).absolute()
    return file.path in {path, path.resolve()} or file.path.resolve() == path.resolve()


def _verify(
    session: Session, model: InstalledModel, file: InstalledFile, *, repairing: bool
) -> FileResult:
    downloader = replace(session.downloader, layout=file.folder)
    check = downloader.verify(file.artifact)
    if check.right or not repairing:
        arrived = 0 if check.found else file.arrived_bytes
        return FileResult(model, file, check, arrived_bytes=arrived)
    repaired = downloader.repair(FileJob(file.artifact, session.origins))
    return FileResult(model, file, check, repaired)


def _facts(artifact: Artifact, found: FileResult) -> list[str]:
    if not found.check.found:
        return [f"{found.file.path}: missing"]
    lines = [
        f"{found.file.path}:",
        f"  expected SHA-256 {artifact.sha256}",
        f"  actual   SHA-256 {found.check.sha256}",
    ]
    if found.check.damaged:
        size = sum(end - start for start, end in found.check.damaged)
        lines.append(f"  damaged: {len(found.check.damaged)} places, {format_size(size)}")
    return lines
