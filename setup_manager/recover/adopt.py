"""Take over what leftovers hold: a whole file by its digest, pieces after sampling.

The original is never changed. Pieces are copied into the download's own partial, unproven as they
are, and the SHA-256 of the whole decides later.
"""

from __future__ import annotations

import errno
import random
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from setup_manager.download import (
    DownloadOptions,
    FileBusyError,
    FileClaim,
    Layout,
    VerifiedFile,
    adopt_file,
    chunk_size,
    disk_state,
)
from setup_manager.errors import BusyError, InsufficientDiskError, InterruptedByUserError
from setup_manager.recover.busy import has_changed
from setup_manager.recover.identify import Evidence
from setup_manager.recover.offer import Offer
from setup_manager.recover.sample import NoRangesError, Proof, RangeReader, prove
from setup_manager.recover.spans import Span, whole_chunks
from setup_manager.recover.whole import install_whole

_MODE = 0o644  # as the download engine makes its own
_STORES = frozenset({"the hub cache", "Ollama", "LM Studio", "Jan", "llama.cpp"})


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
        """Add what came of the next step."""
        return Outcome(
            other.verified or self.verified,
            self.adopted_bytes + other.adopted_bytes,
            self.sampled_bytes + other.sampled_bytes,
            self.notes + other.notes,
        )


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Everything that taking over needs.

    Attributes:
        layout: Where content goes.
        reader: The hub, to compare with.
        options: Of the download that fetches the rest.
        move: Remove what was taken over, unless other programs still use it.
        cancel: Ends it early.
        tell: Told in a sentence what is being done; reading gigabytes takes a while.
        rng: Chooses the places that are compared.
    """

    layout: Layout
    reader: RangeReader
    options: DownloadOptions = field(default_factory=DownloadOptions)
    move: bool = False
    cancel: threading.Event = field(default_factory=threading.Event)
    tell: Callable[[str], None] = lambda _sentence: None
    rng: random.Random = field(default_factory=random.SystemRandom)

    def use(self, offers: Iterable[Offer]) -> Outcome:
        """Take what the offers for one file hold, the best first; `fetch` gets the rest then.

        Raises:
            BusyError: If another process of ours is at this file.
            InsufficientDiskError: If the disk is full.
            InterruptedByUserError: If `cancel` was set.
            SetupError: If the hub cannot be read.
        """
        outcome = Outcome()
        taken: set[int] = set()
        for offer in offers:
            self._check_cancel()
            if offer.complete:
                outcome = outcome.and_then(self._use_whole(offer))
                if outcome.verified is not None:
                    break
            taken.update(self._chunks_here(offer))
            left = tuple(number for number in offer.chunks if number not in taken)
            if left:
                step, chunks = self._use_pieces(replace(offer, chunks=left))
                outcome = outcome.and_then(step)
                taken.update(chunks)
        return outcome

    def _chunks_here(self, offer: Offer) -> tuple[int, ...]:
        """Return the chunks that the partial holds: nobody has to look at them again."""
        artifact, grid = offer.artifact, offer.grid
        coverage = disk_state(artifact, self.layout.places(artifact)).coverage
        here = [Span(span.start, span.end) for span in coverage.spans()] if coverage else []
        return whole_chunks(here, grid.chunk_bytes, grid.size_bytes)

    def _use_whole(self, offer: Offer) -> Outcome:
        artifact, path = offer.artifact, offer.leftover.path
        shown = offer.leftover.shown
        places = self.layout.places(artifact)
        self.tell(f"hashing {shown}")
        try:
            with FileClaim(
                places.lock, wait=False, on_wait=lambda: None, cancelled=self.cancel.is_set
            ):
                problem = install_whole(
                    path,
                    artifact,
                    places,
                    chunk_bytes=chunk_size(artifact.size_bytes),
                    checks_dir=self.options.checks_dir,
                    cancel=self.cancel,
                )
                self._check_cancel()
                if problem is not None:
                    return Outcome(notes=(f"{shown}: {problem}",))
                visible = self.layout.publish(artifact)
        except FileBusyError:
            raise BusyError(
                f"Another process is at {artifact.name}.",
                hint="Wait until it is done, then run this again.",
            ) from None
        except OSError as problem:
            return Outcome(notes=(_told(problem, shown),))
        self._finish(offer, places.content)
        return Outcome(
            VerifiedFile(artifact, visible, reused_bytes=artifact.size_bytes),
            notes=(f"{shown} is {artifact.name}: its SHA-256 is right",),
        )

    def _use_pieces(self, offer: Offer) -> tuple[Outcome, tuple[int, ...]]:
        shown = offer.leftover.shown
        self.tell(f"comparing {shown} with the hub")
        try:
            proof = self._prove(offer)
            sampled = Outcome(sampled_bytes=proof.sampled_bytes)
            chunks = proof.confirmed_chunks
            problem = _why_not(offer, proof)
            if problem is not None:
                return sampled.and_then(Outcome(notes=(f"{shown}: {problem}",))), ()
            adopted = self._copy(offer, chunks)
        except NoRangesError:
            return Outcome(
                notes=(f"{shown} is not used: the hub cannot send parts to compare",)
            ), ()
        except OSError as problem:
            return Outcome(notes=(_told(problem, shown),)), ()
        self._finish(offer, self.layout.places(offer.artifact).partial)
        used = replace(offer, chunks=chunks).sentence
        note = f"{used}: {proof.sentence}"
        return sampled.and_then(Outcome(adopted_bytes=adopted, notes=(note,))), chunks

    def _prove(self, offer: Offer) -> Proof:
        with offer.open() as content:
            full = []
            for number in offer.chunks:
                self._check_cancel()
                if not content.has_zero_block(offer.grid.span(number)):
                    full.append(number)
            return prove(content, offer.artifact, offer.grid, full, self.reader, rng=self.rng)

    def _copy(self, offer: Offer, chunks: tuple[int, ...]) -> int:
        self.tell(offer.sentence)
        if self.move:
            self._make_it_ours(offer)
        return adopt_file(
            offer.artifact,
            self.layout,
            offer.leftover.path,
            offer.grid.runs(chunks),
            self.options,
            self.cancel,
            shift_bytes=offer.match.shift_bytes,
        )

    def _make_it_ours(self, offer: Offer) -> None:
        """Let the leftover itself become the partial, which takes neither time nor space.

        By a second name and not by renaming, so that after a crash it is still found.
        """
        places = self.layout.places(offer.artifact)
        if may_be_removed(offer) and not offer.match.shift_bytes:
            with suppress(OSError):  # there is a partial already, or it is another file system
                places.partial.parent.mkdir(parents=True, exist_ok=True)
                places.partial.hardlink_to(offer.leftover.path)

    def _check_cancel(self) -> None:
        if self.cancel.is_set():
            raise InterruptedByUserError(
                "Interrupted while a leftover was looked at; nothing is lost.",
                hint="Run the same command again.",
            )

    def _finish(self, offer: Offer, ours: Path) -> None:
        """Remove what was taken over with `move`."""
        if not self.move or not may_be_removed(offer):
            return
        with suppress(OSError):
            ours.chmod(_MODE)  # Firefox makes its parts for the owner alone
        for path in (*offer.leftover.records, offer.leftover.path):
            with suppress(OSError):
                path.unlink()


def may_be_removed(offer: Offer) -> bool:
    """Say whether nobody but the interrupted download can miss a leftover.

    Finished files of a store belong to its programs, and another upload is a model of its own.
    """
    trace = offer.leftover.trace
    in_store = trace.finished and trace.left_by in _STORES
    return not in_store and offer.match.evidence is not Evidence.OTHER_UPLOAD


def _why_not(offer: Offer, proof: Proof) -> str | None:
    if has_changed(offer.leftover):
        return "it is being written right now, so it is left alone"
    if proof.samples == 0:
        return "it holds no whole chunk without holes"
    if not proof.confirmed_chunks:
        return (
            f"it is not {offer.artifact.name}: "
            f"only {proof.agreed} of {proof.samples} samples agree with the hub"
        )
    return None


def _told(problem: OSError, shown: str) -> str:
    """Make a note of an error at one leftover; a full disk ends everything.

    Raises:
        InsufficientDiskError: If the disk is full.
    """
    if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
        raise InsufficientDiskError(
            "The disk is full.",
            context=[f"{shown}: {problem.strerror}"],
            hint="Free some space, or take the leftover itself over with --move.",
        ) from problem
    return f"{shown}: {problem.strerror or problem}"
