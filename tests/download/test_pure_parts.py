"""The parts without I/O: chunks, journal, board, plan, protocol tables, pace."""

from __future__ import annotations

import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.catalog.artifact import Artifact
from setup_manager.download.board import Board, Lease
from setup_manager.download.chunks import (
    Coverage,
    Span,
    chunk_size,
    grid,
    joined_crc,
    second_crc,
    split_on_grid,
)
from setup_manager.download.events import Meter
from setup_manager.download.job import DownloadOptions, FileJob, FilePlaces
from setup_manager.download.journal import (
    Header,
    header_line,
    replay,
    rewritten,
    span_lines,
    usable,
)
from setup_manager.download.pace import ConnectionCount, RateLimit, memory_pressure
from setup_manager.download.plan import DiskState, DownloadPlan, Room, plan_file
from setup_manager.errors import InsufficientDiskError

SIZE, CHUNK = 1000, 100
HEADER = Header("a" * 64, SIZE, CHUNK, "owner")
ARTIFACT = Artifact("org/model", "sub dir/w.gguf", "c" * 40, SIZE, "a" * 64)

ranges = st.tuples(st.integers(-5, SIZE + 5), st.integers(-5, SIZE + 5))
spans = st.builds(
    Span,
    st.integers(0, SIZE),
    st.integers(0, SIZE),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["hub", "mirror"]),
)


# Check values


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_check_values_of_two_stretches_join_and_come_apart(left: bytes, right: bytes) -> None:
    both = zlib.crc32(left + right)
    assert joined_crc(zlib.crc32(left), zlib.crc32(right), len(right)) == both
    assert second_crc(both, zlib.crc32(left), len(right)) == zlib.crc32(right)


def test_check_values_join_over_gigabytes() -> None:
    block = zlib.crc32(bytes(1 << 20))
    crc, length = block, 1 << 20
    while length < 1 << 33:
        crc, length = joined_crc(crc, crc, length), 2 * length
    direct = 0
    for _ in range(64):
        direct = zlib.crc32(bytes(1 << 20), direct)
    sixty_four, size = block, 1 << 20
    for _ in range(6):
        sixty_four, size = joined_crc(sixty_four, sixty_four, size), 2 * size
    assert sixty_four == direct
    assert crc != direct


# Coverage


@given(st.lists(spans, max_size=30))
@settings(max_examples=200, deadline=None)
def test_coverage_never_overlaps_and_its_gaps_are_the_rest(found: list[Span]) -> None:
    coverage = Coverage(SIZE, CHUNK)
    accepted = set[int]()
    for span in found:
        bytes_of = set(range(span.start, span.end))
        fits = bytes_of and span.start // CHUNK == (span.end - 1) // CHUNK
        if coverage.add(span):
            assert fits
            assert not accepted & bytes_of
            accepted |= bytes_of
        else:
            assert not fits or accepted & bytes_of
    gaps = {at for start, end in coverage.missing() for at in range(start, end)}
    assert gaps == set(range(SIZE)) - accepted
    assert coverage.covered_bytes == len(accepted)
    for start, end in coverage.missing():
        assert start // CHUNK == (end - 1) // CHUNK
    for position in range(0, SIZE, 37):
        end = coverage.run_end(position)
        assert set(range(position, end)) <= accepted
        assert end not in accepted


@given(st.binary(min_size=SIZE, max_size=SIZE), st.lists(st.integers(0, SIZE), max_size=20))
@settings(max_examples=60, deadline=None)
def test_joined_spans_keep_true_check_values(data: bytes, cuts: list[int]) -> None:
    borders = sorted({0, SIZE, *cuts, *range(0, SIZE, CHUNK)})
    pieces = list(pairwise(borders))
    coverage = Coverage(SIZE, CHUNK)
    for start, end in sorted(pieces, key=lambda piece: zlib.crc32(repr(piece).encode())):
        assert coverage.add(Span(start, end, zlib.crc32(data[start:end]), "hub"))
    assert [(s.start, s.end) for s in coverage.spans()] == list(grid(SIZE, CHUNK))
    assert all(span.crc == zlib.crc32(data[span.start : span.end]) for span in coverage.spans())


@given(st.lists(spans, max_size=20), ranges)
@settings(deadline=None)
def test_discarding_forgets_whole_spans_that_touch(found: list[Span], cut: tuple[int, int]) -> None:
    coverage = Coverage(SIZE, CHUNK)
    for span in found:
        coverage.add(span)
    before = list(coverage.spans())
    gone = coverage.discard(*cut)
    assert sorted([*gone, *coverage.spans()]) == before
    assert all(span.start < cut[1] and cut[0] < span.end for span in gone)
    assert coverage.covered_bytes == sum(span.size_bytes for span in coverage.spans())


def test_small_files_take_small_chunks_and_a_grid_covers_all() -> None:
    assert [chunk_size(size) >> 20 for size in (1, 16 << 20, 60 << 20, 5 << 30)] == [1, 1, 4, 16]
    assert list(grid(250, 100)) == [(0, 100), (100, 200), (200, 250)]
    assert list(grid(0, 100)) == []
    assert list(split_on_grid(50, 250, 100)) == [(50, 100), (100, 200), (200, 250)]


# Journal


def whole(found: list[Span]) -> tuple[Coverage, bytes]:
    coverage = Coverage(SIZE, CHUNK)
    for span in found:
        coverage.add(span)
    return coverage, rewritten(HEADER, coverage)


@given(st.lists(spans, max_size=20))
@settings(deadline=None)
def test_a_journal_says_what_was_written(found: list[Span]) -> None:
    coverage, data = whole(found)
    read = replay(data)
    assert read.header == HEADER
    assert list(read.coverage.spans()) == list(coverage.spans())
    assert read.dropped_lines == 0


@given(st.lists(spans, max_size=10), st.data())
@settings(deadline=None)
def test_a_journal_cut_anywhere_never_says_more(found: list[Span], data: st.DataObject) -> None:
    coverage, text = whole(found)
    cut = data.draw(st.integers(0, len(text)))
    read = replay(text[:cut])
    assert set(read.coverage.spans()) <= set(coverage.spans())


@given(st.lists(spans, max_size=10), st.integers(0, 10_000), st.integers(0, 255))
@settings(deadline=None)
def test_a_journal_with_any_byte_changed_never_says_more(
    found: list[Span], at: int, value: int
) -> None:
    coverage, text = whole(found)
    changed = bytearray(text)
    changed[at % len(text)] = value
    read = replay(bytes(changed))
    assert read.header in {None, HEADER}
    assert set(read.coverage.spans()) <= set(coverage.spans())


@given(st.binary(max_size=2000))
def test_noise_is_no_journal(noise: bytes) -> None:
    assert replay(noise).header is None
    read = replay(header_line(HEADER).encode() + noise)
    assert read.header == HEADER
    assert read.coverage.covered_bytes == 0


def _covered(coverage: Coverage | None) -> int | None:
    return coverage.covered_bytes if coverage else None


def test_what_of_a_journal_counts() -> None:
    coverage, data = whole([Span(0, 100, 1, "hub"), Span(500, 600, 2, "hub")])
    found = replay(data)
    assert [_covered(usable(found, "a" * 64, SIZE, size)) for size in (SIZE, 550)] == [200, 100]
    assert usable(found, "b" * 64, SIZE, SIZE) is None
    assert usable(found, "a" * 64, SIZE + 1, SIZE) is None
    assert coverage.covered_bytes == 200


def test_a_line_of_a_later_version_is_not_read_as_one_of_ours() -> None:
    text = header_line(HEADER).replace(" 1 ", " 2 ", 1)
    assert replay(text.encode()).header is None
    assert span_lines([]) == ""


# Board


@given(st.lists(st.integers(0, 7), max_size=120))
@settings(max_examples=150, deadline=None)
def test_whatever_connections_do_no_byte_is_lost_or_counted_twice(moves: list[int]) -> None:
    data = bytes(at % 251 for at in range(SIZE))
    coverage = Coverage(SIZE, CHUNK)
    board = Board(coverage, coverage.missing(), 10 * SIZE)
    leases: list[Lease] = []
    now = 0.0
    for move in [*moves, *([0, 1, 1, 2, 3] * 40)]:
        now += 1.0
        if move == 0 and len(leases) < 4:
            lease = board.acquire("hub", now, split_bytes=8, split_seconds=0.0)
            leases += [lease] if lease else []
        elif move in {1, 4, 5} and leases:
            lease = leases[move % len(leases)]
            size = board.reserve(lease, 8)
            if size:
                piece = data[lease.position : lease.position + size]
                board.advance(lease, size, size, zlib.crc32(piece, lease.crc))
            else:
                leases.remove(lease)
                board.release(lease)
        elif move == 2 and leases and len(leases) > 2:
            board.release(leases.pop(0))
        elif move == 3:
            board.settle(board.collect())
        elif move == 6 and coverage.covered_bytes:
            first = next(iter(coverage.spans()))
            board.withdraw(first.start, first.end)
    for lease in leases:
        board.release(lease)
    board.settle(board.collect())
    while lease := board.acquire("hub", now, split_bytes=8, split_seconds=1e9):
        size = board.reserve(lease, SIZE)
        piece = data[lease.position : lease.position + size]
        board.advance(lease, size, size, zlib.crc32(piece, lease.crc))
        board.release(lease)
    board.settle(board.collect())
    assert board.complete
    assert board.uncovered_bytes == 0
    assert coverage.covered_bytes == SIZE
    assert board.written_end(0) == SIZE
    for span in coverage.spans():
        assert span.crc == zlib.crc32(data[span.start : span.end])


# Plan


def planned(*states: DiskState, free_bytes: int, copied_bytes: int = 0) -> DownloadPlan:
    places = FilePlaces(*[Path("/models")] * 6)
    options = DownloadOptions(chunk_bytes=CHUNK)
    files = tuple(plan_file(FileJob(ARTIFACT, ()), places, state, options) for state in states)
    return DownloadPlan(files, Room(Path("/models"), free_bytes), copied_bytes, reserve_bytes=100)


def test_a_plan_counts_what_is_here() -> None:
    coverage = Coverage(SIZE, CHUNK)
    coverage.add(Span(0, 100, 0, "hub"))
    states = [
        DiskState(coverage=coverage, allocated_bytes=300),
        DiskState(installed=True),
        DiskState(),
    ]
    plan = planned(*states, free_bytes=1850, copied_bytes=50)
    assert [file.fetch_bytes for file in plan.files] == [900, 0, 1000]
    assert (plan.reuse_bytes, plan.write_bytes, plan.peak_disk_bytes) == (1100, 1700, 1750)
    plan.check_room()
    with pytest.raises(InsufficientDiskError) as caught:
        planned(*states, free_bytes=1849, copied_bytes=50).check_room()
    assert "1 B" in caught.value.hint


def test_copies_on_another_disk_need_their_room_there() -> None:
    plan = planned(DiskState(), free_bytes=1100, copied_bytes=5000)
    with pytest.raises(InsufficientDiskError):
        plan.check_room()
    replace(plan, copies_room=Room(Path("/store"), 5100)).check_room()
    with pytest.raises(InsufficientDiskError) as caught:
        replace(plan, copies_room=Room(Path("/store"), 5099)).check_room()
    assert caught.value.context[0] == "/store"


def test_nothing_to_write_needs_no_room() -> None:
    plan = planned(DiskState(installed=True), free_bytes=0)
    plan.check_room()
    assert plan.peak_disk_bytes == 0


# Pace and progress


def test_connections_grow_while_that_helps_and_stop_where_it_does_not() -> None:
    count = ConnectionCount(None, 16)
    seen = [count.sample(100.0 * min(count.target, 6)) for _ in range(100)]
    assert max(seen) <= 9
    assert 5 <= sum(seen) / len(seen) <= 7
    capped = ConnectionCount(None, 16)
    reached = [capped.sample(100.0 * capped.target) for _ in range(60)]
    assert sum(reached[20:]) / 40 > 14


def test_connections_become_few_where_one_is_enough() -> None:
    flat = ConnectionCount(None, 16)
    seen = [flat.sample(1000.0) for _ in range(60)]
    assert max(seen) == 6
    assert sum(seen[30:]) / 30 < 2


def test_connections_do_not_grow_while_this_machine_holds_reads_back() -> None:
    count = ConnectionCount(None, 16)
    seen = [count.sample(100.0 * count.target, held_back=True) for _ in range(40)]
    assert max(seen) == 4


def test_connections_fall_under_pressure_and_stay_where_they_are_fixed() -> None:
    count = ConnectionCount(None, 16)
    assert [count.sample(1000.0, pressed=True) for _ in range(3)] == [2, 1, 1]
    fixed = ConnectionCount(3, 16)
    assert {fixed.sample(rate, pressed=True) for rate in (1.0, 10.0, 100.0)} == {3}


def test_a_low_limit_reads_in_small_pieces() -> None:
    assert RateLimit(None).quantum(500) == 500
    assert RateLimit(1000).quantum(500) == 100
    assert RateLimit(5).quantum(500) == 1


def test_memory_pressure_is_read_from_the_kernels_text() -> None:
    text = "some avg10=12.34 avg60=1.00 avg300=0.00 total=1\nfull avg10=1.00 avg60=0 total=0\n"
    assert memory_pressure(text) == 12.34
    assert memory_pressure("") == 0.0
    assert memory_pressure("some avg10=x") == 0.0


@given(st.lists(st.tuples(st.floats(0, 9), st.integers(-10, 200)), max_size=40))
def test_a_meter_never_goes_back_or_over(samples: list[tuple[float, int]]) -> None:
    meter, now, last = Meter(100), 0.0, 0
    for pause, present in samples:
        now += pause
        meter.sample(now, present)
        assert last <= meter.shown <= 100
        assert meter.rate >= 0
        assert meter.eta is None or meter.eta >= 0
        last = meter.shown
