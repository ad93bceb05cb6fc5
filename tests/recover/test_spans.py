"""Spans and chunks, against sets of single bytes."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.recover.spans import Span, common, length, merged, runs, whole_chunks

SPANS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: Span(*pair)), max_size=8
)


def members(spans: list[Span] | tuple[Span, ...]) -> set[int]:
    return {byte for span in spans for byte in range(span.start, span.stop)}


@settings(deadline=None, max_examples=300)
@given(SPANS)
def test_merged_spans_hold_the_same_bytes_and_never_touch(spans: list[Span]) -> None:
    joined = merged(spans)
    assert members(joined) == members(spans)
    assert length(joined) == len(members(spans))
    assert all(a.stop < b.start for a, b in itertools.pairwise(joined))


@settings(deadline=None, max_examples=300)
@given(SPANS, SPANS)
def test_common_spans_hold_what_both_hold(left: list[Span], right: list[Span]) -> None:
    assert members(common(left, right)) == members(left) & members(right)


@settings(deadline=None, max_examples=300)
@given(SPANS, st.integers(1, 9), st.integers(1, 70))
def test_a_chunk_counts_when_every_byte_of_it_is_there(
    spans: list[Span], chunk_bytes: int, size_bytes: int
) -> None:
    there = members(spans)
    expected = [
        number
        for number in range(-(-size_bytes // chunk_bytes))
        if all(
            byte in there
            for byte in range(number * chunk_bytes, min((number + 1) * chunk_bytes, size_bytes))
        )
    ]
    numbers = whole_chunks(spans, chunk_bytes, size_bytes)
    assert list(numbers) == expected
    assert members(runs(numbers, chunk_bytes, size_bytes)) <= there
