"""What other tools leave behind, and what their records claim about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from setup_manager.recover.spans import Span


def shown(path: Path) -> str:
    """Print a path fit for a terminal: names come from strangers and hold what they like.

    Control characters, and bytes that are no text, become question marks.
    """
    return "".join(c if c.isprintable() else "?" for c in str(path))


@dataclass(frozen=True, slots=True)
class Claims:
    """What a tool's own records say is there. Nothing is used on their word alone.

    Attributes:
        spans: Bytes that the tool counts as received.
        size_bytes: Length that the file will have, or None.
    """

    spans: tuple[Span, ...]
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """What the name of a file gives away.

    Attributes:
        left_by: The tool, as a sentence would name it: ``"`ollama pull`"``, ``"a browser"``.
        file_name: The name that the file has or will have when it is finished, ``""`` if unknown.
        finished: Whether the tool takes it for finished.
        sha256: Digest of the whole, where the name holds it.
        records: Names of the files beside it in which the tool keeps count.
        read_records: Turns the contents of `records` into claims; raises ValueError.
    """

    left_by: str
    file_name: str
    finished: bool
    sha256: str | None = None
    records: tuple[str, ...] = ()
    read_records: Callable[[Sequence[bytes]], Claims] | None = None


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file's identity and age; whoever writes to the file changes it.

    Attributes:
        device: Number of its file system.
        inode: Number of it there.
        size_bytes: Length.
        modified_ns: Last change of its content, in nanoseconds.
    """

    device: int
    inode: int
    size_bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file, or the beginning or pieces of one, that another tool left.

    Attributes:
        path: Where it lies; links resolved.
        trace: What its name gives away.
        stamp: What it was when it was found.
        claims: What the tool's records say, or None without records that can be read.
        records: The files of the tool that belong to it.
    """

    path: Path
    trace: Trace
    stamp: Stamp
    claims: Claims | None = None
    records: tuple[Path, ...] = ()

    @property
    def shown(self) -> str:
        """Its path, fit for a terminal."""
        return shown(self.path)

    @property
    def size_bytes(self) -> int:
        """Length on disk, holes included."""
        return self.stamp.size_bytes
