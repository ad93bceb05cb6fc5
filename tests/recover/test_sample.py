"""What samples are worth."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from setup_manager.catalog.artifact import Artifact
from setup_manager.recover.content import Grid, LeftoverContent
from setup_manager.recover.sample import SAMPLE_BYTES, Proof, prove
from setup_manager.units import MIB

SIZE = 32 * MIB
ARTIFACT = Artifact("o/n", "m.gguf", "0" * 40, SIZE, "0" * 64)


class Held:
    """Serves the right bytes and remembers where they were asked for."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked: list[tuple[int, int]] = []

    def read(self, artifact: Artifact, start: int, length: int) -> bytes:
        self.asked.append((start, length))
        return self.content[start : start + length]


def proof_of(theirs: bytes, right: bytes, tmp_path: Path, seed: int = 1) -> tuple[Proof, Held]:
    path = tmp_path / "leftover"
    path.write_bytes(theirs)
    reader = Held(right)
    grid = Grid(len(right), MIB)
    with LeftoverContent(path) as content:
        chunks = content.written_chunks(grid)
        return prove(content, ARTIFACT, grid, chunks, reader, rng=random.Random(seed)), reader


@pytest.fixture(scope="module")
def right() -> bytes:
    return random.Random(0).randbytes(SIZE)


def test_the_samples_are_few_and_small(right: bytes, tmp_path: Path) -> None:
    proof, reader = proof_of(right[: 20 * MIB], right, tmp_path)
    assert len(proof.confirmed_chunks) == 20
    assert proof.samples == proof.agreed == len(reader.asked) <= 22
    assert proof.sampled_bytes == sum(length for _, length in reader.asked)
    assert all(length == SAMPLE_BYTES for _, length in reader.asked)
    assert f"{proof.agreed} of {proof.samples} samples" in proof.sentence
    assert "29%" in proof.sentence


def test_the_end_of_every_run_is_looked_at(right: bytes, tmp_path: Path) -> None:
    theirs = bytearray(SIZE)
    for start, stop in ((0, 5), (9, 14), (20, 30)):
        theirs[start * MIB : stop * MIB] = right[start * MIB : stop * MIB]
    _, reader = proof_of(bytes(theirs), right, tmp_path)
    starts = {start for start, _ in reader.asked}
    assert {stop * MIB - SAMPLE_BYTES for stop in (5, 14, 30)} <= starts


def test_the_stated_chance_is_kept(right: bytes, tmp_path: Path) -> None:
    # 10 of 32 chunks are wrong, where no fixed sample looks: 0.6 misses in 1000 are expected.
    theirs = bytearray(right)
    for number in range(1, 31, 3):
        theirs[number * MIB : (number + 1) * MIB] = random.Random(number).randbytes(MIB)
    path = tmp_path / "leftover"
    path.write_bytes(theirs)
    grid, reader = Grid(SIZE, MIB), Held(right)
    missed = 0
    with LeftoverContent(path) as content:
        chunks = content.written_chunks(grid)
        for seed in range(200):
            proof = prove(content, ARTIFACT, grid, chunks, reader, rng=random.Random(seed))
            missed += not proof.wrong_chunks
    assert missed <= 2


def test_another_file_is_never_confirmed(right: bytes, tmp_path: Path) -> None:
    other = random.Random(7).randbytes(SIZE)
    proof, _ = proof_of(other, right, tmp_path)
    assert proof.confirmed_chunks == ()
    assert proof.agreed == 0


def test_an_empty_leftover_proves_nothing(right: bytes, tmp_path: Path) -> None:
    proof, reader = proof_of(bytes(SIZE), right, tmp_path)
    assert (proof.samples, proof.confirmed_chunks, reader.asked) == (0, (), [])
    assert proof.undetected_share == 1.0
