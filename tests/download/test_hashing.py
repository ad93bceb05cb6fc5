"""Hashing behind the front: order, inherited spans, and what is hashed again."""

from __future__ import annotations

import hashlib
import threading
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.download.board import Board
from setup_manager.download.chunks import Coverage, Span, grid
from setup_manager.download.hashing import Hasher, damaged_spans

SIZE, CHUNK, HALF = 1000, 100, 50
DATA = bytes(at * 7 % 251 for at in range(SIZE))


class Held:
    """A partial in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    def read(self, offset: int, view: memoryview) -> int:
        piece = self.data[offset : offset + len(view)]
        view[: len(piece)] = piece
        return len(piece)


def span_of(start: int, end: int, data: bytes = DATA) -> Span:
    return Span(start, end, zlib.crc32(data[start:end]), "hub")


def covered(*spans: Span) -> Board:
    coverage = Coverage(SIZE, CHUNK)
    for span in spans:
        assert coverage.add(span)
    return Board(coverage, coverage.missing(), 10 * SIZE)


def test_damage_takes_its_neighbour_with_it_and_the_hash_goes_back_before_both() -> None:
    """The neighbour was hashed already; should it come wrong this time, that must show."""
    held = Held(DATA)
    held.data[70] ^= 1
    board = covered(span_of(0, HALF), span_of(HALF, CHUNK))
    positions: list[int] = []
    stop = threading.Event()

    def on_damage(span: Span) -> int:
        assert (span.start, span.end) == (HALF, CHUNK)
        gone = board.withdraw(span.start, span.end)
        stop.set()
        return min(other.start for other in gone)

    hasher = Hasher(
        board,
        held,
        inherited={HALF: span_of(HALF, CHUNK)},
        on_damage=on_damage,
        on_hashed=positions.append,
    )
    hasher.run(stop)
    assert positions == [HALF]
    assert hasher.position == 0
    assert board.coverage.covered_bytes == 0


@given(st.sets(st.integers(0, SIZE - 1), max_size=4), st.booleans())
@settings(max_examples=40, deadline=None)
def test_whatever_was_damaged_the_digest_is_that_of_the_right_bytes(
    offsets: set[int], inherit: bool
) -> None:
    held = Held(DATA)
    for offset in offsets:
        held.data[offset] ^= 0x10
    spans = [span_of(start, end) for start, end in grid(SIZE, CHUNK)]
    board = covered(*spans)
    told: list[int] = []

    def on_damage(span: Span) -> int:
        told.append(span.start)
        gone = board.withdraw(span.start, span.end)
        held.data[span.start : span.end] = DATA[span.start : span.end]  # it comes again
        board.coverage.add(span)
        return min(other.start for other in gone)

    hasher = Hasher(
        board,
        held,
        inherited={span.start: span for span in spans} if inherit else {},
        on_damage=on_damage,
        on_hashed=lambda _: None,
    )
    hasher.run(threading.Event())
    assert hasher.done
    if inherit:
        assert told == sorted({offset // CHUNK * CHUNK for offset in offsets})
        assert hasher.hexdigest() == hashlib.sha256(DATA).hexdigest()
        return
    assert (hasher.hexdigest() == hashlib.sha256(DATA).hexdigest()) == (not offsets)
    damaged = damaged_spans(held, spans, lambda: False)
    assert [span.start for span in damaged] == sorted({o // CHUNK * CHUNK for o in offsets})
    if damaged:
        held.data[:] = DATA
        hasher.rewind(damaged[0].start)
        hasher.run(threading.Event())
        assert hasher.hexdigest() == hashlib.sha256(DATA).hexdigest()


def test_the_hash_waits_for_bytes_that_are_not_there_yet() -> None:
    board = covered(span_of(CHUNK, 2 * CHUNK))
    hasher = Hasher(
        board, Held(DATA), inherited={}, on_damage=lambda _: 0, on_hashed=lambda _: None
    )
    stop = threading.Event()
    thread = threading.Thread(target=hasher.run, args=(stop,))
    thread.start()
    thread.join(0.2)
    assert hasher.position == 0
    board.coverage.add(span_of(0, CHUNK))
    for start, end in list(grid(SIZE, CHUNK))[2:]:
        board.coverage.add(span_of(start, end))
    thread.join(5)
    assert hasher.done
    assert hasher.hexdigest() == hashlib.sha256(DATA).hexdigest()


def test_a_partial_that_ends_early_is_a_disk_error() -> None:
    board = covered(*(span_of(start, end) for start, end in grid(SIZE, CHUNK)))
    hasher = Hasher(
        board, Held(DATA[:500]), inherited={}, on_damage=lambda _: 0, on_hashed=lambda _: None
    )
    with pytest.raises(OSError, match="early"):
        hasher.run(threading.Event())
