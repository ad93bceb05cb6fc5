"""Where one file lives on disk while it comes and after, and what is to be fetched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from setup_manager.catalog import Artifact
from setup_manager.gguf import WrongStart
from setup_manager.net import Origin


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
