"""Take over what a leftover holds: a whole file by its digest, pieces after sampling.

The original is never changed. A whole file gets its place by reflink, by hard link or by copy,
whatever the file system can, and only after its SHA-256 was right. Pieces are copied into the
download's own partial, unproven as they are, and the SHA-256 of the whole decides later.
"""

from __future__ import annotations

import errno
import hashlib
import os
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from setup_manager.catalog.artifact import Artifact
from setup_manager.download.durable import OsDisk
from setup_manager.download.places import FilePlaces, Layout
from setup_manager.download.store import FileBusyError, FileClaim
from setup_manager.download.verified import VerifiedFile
from setup_manager.errors import BusyError, InsufficientDiskError
from setup_manager.recover.busy import has_changed
from setup_manager.recover.identify import Evidence
from setup_manager.recover.offer import Offer
from setup_manager.recover.sample import RangeReader, prove

_FICLONE = 0x40049409  # linux/fs.h
_READ_BYTES = 1 << 20
_STORES = frozenset({"the hub cache", "Ollama"})


class Adopter(Protocol):
    """The download engine's way in for bytes of another tool's file."""

    def adopt(
        self,
        artifact: Artifact,
        source: Path,
        spans: Sequence[tuple[int, int]],
        shift_bytes: int = 0,
    ) -> int:
        """Copy spans of the artifact from a file into its partial and journal them as adopted.

        Args:
            artifact: What the spans belong to.
            source: The other tool's file.
            spans: Whole chunks as (start, end) in the artifact.
            shift_bytes: How much further back the bytes lie in the artifact than in `source`.

        Returns:
            Bytes that were copied; chunks that are there already are left as they are.
        """
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the offers for one file.

    Attributes:
        verified: The file, if one of them was all of it and right.
        adopted_bytes: Bytes copied into the partial.
        sampled_bytes: Bytes fetched to compare.
        notes: What was used and what was not, and why, one a line.
    """

    verified: VerifiedFile | None = None
    adopted_bytes: int = 0
    sampled_bytes: int = 0
    notes: tuple[str, ...] = ()

    def and_then(self, other: Outcome) -> Outcome:
        """Add what came of the next offer."""
        return Outcome(
            other.verified or self.verified,
            self.adopted_bytes + other.adopted_bytes,
            self.sampled_bytes + other.sampled_bytes,
            self.notes + other.notes,
        )


def use_offers(
    offers: Iterable[Offer],
    layout: Layout,
    reader: RangeReader,
    adopter: Adopter,
    *,
    move: bool = False,
    rng: random.Random | None = None,
) -> Outcome:
    """Take what the offers for one file hold, the best first.

    Args:
        offers: For one and the same artifact.
        layout: Where its content goes.
        reader: The hub, to compare with.
        adopter: The download engine.
        move: Remove leftovers that were taken over; what other programs still use stays.
        rng: Chooses the places that are compared.

    Returns:
        What came of it; the download fetches what is missing then.

    Raises:
        BusyError: If another process of ours is at this file.
        InsufficientDiskError: If the disk is full.
        SetupError: If the hub cannot be read.
    """
    outcome = Outcome()
    chooser = rng or random.SystemRandom()
    taken: set[int] = set()
    for offer in offers:
        if offer.complete:
            outcome = outcome.and_then(_use_whole(offer, layout, move=move))
            if outcome.verified is not None:
                return outcome
        fresh = replace(offer, chunks=tuple(n for n in offer.chunks if n not in taken))
        if fresh.chunks:
            step, chunks = _use_pieces(fresh, reader, adopter, chooser, move=move)
            outcome = outcome.and_then(step)
            taken.update(chunks)
    return outcome


def _use_whole(offer: Offer, layout: Layout, *, move: bool) -> Outcome:
    places = layout.places(offer.artifact)
    claim = FileClaim(places.lock, wait=False, on_wait=_nothing, cancelled=_never)
    try:
        with claim:
            problem = _install(offer, places)
            if problem is not None:
                return Outcome(notes=(problem,))
            visible = layout.publish(offer.artifact)
    except FileBusyError:
        raise BusyError(
            f"Another process is at {offer.artifact.name}.",
            hint="Wait until it is done, then run this again.",
        ) from None
    note = f"{offer.leftover.path} is {offer.artifact.name}: its SHA-256 is right"
    if move:
        _remove(offer)
    size = offer.artifact.size_bytes
    return Outcome(VerifiedFile(offer.artifact, visible, reused_bytes=size), notes=(note,))


def _install(offer: Offer, places: FilePlaces) -> str | None:
    """Give a whole file its final name, or say why not."""
    path = offer.leftover.path
    if places.content.exists() and places.content.samefile(path):
        right = _digest(path) == offer.artifact.sha256
        return None if right else f"{path}: its SHA-256 is wrong"
    stage = places.partial.with_name(f"{offer.artifact.sha256}.gemma-setup.taken-over")
    disk = OsDisk()
    try:
        stage.parent.mkdir(parents=True, exist_ok=True)
        digest = _staged(path, stage)
        if digest != offer.artifact.sha256:
            return f"{path} is as long as {offer.artifact.name}, but its SHA-256 is another"
        places.content.parent.mkdir(parents=True, exist_ok=True)
        disk.rename(stage, places.content)
    except OSError as problem:
        _raise_if_full(problem)
        return f"{path}: {problem.strerror}"
    finally:
        stage.unlink(missing_ok=True)
    return None


def _staged(path: Path, stage: Path) -> str:
    """Make a second name or copy of a file and return the digest of what that holds."""
    stage.unlink(missing_ok=True)
    if _reflinked(path, stage):
        return _digest(stage)
    try:
        os.link(path, stage)
    except OSError:
        return _copied(path, stage)
    return _digest(stage)


def _reflinked(path: Path, stage: Path) -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    with path.open("rb") as source, stage.open("wb") as target:
        try:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        except OSError:
            stage.unlink()
            return False
        os.fsync(target.fileno())
    return True


def _copied(path: Path, stage: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source, stage.open("wb") as target:
        while piece := source.read(_READ_BYTES):
            digest.update(piece)
            target.write(piece)
        target.flush()
        os.fsync(target.fileno())
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _use_pieces(
    offer: Offer, reader: RangeReader, adopter: Adopter, rng: random.Random, *, move: bool
) -> tuple[Outcome, tuple[int, ...]]:
    path, name = offer.leftover.path, offer.artifact.name
    try:
        with offer.open() as source:
            full = tuple(n for n in offer.chunks if not source.has_zero_block(offer.grid.span(n)))
            proof = prove(source, offer.artifact, offer.grid, full, reader, rng=rng)
    except OSError as problem:
        return Outcome(notes=(f"{path}: {problem.strerror}",)), ()
    sampled = Outcome(sampled_bytes=proof.sampled_bytes)
    if not proof.confirmed_chunks:
        found = f"{proof.agreed} of {proof.samples} samples agree" if full else "full of holes"
        return sampled.and_then(Outcome(notes=(f"{path} is not {name}: {found}",))), ()
    if has_changed(offer.leftover):
        return sampled.and_then(Outcome(notes=(f"{path} is being written: left alone",))), ()
    spans = offer.grid.runs(proof.confirmed_chunks)
    try:
        adopted = adopter.adopt(offer.artifact, path, spans, offer.match.shift_bytes)
    except OSError as problem:
        _raise_if_full(problem)
        return sampled.and_then(Outcome(notes=(f"{path}: {problem.strerror}",))), ()
    if move:
        _remove(offer)
    used = replace(offer, chunks=proof.confirmed_chunks).sentence
    return (
        sampled.and_then(Outcome(adopted_bytes=adopted, notes=(f"{used}: {proof.sentence}",))),
        proof.confirmed_chunks,
    )


def may_be_removed(offer: Offer) -> bool:
    """Say whether nobody but the interrupted download can miss a leftover.

    Finished files of a store belong to its programs, and another upload is a model of its own.
    """
    trace = offer.leftover.trace
    in_store = trace.finished and trace.left_by in _STORES
    return not in_store and offer.match.evidence is not Evidence.OTHER_UPLOAD


def _remove(offer: Offer) -> None:
    if may_be_removed(offer):
        for path in (*offer.leftover.records, offer.leftover.path):
            with suppress(OSError):
                path.unlink()


def _raise_if_full(problem: OSError) -> None:
    if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
        raise InsufficientDiskError(
            "The disk is full.",
            context=[f"{problem.filename or 'models folder'}: {problem.strerror}"],
            hint="Free some space and run it again, or take leftovers over with --move.",
        ) from problem


def _nothing() -> None:
    pass


def _never() -> bool:
    return False
