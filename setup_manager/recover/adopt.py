"""Take over what leftovers hold: a whole file by its digest, pieces after sampling.

The original is never changed. Pieces are copied into the download's own partial, unproven as they
are, and the SHA-256 of the whole decides later.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from setup_manager.download import (
    Downloader,
    FileJob,
    NoRangesError,
    RangeReader,
    VerifiedFile,
)
from setup_manager.errors import (
    DownloadFailedError,
    InsufficientDiskError,
    InterruptedByUserError,
    SetupError,
)
from setup_manager.recover.busy import has_changed
from setup_manager.recover.identify import Evidence
from setup_manager.recover.offer import Offer
from setup_manager.recover.sample import Proof, prove
from setup_manager.recover.spans import Span, outside, whole_chunks

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
        downloader: What content goes to, and what fetches the rest.
        reader: The hub, to compare with.
        move: Remove what was taken over, unless other programs still use it.
        tell: Told in a sentence what is being done; reading gigabytes takes a while.
        rng: Chooses the places that are compared.
    """

    downloader: Downloader
    reader: RangeReader
    move: bool = False
    tell: Callable[[str], None] = lambda _sentence: None
    rng: random.Random = field(default_factory=random.SystemRandom)

    def use(self, offers: Iterable[Offer]) -> Outcome:
        """Take what the offers for one file hold, the best first; a fetch gets the rest then.

        Raises:
            BusyError: If another process of ours is at this file.
            InsufficientDiskError: If the disk is full.
            InterruptedByUserError: If the download was cancelled.
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
        (file,) = self.downloader.plan([FileJob(offer.artifact, ())]).files
        here = outside((Span(*gap) for gap in file.missing), offer.grid.size_bytes)
        return whole_chunks(here, offer.grid.chunk_bytes, offer.grid.size_bytes)

    def _use_whole(self, offer: Offer) -> Outcome:
        artifact, shown = offer.artifact, offer.leftover.shown
        owned = self.move and may_be_removed(offer)
        self.tell(f"hashing {shown}")
        try:
            file = self.downloader.adopt_whole(artifact, offer.leftover.path, owned=owned)
        except DownloadFailedError as error:
            return Outcome(notes=(_not_used(shown, error),))
        except InsufficientDiskError as error:
            raise _full(error) from error
        if file is None:
            note = f"{shown}: it is as long as {artifact.name}, but its SHA-256 differs"
            return Outcome(notes=(note,))
        if owned:
            _remove(offer)
        return Outcome(file, notes=(f"{shown} is {artifact.name}: its SHA-256 matches",))

    def _use_pieces(self, offer: Offer) -> tuple[Outcome, tuple[int, ...]]:
        shown = offer.leftover.shown
        self.tell(f"comparing {shown} with the hub")
        try:
            proof = self._prove(offer)
        except NoRangesError:
            return Outcome(
                notes=(
                    f"{shown} is not used: the hub does not support range requests for comparing",
                )
            ), ()
        except OSError as problem:
            return Outcome(notes=(f"{shown}: {problem.strerror or problem}",)), ()
        sampled = Outcome(sampled_bytes=proof.sampled_bytes)
        reason = _why_not(offer, proof)
        if reason is not None:
            return sampled.and_then(Outcome(notes=(f"{shown}: {reason}",))), ()
        return self._copy(replace(offer, chunks=proof.confirmed_chunks), proof, sampled)

    def _copy(
        self, offer: Offer, proof: Proof, sampled: Outcome
    ) -> tuple[Outcome, tuple[int, ...]]:
        self.tell(offer.sentence)
        owned = self.move and may_be_removed(offer)
        try:
            adopted = self.downloader.adopt(
                offer.artifact,
                offer.leftover.path,
                offer.grid.runs(offer.chunks),
                shift_bytes=offer.match.shift_bytes,
                owned=owned,
            )
        except DownloadFailedError as error:
            return sampled.and_then(Outcome(notes=(_not_used(offer.leftover.shown, error),))), ()
        except InsufficientDiskError as error:
            raise _full(error) from error
        if owned:
            _remove(offer)
        note = f"{offer.sentence}: {proof.sentence}"
        return sampled.and_then(Outcome(adopted_bytes=adopted, notes=(note,))), offer.chunks

    def _prove(self, offer: Offer) -> Proof:
        with offer.open() as content:
            full = []
            for number in offer.chunks:
                self._check_cancel()
                if not content.has_zero_block(offer.grid.span(number)):
                    full.append(number)
            return prove(content, offer.artifact, offer.grid, full, self.reader, rng=self.rng)

    def _check_cancel(self) -> None:
        if self.downloader.cancel.is_set():
            raise InterruptedByUserError(
                "Interrupted while a leftover was checked; nothing is lost.",
                hint="Run the same command again.",
            )


def _remove(offer: Offer) -> None:
    """Remove what was taken over with `move`."""
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
        return "another program is writing it now, so it is not touched"
    if proof.samples == 0:
        return "it has no complete chunk"
    if not proof.confirmed_chunks:
        return (
            f"it is not {offer.artifact.name}: "
            f"only {proof.agreed} of {proof.samples} samples agree with the hub"
        )
    return None


def _not_used(shown: str, error: SetupError) -> str:
    """Make a note of a leftover that could not be read or copied."""
    return f"{shown} is not used: {'; '.join((error.message, *error.context))}"


def _full(error: InsufficientDiskError) -> InsufficientDiskError:
    """Name the way that needs no room."""
    return InsufficientDiskError(
        error.message,
        context=error.context,
        hint="Free some space, or use --move to reuse the file itself.",
    )
