"""What a download is asked for and what it gives: jobs, manners, places, verified files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from setup_manager.catalog import Artifact
from setup_manager.gguf import WrongStart
from setup_manager.net import Origin
from setup_manager.units import KIB, MIB


@dataclass(frozen=True, slots=True)
class FilePlaces:
    """The paths of one file.

    Attributes:
        partial: The file in flight, ``<dir>/<sha256>.gemma-setup.partial``.
        journal: What of the partial is known to be there; beside it.
        lock: Held by the process that writes the partial; beside it.
        content: Final name of the verified bytes, on the same file system as `partial`.
        visible: Where a user finds the file; may be `content` itself or a link to it.
        root: Folder that all of the above lie in.
    """

    partial: Path
    journal: Path
    lock: Path
    content: Path
    visible: Path
    root: Path

    @classmethod
    def of(
        cls, partial: Path, content: Path, *, root: Path, visible: Path | None = None, lock: Path
    ) -> Self:
        """Name the journal beside the partial; without `visible` the content is its own name."""
        journal = partial.with_name(f"{partial.name}.journal")
        return cls(partial, journal, lock, content, visible or content, root)


class Layout(Protocol):
    """How a folder of models is laid out."""

    def places(self, artifact: Artifact) -> FilePlaces:
        """Name the paths of an artifact; touches no disk."""
        ...

    def publish(self, artifact: Artifact) -> Path:
        """Make the visible name once the content is there; idempotent.

        Returns:
            The visible path.
        """
        ...


@dataclass(frozen=True, slots=True)
class FileJob:
    """One file to fetch.

    Attributes:
        artifact: What it must be.
        origins: Where it may come from; the first is the authority, the others are mirrors.
        check_prefix: Looks at the first bytes and says what is wrong with them, or None.
            Without one, files named ``*.gguf`` must begin with the magic of GGUF.
    """

    artifact: Artifact
    origins: tuple[Origin, ...]
    check_prefix: Callable[[bytes], WrongStart | None] | None = None


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """How a download behaves.

    Attributes:
        connections: Fixed number of connections, or None to adapt between 1 and `most`.
        most: Upper limit of connections when they adapt.
        rate_bytes_per_second: Limit over all connections together, or None.
        wait: Wait for another process at the same file; otherwise raise `BusyError`.
        chunk_bytes: Unit of assignment, journal and check value; None picks it by size.
        read_bytes: Largest single read from a connection.
        flush_bytes: New bytes after which they are synced and journaled.
        flush_seconds: Time after which they are, even when they are few.
        patience_seconds: How long a file may make no progress at all before it fails.
        first_backoff_seconds: Pause after the first failure of a connection; doubles.
        longest_backoff_seconds: Where the doubling ends.
        longest_wait_seconds: Longest pause a server may ask for.
        slow_seconds: How long a connection is watched before it may be called slow.
        sample_seconds: How often the number of connections is judged.
        progress_seconds: Least time between two progress events.
        checks_dir: Where check values of installed files are kept, or None for nowhere.
        polite: Low I/O and CPU priority.
        reserve_bytes: Disk space that must remain free.
    """

    connections: int | None = None
    most: int = 16
    rate_bytes_per_second: int | None = None
    wait: bool = True
    chunk_bytes: int | None = None
    read_bytes: int = 512 * KIB
    flush_bytes: int = 8 * MIB
    flush_seconds: float = 2.0
    patience_seconds: float = 150.0
    first_backoff_seconds: float = 0.5
    longest_backoff_seconds: float = 15.0
    longest_wait_seconds: float = 900.0
    slow_seconds: float = 8.0
    sample_seconds: float = 1.0
    progress_seconds: float = 0.25
    checks_dir: Path | None = None
    polite: bool = False
    reserve_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """A file whose length and digest matched before it got its final name.

    Attributes:
        artifact: What it was held to.
        path: Where a user finds it: the snapshot link in the hub cache, or the plain file.
        fetched_bytes: Bytes that came over the network for it in this run.
        reused_bytes: Bytes that were already here.
        retries: Requests that had to be repeated.
        seconds: How long it took.
    """

    artifact: Artifact
    path: Path
    fetched_bytes: int = 0
    reused_bytes: int = 0
    retries: int = 0
    seconds: float = 0.0
