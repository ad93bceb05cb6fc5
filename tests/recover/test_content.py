"""Which bytes of a file were ever written, against files whose every block is known."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from setup_manager.recover.content import BLOCK_BYTES, Grid, LeftoverContent
from setup_manager.recover.spans import Span, common, length

CHUNK = 16 * BLOCK_BYTES
BLOCKS = st.lists(
    st.lists(st.sampled_from(["data", "data", "data", "hole", "zeros"]), min_size=16, max_size=16)
    | st.sampled_from([["data"] * 16, ["hole"] * 16, ["zeros"] * 16]),
    min_size=1,
    max_size=40,
)


def lay_out(path: Path, blocks: list[str]) -> None:
    rng = random.Random(3)
    with path.open("wb") as file:
        for block in blocks:
            if block == "hole":
                file.seek(BLOCK_BYTES, 1)
            else:
                file.write(rng.randbytes(BLOCK_BYTES) if block == "data" else bytes(BLOCK_BYTES))
        file.truncate(len(blocks) * BLOCK_BYTES)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(chunks=BLOCKS, cut=st.integers(0, 3 * BLOCK_BYTES))
def test_exactly_the_chunks_without_a_gap_are_used(
    chunks: list[list[str]], cut: int, tmp_path: Path
) -> None:
    path = tmp_path / "leftover"
    lay_out(path, [block for chunk in chunks for block in chunk])
    size = len(chunks) * CHUNK
    with path.open("r+b") as file:
        file.truncate(size - cut)
    grid = Grid(size, CHUNK)
    with LeftoverContent(path) as content:
        seeming = content.written_chunks(grid)
        used = [n for n in seeming if not content.has_zero_block(grid.span(n))]
    full = [n for n, chunk in enumerate(chunks) if set(chunk) == {"data"}]
    assert used == [n for n in full if (n + 1) * CHUNK <= size - cut]


@pytest.mark.parametrize("shift", [-3 * BLOCK_BYTES, 0, 32, 7 * BLOCK_BYTES])
def test_a_shift_moves_every_byte_by_as_much(tmp_path: Path, shift: int) -> None:
    path = tmp_path / "leftover"
    theirs = random.Random(1).randbytes(20 * CHUNK)
    path.write_bytes(theirs)
    first = 5 * BLOCK_BYTES
    wanted = bytearray(len(theirs) + shift)
    wanted[first + shift :] = theirs[first:]
    grid = Grid(len(wanted), CHUNK)
    with LeftoverContent(path, shift_bytes=shift, first_byte=first) as content:
        (span,) = content.spans()
        assert span == Span(first + shift, len(wanted))
        chunks = content.written_chunks(grid)
        assert length(common(grid.runs(chunks), [span])) == length(grid.runs(chunks)) > 0
        for number in chunks:
            start, stop = grid.span(number)
            assert content.read(start, stop - start) == bytes(wanted[start:stop])
