"""Where one file lives on disk while it comes and after, and from where it may come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from setup_manager.catalog import Artifact


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
class Origin:
    """A hub or a mirror of one.

    Attributes:
        endpoint: Base URL, e.g. ``"https://huggingface.co"``.
        token: Bearer token for exactly this scheme, host and port, or None.
        file_url: Where the file is asked for, on a server that is no hub; None for the hub's form.
    """

    endpoint: str
    token: str | None = None
    file_url: str | None = None

    def __repr__(self) -> str:
        """Show the endpoint only: a token must never reach a log."""
        return f"Origin({self.endpoint!r})"


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
    check_prefix: Callable[[bytes], str | None] | None = None
