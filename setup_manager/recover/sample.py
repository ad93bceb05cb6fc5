"""Prove by a few ranged requests that a leftover holds the hub's bytes.

A wrong candidate (another quantization, another revision whose data is shifted) differs nearly
everywhere, so a handful of places finds it. Damage differs somewhere, so the places are chosen
where damage is likely: the chat template, the beginning, and the end of every unbroken run, where
a write was interrupted. What the samples miss, the SHA-256 of the whole finds later.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from setup_manager.catalog import Artifact
from setup_manager.recover.content import Grid, LeftoverContent
from setup_manager.recover.spans import Span

SAMPLE_BYTES = 4096
_RANDOM_SAMPLES = 20
_MOST_RUN_ENDS = 12
_MOST_PROBES = 24
_DISTINCT_BYTES = 16
_TEMPLATE_KEY = b"tokenizer.chat_template"
_TEMPLATE_SEARCH_BYTES = 64 << 20
_MOST_TEMPLATE_BYTES = 32 << 10
_MISS_CHANCE = 0.001


class RangeReader(Protocol):
    """Reads bytes of a file from the hub."""

    def read(self, artifact: Artifact, start: int, length: int) -> bytes:
        """Return exactly these bytes of the artifact at its commit.

        Raises:
            NoRangesError: If only whole files can be had (`download.NoRangesError`).
            SetupError: If they cannot be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class Proof:
    """What the samples said.

    Attributes:
        samples: Places compared.
        random_samples: Of those, the ones that were chosen at random.
        agreed: Places that were the same here and there.
        sampled_bytes: Bytes fetched for it.
        confirmed_chunks: Chunks to use: those of the candidates that no sample spoke against.
        wrong_chunks: Chunks in which a sample differed.
    """

    samples: int
    random_samples: int
    agreed: int
    sampled_bytes: int
    confirmed_chunks: tuple[int, ...]
    wrong_chunks: tuple[int, ...]

    @property
    def undetected_share(self) -> float:
        """Share of wrong bytes that would have passed with a chance of 1 in 1000.

        From (1 - share) ** samples = 0.001; only places taken at random count.
        """
        count = self.random_samples
        return 1.0 if count == 0 else 1.0 - _MISS_CHANCE ** (1.0 / count)

    @property
    def sentence(self) -> str:
        """Say what was compared and what it is worth."""
        return (
            f"{self.agreed} of {self.samples} samples of {SAMPLE_BYTES} bytes agree with the hub; "
            f"had more than {self.undetected_share:.0%} of the bytes been wrong, the chance to "
            "miss it would be below 1 in 1000"
        )


def prove(
    content: LeftoverContent,
    artifact: Artifact,
    grid: Grid,
    chunks: Sequence[int],
    reader: RangeReader,
    *,
    rng: random.Random,
) -> Proof:
    """Compare a leftover with the hub at a few places.

    Args:
        content: The leftover.
        artifact: What it should be.
        grid: Chunks of the artifact.
        chunks: Numbers of the chunks that seem to be there.
        reader: The hub.
        rng: Chooses the random places.

    Returns:
        What was compared. Nothing is confirmed where half of the samples or more differ: then it
        is another file. Else the chunks that differ are left out, and their neighbours are
        sampled too, outwards, until one agrees.

    Raises:
        NoRangesError: If the hub gives whole files only.
        SetupError: If the hub cannot be read.
        OSError: If the file cannot be read.
    """
    compare = _Comparison(content, artifact, grid, reader)
    for place in _telling_places(content, grid, chunks, rng):
        compare.at(place)
    fixed = compare.samples
    for _ in range(_RANDOM_SAMPLES if chunks else 0):
        compare.at(_place_in(content, grid.span(rng.choice(chunks)), rng))
    random_samples = compare.samples - fixed
    if compare.agreed * 2 <= compare.samples:
        return compare.proof((), random_samples)
    compare.around_wrong(frozenset(chunks), rng)
    return compare.proof(chunks, random_samples)


class _Comparison:
    """Counts what agreed."""

    def __init__(
        self, content: LeftoverContent, artifact: Artifact, grid: Grid, reader: RangeReader
    ) -> None:
        self._content = content
        self._artifact = artifact
        self._grid = grid
        self._reader = reader
        self._fetched = 0
        self._wrong: set[int] = set()
        self._agreed: dict[Span, bool] = {}

    @property
    def samples(self) -> int:
        return len(self._agreed)

    @property
    def agreed(self) -> int:
        return sum(self._agreed.values())

    def at(self, place: Span) -> bool:
        """Compare one place."""
        if place not in self._agreed:
            there = self._reader.read(self._artifact, place.start, place.length)
            self._fetched += len(there)
            self._agreed[place] = there == self._content.read(place.start, place.length)
            if not self._agreed[place]:
                chunk_bytes = self._grid.chunk_bytes
                first, last = place.start // chunk_bytes, (place.stop - 1) // chunk_bytes
                self._wrong.update(range(first, last + 1))
        return self._agreed[place]

    def around_wrong(self, chunks: frozenset[int], rng: random.Random) -> None:
        """Sample outwards from each wrong chunk until one on either side agrees."""
        probes = _MOST_PROBES
        for first in sorted(self._wrong):
            for step in (-1, 1):
                number = first + step
                while number in chunks and number not in self._wrong and probes:
                    probes -= 1
                    if self.at(_place_in(self._content, self._grid.span(number), rng)):
                        break
                    number += step

    def proof(self, chunks: Sequence[int], random_samples: int) -> Proof:
        return Proof(
            samples=self.samples,
            random_samples=random_samples,
            agreed=self.agreed,
            sampled_bytes=self._fetched,
            confirmed_chunks=tuple(n for n in chunks if n not in self._wrong),
            wrong_chunks=tuple(sorted(self._wrong)),
        )


def _telling_places(
    content: LeftoverContent, grid: Grid, chunks: Sequence[int], rng: random.Random
) -> Iterator[Span]:
    """Yield where to look first: at what tells revisions apart and at what damage hits."""
    if not chunks:
        return
    runs = grid.runs(chunks)
    template = _template(content, runs[0]) if runs[0].start == 0 else None
    if template is not None:
        yield template
    ends = [Span(max(run.start, run.stop - SAMPLE_BYTES), run.stop) for run in runs]
    yield from rng.sample(ends, min(len(ends), _MOST_RUN_ENDS))


def _place_in(content: LeftoverContent, span: Span, rng: random.Random) -> Span:
    """Choose a place whose bytes are no mere pattern that any file could hold there."""
    place = span
    for _ in range(4):
        start = rng.randrange(span.start, max(span.start + 1, span.stop - SAMPLE_BYTES + 1))
        place = Span(start, min(start + SAMPLE_BYTES, span.stop))
        if len(set(content.read(place.start, place.length))) >= _DISTINCT_BYTES:
            break
    return place


def _template(content: LeftoverContent, run: Span) -> Span | None:
    """Find the chat template, which is what the re-upload of July 2026 changed."""
    step = 1 << 20
    for at in range(0, min(_TEMPLATE_SEARCH_BYTES, run.stop), step):
        found = content.read(at, step + len(_TEMPLATE_KEY)).find(_TEMPLATE_KEY)
        if found >= 0:
            value = at + found + len(_TEMPLATE_KEY)
            # A value is its type (4 bytes), for a string then its length (8) and its bytes.
            length = int.from_bytes(content.read(value + 4, 8), "little")
            stop = value + 12 + min(length, _MOST_TEMPLATE_BYTES)
            return Span(at + found, min(stop, run.stop))
    return None
