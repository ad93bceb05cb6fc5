"""Hashing again what is installed, and mending only what is damaged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from setup_manager.app.folders import layout_of
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
class VerifyRow:
    """One file that was hashed again.

    Attributes:
        file: The file.
        check: What hashing showed.
        repaired: The file after its repair, None if it was not repaired.
    """

    file: InstalledFile
    check: FileCheck
    repaired: VerifiedFile | None = None

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
            "damaged": [{"start": start, "end": end} for start, end in self.check.damaged],
            "fetched_bytes": self.repaired.fetched_bytes if self.repaired else 0,
        }


def files_to_verify(session: Session, name: str | None) -> tuple[InstalledFile, ...]:
    """Choose the files: of a model, of a path, or everything that is installed.

    Args:
        session: What to work with.
        name: Canonical MODEL argument, a path, or None for all.

    Raises:
        UsageError: If there is nothing of that name.
    """
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
    return tuple({file.path: file for file in files}.values())


def _is_meant(name: str | None, model_name: str, file: InstalledFile) -> bool:
    if name is None or name == model_name:
        return True
    path = Path(name).absolute()
    return file.path in {path, path.resolve()} or file.path.resolve() == path.resolve()


def verify(session: Session, file: InstalledFile, *, mend: bool) -> VerifyRow:
    """Hash a file again, and mend it if it is asked for.

    Raises:
        SetupError: If it cannot be read, or not be mended.
    """
    downloader = replace(session.downloader, layout=layout_of(file))
    check = downloader.verify(file.artifact)
    if check.right or not mend:
        return VerifyRow(file, check)
    return VerifyRow(file, check, downloader.repair(FileJob(file.artifact, session.origins)))


def wrong_file(rows: tuple[VerifyRow, ...]) -> VerificationFailedError | None:
    """Make the error for files that are wrong, None if all are right."""
    wrong = [row for row in rows if not row.right]
    if not wrong:
        return None
    return VerificationFailedError(
        f"{len(wrong)} of {len(rows)} files are damaged or gone.",
        context=[line for row in wrong for line in _facts(row.file.artifact, row)],
        hint="Run `gemma-setup verify --repair`: it fetches only what is damaged.",
    )


def _facts(artifact: Artifact, row: VerifyRow) -> list[str]:
    if not row.check.found:
        return [f"{row.file.path}: gone"]
    lines = [
        f"{row.file.path}:",
        f"  expected SHA-256 {artifact.sha256}",
        f"  actual   SHA-256 {row.check.sha256}",
    ]
    if row.check.damaged:
        size = sum(end - start for start, end in row.check.damaged)
        lines.append(f"  damaged: {len(row.check.damaged)} places, {format_size(size)}")
    return lines
