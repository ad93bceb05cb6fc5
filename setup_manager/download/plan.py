"""What a download will do: one computation for dry runs, disk checks and the engine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from setup_manager.catalog import Artifact
from setup_manager.download.chunks import Coverage, chunk_size
from setup_manager.errors import InsufficientDiskError, VerificationFailedError
from setup_manager.units import format_size

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[^\x00-\x1f\x7f\\:*?\"<>|]{1,255}")


@dataclass(frozen=True, slots=True)
class DiskState:
    """What is on disk of one file.

    Attributes:
        installed: Whether content of the right length lies under the final name.
        coverage: What the journal says is in the partial, or None.
        allocated_bytes: Space that the partial takes already.
    """

    installed: bool = False
    coverage: Coverage | None = None
    allocated_bytes: int = 0


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What will be done for one file.

    Attributes:
        artifact: The file.
        installed: Nothing to do but to check it.
        fetch_bytes: Bytes to come over the network.
        reuse_bytes: Bytes that are here already.
        write_bytes: New space that it takes.
        chunk_bytes: The grid.
        missing: Stretches to fetch.
    """

    artifact: Artifact
    installed: bool
    fetch_bytes: int
    reuse_bytes: int
    write_bytes: int
    chunk_bytes: int
    missing: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What will be done for all files.

    Attributes:
        files: In order.
        extra_bytes: What a runtime's own copy will take on the same file system.
    """

    files: tuple[FilePlan, ...]
    extra_bytes: int = 0

    @property
    def fetch_bytes(self) -> int:
        """Bytes to come over the network."""
        return sum(file.fetch_bytes for file in self.files)

    @property
    def reuse_bytes(self) -> int:
        """Bytes that are here already."""
        return sum(file.reuse_bytes for file in self.files)

    @property
    def write_bytes(self) -> int:
        """New space for the files themselves."""
        return sum(file.write_bytes for file in self.files)

    @property
    def peak_disk_bytes(self) -> int:
        """New space at the peak, the runtime's copy included."""
        return self.write_bytes + self.extra_bytes


def check_artifact(artifact: Artifact) -> None:
    """Refuse an artifact whose names would climb out, or whose identity is none.

    Raises:
        VerificationFailedError: If it is not safe to use.
    """
    parts = [*artifact.repository.split("/"), *artifact.path.split("/")]
    safe = all(_NAME.fullmatch(part) and part not in {".", ".."} for part in parts)
    whole = _DIGEST.fullmatch(artifact.sha256) and artifact.size_bytes >= 0
    if not safe or not whole:
        raise VerificationFailedError(
            "A file's name, digest or length is not acceptable.",
            context=(
                f"repository {artifact.repository!r}",
                f"path {artifact.path!r}",
                f"SHA-256 {artifact.sha256!r}, {artifact.size_bytes} bytes",
            ),
            hint="Use another catalogue or repository: such a name may not be used as a path.",
        )


def plan_file(artifact: Artifact, state: DiskState, chunk_bytes: int | None = None) -> FilePlan:
    """Plan one file from what is on disk of it."""
    size = artifact.size_bytes
    grid_bytes = chunk_bytes or chunk_size(size)
    if state.installed:
        return FilePlan(artifact, True, 0, size, 0, grid_bytes, ())  # noqa: FBT003
    coverage = state.coverage or Coverage(size, grid_bytes)
    missing = tuple(coverage.missing())
    fetch = sum(end - start for start, end in missing)
    return FilePlan(
        artifact=artifact,
        installed=False,
        fetch_bytes=fetch,
        reuse_bytes=size - fetch,
        write_bytes=max(0, size - state.allocated_bytes),
        chunk_bytes=coverage.chunk_bytes,
        missing=missing,
    )


def plan_download(
    states: Iterable[tuple[Artifact, DiskState]],
    *,
    extra_bytes: int = 0,
    chunk_bytes: int | None = None,
) -> DownloadPlan:
    """Plan all files."""
    files = tuple(plan_file(artifact, state, chunk_bytes) for artifact, state in states)
    return DownloadPlan(files, extra_bytes)


def check_space(plan: DownloadPlan, free_bytes: int, reserve_bytes: int) -> None:
    """Refuse a plan that the file system has no room for; counts what is here already.

    Raises:
        InsufficientDiskError: With the numbers.
    """
    needed = plan.peak_disk_bytes
    if needed == 0 or needed + reserve_bytes <= free_bytes:
        return
    facts = [
        f"needed {format_size(needed)}: {format_size(plan.write_bytes)} for the files"
        + (f", {format_size(plan.extra_bytes)} for the runtime's copy" if plan.extra_bytes else ""),
        f"here already {format_size(plan.reuse_bytes)}",
        f"free {format_size(free_bytes)}, of which {format_size(reserve_bytes)} stay free",
    ]
    lacking = needed + reserve_bytes - free_bytes
    raise InsufficientDiskError(
        "There is not enough room on the disk.",
        context=facts,
        hint=f"Free {format_size(lacking)} (`gemma-setup clean` drops old partials), or choose "
        "another place with `--models-dir DIR`.",
    )
