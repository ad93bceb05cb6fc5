"""The border to JSON: typed values or one error that names the field."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setup_manager.codec import Bytes, CodecError, Text, dump, from_plain, load, parse, to_plain


class Kind(StrEnum):
    BIG = "big"
    SMALL = "small"


@dataclass(frozen=True, slots=True)
class Part:
    size_bytes: Bytes
    path: Path
    kind: Kind = Kind.BIG
    labels: frozenset[Text] = frozenset()


@dataclass(frozen=True, slots=True)
class Whole:
    parts: tuple[Part, ...]
    rate: float | None = None


parts = st.builds(
    Part,
    st.integers(0, 1 << 60),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9).map(
        Path
    ),
    st.sampled_from(Kind),
    st.frozensets(st.text(st.characters(codec="utf-8"), max_size=9), max_size=3),
)


@given(st.builds(Whole, st.lists(parts, max_size=3).map(tuple), st.none() | st.floats(0, 1e9)))
def test_a_value_survives_the_way_through_json(value: Whole) -> None:
    assert load(Whole, dump(value)) == value


def test_plain_values_are_what_json_has() -> None:
    value = Whole((Part(1, Path("/a"), Kind.SMALL, frozenset({"b", "a"})),))
    plain = to_plain(value)
    assert plain == {
        "parts": [{"size_bytes": 1, "path": "/a", "kind": "small", "labels": ["a", "b"]}],
        "rate": None,
    }
    assert json.loads(json.dumps(plain)) == plain


@pytest.mark.parametrize(
    ("document", "path", "problem"),
    [
        ({}, "parts", "is missing"),
        ({"parts": [{"path": "/a"}]}, "parts[0].size_bytes", "is missing"),
        ({"parts": [{"size_bytes": -1, "path": "/a"}]}, "parts[0].size_bytes", ">= 0"),
        ({"parts": [{"size_bytes": True, "path": "/a"}]}, "parts[0].size_bytes", "got `bool`"),
        ({"parts": [{"size_bytes": 1.0, "path": "/a"}]}, "parts[0].size_bytes", "got `float`"),
        ({"parts": [{"size_bytes": 1, "path": 4}]}, "parts[0].path", "got"),
        ({"parts": [{"size_bytes": 1, "path": "a\0"}]}, "parts[0].path", "expected a path"),
        ({"parts": [{"size_bytes": 1, "path": "", "kind": "odd"}]}, "parts[0].kind", "'odd'"),
        ({"parts": {}}, "parts", "expected `array`"),
        ([], "", "expected `object`"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(document: Any, path: str, problem: str) -> None:
    with pytest.raises(CodecError) as refused:
        from_plain(Whole, document)
    assert refused.value.path == path
    assert problem in refused.value.problem


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"rate": NaN}',
        '{"rate": 1e999}',
        "[" * 100_000,
        b'"\xff"',
        '"\udcff"',
        " " * (17 << 20),
    ],
    ids=["empty", "torn", "nan", "infinite", "deep", "not utf-8", "surrogate", "long"],
)
def test_text_that_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(CodecError):
        parse(text)


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_text_that_is_no_document_of_ours_is_refused_by_name(text: str | bytes) -> None:
    with pytest.raises(CodecError):
        load(Whole, text)
