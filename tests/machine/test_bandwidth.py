"""Bandwidth: the best moment of all threads together, measured in time, never overstated."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.machine.facts import Basis
from setup_manager.machine.probe.bandwidth import (
    GUESSES,
    Slice,
    bandwidth_from,
    best_rate,
    buffer_bytes,
    measure_reading,
)

GB = 10**9


def steady(start: float, count: int, seconds: float, size: int) -> list[Slice]:
    return [Slice(start + i * seconds, start + (i + 1) * seconds, size) for i in range(count)]


def test_one_steady_thread() -> None:
    assert best_rate(steady(0, 100, 0.0002, 2_000_000)) == pytest.approx(10 * GB)


def test_two_threads_side_by_side_add_up() -> None:
    slices = steady(0, 100, 0.0002, 2_000_000) + steady(0.0001, 100, 0.0002, 2_000_000)
    assert best_rate(slices) == pytest.approx(20 * GB)


def test_two_threads_one_after_the_other_do_not_add_up() -> None:
    slices = steady(0, 100, 0.0002, 2_000_000) + steady(1, 100, 0.0002, 2_000_000)
    assert best_rate(slices) == pytest.approx(10 * GB)


def test_moments_that_others_took_do_not_count() -> None:
    stolen = [Slice(0.02, 0.5, 2_000_000)]
    slices = steady(0, 100, 0.0002, 2_000_000) + stolen + steady(0.5, 10, 0.0004, 2_000_000)
    assert best_rate(slices) == pytest.approx(10 * GB, rel=0.01)


def test_nothing_measured() -> None:
    assert best_rate([]) == 0
    assert best_rate([Slice(1, 1, 5)]) == 0


@given(
    st.lists(
        st.builds(
            lambda start, length, size: Slice(start, start + length, size),
            st.floats(0, 1),
            st.floats(1e-5, 0.1),
            st.integers(0, 10**8),
        ),
        max_size=30,
    )
)
@settings(deadline=None, max_examples=100)
def test_rate_is_never_more_than_all_threads_could_have_read(slices: list[Slice]) -> None:
    possible = sum(piece.size_bytes / (piece.end - piece.start) for piece in slices)
    assert 0 <= best_rate(slices) <= possible * 1.000001 + 1


def test_measuring_ends_in_time_and_gives_a_plausible_figure() -> None:
    before = time.monotonic()
    measured = measure_reading(2, 4 * 1024**3)
    assert time.monotonic() - before < 3
    assert 0.5 * GB < measured < 2000 * GB


def test_too_little_memory_is_not_measured() -> None:
    assert measure_reading(2, 20 * 1024**2) == 0.0


MIB = 1024**2


@pytest.mark.parametrize(
    ("threads", "cache_mib", "size_mib"), [(1, 32, 96), (4, 8, 24), (16, 64, 12), (32, 256, 24)]
)
def test_buffers_outgrow_the_caches(threads: int, cache_mib: int, size_mib: int) -> None:
    size = buffer_bytes(threads, 64 * 1024 * MIB, cache_mib * MIB)
    assert size == size_mib * MIB
    assert size * threads >= 3 * cache_mib * MIB


def test_caches_too_large_for_the_memory_are_not_measured() -> None:
    assert buffer_bytes(2, 256 * MIB, 32 * MIB) == 0
    assert buffer_bytes(32, 1 << 40, 1024 * MIB) == 0


def test_measured_figures_are_taken_and_rubbish_is_guessed() -> None:
    assert bandwidth_from(5e9, "x86_64").source is Basis.MEASURED
    guess = bandwidth_from(0, "arm64")
    assert (guess.value, guess.source) == (GUESSES["arm64"], Basis.GUESS)
    assert bandwidth_from(0, "riscv64").value > 0
