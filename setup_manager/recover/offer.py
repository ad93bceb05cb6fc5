"""What a leftover can give to a wanted file, and the search for such leftovers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from setup_manager.catalog import Artifact
from setup_manager.recover.busy import SETTLE_SECONDS, find_busy
from setup_manager.recover.content import Grid, LeftoverContent
from setup_manager.recover.find import WalkLimits, find_leftovers
from setup_manager.recover.identify import (
    Evidence,
    Identity,
    Match,
    cannot_be,
    match,
    read_identity,
)
from setup_manager.recover.leftover import Leftover
from setup_manager.recover.spans import length
from setup_manager.units import MIB, format_size

# Finer than the download's chunks, whose journal takes any part of one: a tool with 16 connections
# leaves 16 frayed ends, and each costs up to one of these.
CHUNK_BYTES = MIB


@dataclass(frozen=True, slots=True)
class Offer:
    """A leftover and the file that it may be a part of.

    Attributes:
        leftover: The file that was found.
        identity: What it says of itself.
        artifact: The file that is wanted.
        match: Why it may be a part of it.
        grid: Chunks of the wanted file.
        chunks: Numbers of those that seem to be there from end to end.
    """

    leftover: Leftover
    identity: Identity
    artifact: Artifact
    match: Match
    grid: Grid
    chunks: tuple[int, ...]

    @property
    def usable_bytes(self) -> int:
        """Bytes of the wanted file that need not be fetched if all goes well."""
        return length(self.grid.runs(self.chunks))

    @property
    def complete(self) -> bool:
        """Whether it seems to be the whole file."""
        return (
            self.usable_bytes == self.artifact.size_bytes == self.leftover.size_bytes
            and self.match.evidence is not Evidence.OTHER_UPLOAD
        )

    @property
    def sentence(self) -> str:
        """Say what is used: ``"using 3.1 of 4.9 GB that `ollama pull` left"``."""
        usable, whole = format_size(self.usable_bytes), format_size(self.artifact.size_bytes)
        if usable.split()[1] == whole.split()[1]:
            usable = usable.split()[0]
        return f"using {usable} of {whole} that {self.leftover.trace.left_by} left"

    def open(self) -> LeftoverContent:
        """Open the leftover, its bytes at their places in the wanted file.

        Raises:
            OSError: If it cannot be opened.
        """
        return LeftoverContent(
            self.leftover.path,
            shift_bytes=self.match.shift_bytes,
            first_byte=self.match.first_byte,
        )


def weigh(
    leftover: Leftover,
    artifact: Artifact,
    *,
    identity: Identity | None = None,
    chunk_bytes: int = CHUNK_BYTES,
) -> Offer | None:
    """Find out how much of a wanted file a leftover may hold; reads little of it.

    Args:
        leftover: What was found.
        artifact: What is wanted.
        identity: What `read_identity` returned for the leftover, if it was asked before.
        chunk_bytes: What bytes are counted in.

    Returns:
        The offer, or None if it cannot be a part of that file, or holds no whole chunk of it.

    Raises:
        OSError: If the leftover cannot be read.
    """
    if cannot_be(leftover, artifact):
        return None
    identity = identity or read_identity(leftover)
    found = match(identity, artifact)
    if found is None:
        return None
    grid = Grid(artifact.size_bytes, chunk_bytes)
    with LeftoverContent(
        leftover.path, shift_bytes=found.shift_bytes, first_byte=found.first_byte
    ) as source:
        chunks = source.written_chunks(grid)
    return Offer(leftover, identity, artifact, found, grid, chunks) if chunks else None


def found_for(
    artifact: Artifact,
    folders: Iterable[Path],
    *,
    limits: WalkLimits | None = None,
    settle_seconds: float = SETTLE_SECONDS,
) -> tuple[Offer, ...]:
    """Look for leftovers of one file; what `download` and `install` do by themselves.

    Args:
        artifact: What is wanted.
        folders: Where to look, as `tools.usual_folders` lists them.
        limits: How far to search.
        settle_seconds: See `find_busy`.

    Returns:
        Offers, the best first: whole files, then by evidence, then by what they hold.
    """
    leftovers = find_leftovers(folders, limits).leftovers
    return offers_for(artifact, leftovers, find_busy(leftovers, settle_seconds=settle_seconds))


def offers_for(
    artifact: Artifact, leftovers: Iterable[Leftover], busy: Collection[Path]
) -> tuple[Offer, ...]:
    """Weigh what a search found against one file; see `found_for`.

    Args:
        artifact: What is wanted.
        leftovers: What was found.
        busy: Files to leave alone, as `find_busy` returns them.
    """
    offers = []
    for leftover in leftovers:
        if leftover.path in busy:
            continue
        with suppress(OSError):  # it went away, or may not be read: then it is no help
            offers.append(weigh(leftover, artifact))
    return best_first(offer for offer in offers if offer is not None)


def best_first(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Sort the offers for one file: whole files, then by evidence, then by what they hold."""
    return tuple(
        sorted(offers, key=lambda o: (o.complete, o.match.evidence, o.usable_bytes), reverse=True)
    )
