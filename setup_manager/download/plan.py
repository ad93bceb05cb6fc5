"""What a download will do: read from the disk once, shown, checked, then carried out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from setup_manager.catalog import Artifact
from setup_manager.download.chunks import Coverage, chunk_size
from setup_manager.download.job import DownloadOptions, FileJob, FilePlaces
from setup_manager.errors import InsufficientDiskError, VerificationFailedError
from setup_manager.fs import wrong_path
from setup_manager.units import format_size

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is cheap to compare of a file; survives a rename, not a write.

    Attributes:
        size_bytes: Length.
        modified_ns: Modification time.
        inode: Number of the file on its file system.
    """

    size_bytes: int
    modified_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class DiskState:
    """What is on disk of one file, as far as names, lengths and the journal tell.

    Attributes:
        installed: Whether content of the right length lies under the final name.
        partial: Stamp of the partial, None if there is none.
        journal: Stamp of the journal, None if there is none.
        coverage: The spans of the journal that count; None if no journal speaks of this content.
        allocated_bytes: Space that the partial takes already.
    """

    installed: bool = False
    partial: Stamp | None = None
    journal: Stamp | None = None
    coverage: Coverage | None = None
    allocated_bytes: int = 0


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What will be done for one file.

    Attributes:
        job: The file, and where it comes from.
        places: Where it goes.
        state: What is on disk of it.
        coverage: Which spans of the partial are kept.
    """

    job: FileJob
    places: FilePlaces
    state: DiskState
    coverage: Coverage

    @property
    def artifact(self) -> Artifact:
        """The file."""
        return self.job.artifact

    @property
    def installed(self) -> bool:
        """Whether there is nothing to do but to check it."""
        return self.state.installed

    @property
    def missing(self) -> tuple[tuple[int, int], ...]:
        """Stretches to fetch."""
        return () if self.installed else tuple(self.coverage.missing())

    @property
    def fetch_bytes(self) -> int:
        """Bytes to come over the network."""
        return self.artifact.size_bytes - self.reuse_bytes

    @property
    def reuse_bytes(self) -> int:
        """Bytes that are already here."""
        return self.artifact.size_bytes if self.installed else self.coverage.covered_bytes

    @property
    def write_bytes(self) -> int:
        """New space that it takes."""
        size = self.artifact.size_bytes
        return 0 if self.installed else max(0, size - self.state.allocated_bytes)


@dataclass(frozen=True, slots=True)
class Room:
    """Space on one file system.

    Attributes:
        folder: A folder on it.
        free_bytes: What was free when the plan was made.
    """

    folder: Path
    free_bytes: int


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What will be done for all files; holds for the disk as it was when it was read.

    Attributes:
        files: In order.
        room: Where the files go.
        copied_bytes: What a runtime's own copies will take at their peak.
        copies_room: Where those go, None if it is the same file system.
        reserve_bytes: Space that must stay free.
    """

    files: tuple[FilePlan, ...]
    room: Room
    copied_bytes: int = 0
    copies_room: Room | None = None
    reserve_bytes: int = 0

    @property
    def fetch_bytes(self) -> int:
        """Bytes to come over the network."""
        return sum(file.fetch_bytes for file in self.files)

    @property
    def reuse_bytes(self) -> int:
        """Bytes that are already here."""
        return sum(file.reuse_bytes for file in self.files)

    @property
    def write_bytes(self) -> int:
        """New space for the files themselves."""
        return sum(file.write_bytes for file in self.files)

    @property
    def peak_disk_bytes(self) -> int:
        """New space at the peak, the runtime's copies included."""
        return self.write_bytes + self.copied_bytes

    def check_room(self) -> None:
        """Refuse a plan that there is no room for; counts what is already here.

        Raises:
            InsufficientDiskError: With the numbers.
        """
        shared = 0 if self.copies_room else self.copied_bytes
        if (lacking := self._lacking(self.room, self.write_bytes + shared)) > 0:
            raise InsufficientDiskError(
                "Not enough disk space.",
                context=self._facts(shared),
                hint=f"Free {format_size(lacking)} (`gemma-setup clean` deletes old partial "
                "downloads), or choose another folder with `--models-dir DIR`.",
            )
        other = self.copies_room
        if other is not None and self._lacking(other, self.copied_bytes) > 0:
            raise InsufficientDiskError(
                "Not enough disk space for the runtime's copy.",
                context=[
                    str(other.folder),
                    f"needed {format_size(self.copied_bytes)}",
                    self._free(other),
                ],
                hint="Free some space there, or move the runtime's store "
                "(OLLAMA_MODELS for Ollama).",
            )

    def _lacking(self, room: Room, needed: int) -> int:
        return needed + self.reserve_bytes - room.free_bytes if needed else 0

    def _facts(self, shared_bytes: int) -> list[str]:
        copy = f", {format_size(shared_bytes)} for the runtime's copy" if shared_bytes else ""
        needed = self.write_bytes + shared_bytes
        return [
            f"needed {format_size(needed)}: {format_size(self.write_bytes)} for the files{copy}",
            f"already here {format_size(self.reuse_bytes)}",
            self._free(self.room),
        ]

    def _free(self, room: Room) -> str:
        free, reserve = format_size(room.free_bytes), format_size(self.reserve_bytes)
        return f"free {free}, of which {reserve} stay free"


def check_artifact(artifact: Artifact) -> None:
    """Refuse an artifact whose names would climb out, or whose identity is none.

    Raises:
        VerificationFailedError: If it is not safe to use.
    """
    problem = wrong_path(artifact.path) or wrong_path(artifact.repository)
    whole = _DIGEST.fullmatch(artifact.sha256) and artifact.size_bytes >= 0
    if problem is not None or not whole:
        raise VerificationFailedError(
            "A file's name, digest or length is not acceptable.",
            context=(
                f"repository {artifact.repository!r}",
                f"path {artifact.path!r}",
                f"SHA-256 {artifact.sha256!r}, {artifact.size_bytes} bytes",
            ),
            hint="Use another catalogue or repository: this name is not safe as a path.",
        )


def plan_file(
    job: FileJob, places: FilePlaces, state: DiskState, options: DownloadOptions
) -> FilePlan:
    """Plan one file from what is on disk of it."""
    return FilePlan(job, places, state, state.coverage or empty_coverage(job.artifact, options))


def empty_coverage(artifact: Artifact, options: DownloadOptions) -> Coverage:
    """Choose the grid for a file of which nothing is here."""
    return Coverage(artifact.size_bytes, options.chunk_bytes or chunk_size(artifact.size_bytes))
