"""Reading headers: of real files, of fragments, and of files made to hurt."""

from __future__ import annotations

import io
import random
import struct
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.gguf.header import (
    SUPPORTED_VERSIONS,
    GgufError,
    HeaderLimits,
    LongArray,
    NeedMoreBytes,
    read_header,
)
from setup_manager.gguf.tensor_types import FILE_TYPES, TENSOR_TYPES
from tests.gguf.files import array, entry, header, string, tensor, write_model

SMALL = header(
    [
        entry("general.architecture", 8, string("gemma4")),
        entry("general.file_type", 4, struct.pack("<I", 15)),
        entry("a.flags", 9, array(7, 3, b"\x01\x00\x01")),
        entry("a.names", 9, array(8, 2, string("x") + string("yy"))),
        entry("a.pi", 6, struct.pack("<f", 3.5)),
        entry("a.low", 11, struct.pack("<q", -7)),
    ],
    [tensor("one", (256, 3), 12, 0), tensor("two", (5,), 0, 448)],
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_a_file_of_the_reference_writer_is_read_as_its_own_reader_reads_it(model: Path) -> None:
    from gguf import GGUFReader

    reference = GGUFReader(model)
    with model.open("rb") as file:
        ours = read_header(file)
    assert ours.data_offset == reference.data_offset
    assert [(t.name, ours.data_offset + t.offset, t.size_bytes) for t in ours.tensors] == [
        (t.name, t.data_offset, t.n_bytes) for t in reference.tensors
    ]
    assert set(ours.metadata) == {k for k in reference.fields if not k.startswith("GGUF.")}
    assert ours.architecture == "gemma4"
    assert ours.text("general.name") == "Gemma 4 tiny"
    assert ours.quantization == "Q5_0"
    assert ours.metadata["gemma4.attention.sliding_window_pattern"] == (True, False)
    assert ours.metadata["tokenizer.ggml.tokens"] == LongArray(8, 64)


@pytest.mark.parametrize("version", [2, 3])
def test_the_header_alone_tells_how_long_the_file_is(tmp_path: Path, version: int) -> None:
    path = write_model(tmp_path / "m.gguf", rows=3, tensors=3)
    content = bytearray(path.read_bytes())
    content[4] = version
    head = read_header(bytes(content[: 64 << 10]))
    assert head.version == version
    assert head.file_size_bytes == len(content)


def test_values_of_every_kind_come_back() -> None:
    ours = read_header(SMALL)
    assert dict(ours.metadata) == {
        "general.architecture": "gemma4",
        "general.file_type": 15,
        "a.flags": (True, False, True),
        "a.names": LongArray(8, 2),
        "a.pi": 3.5,
        "a.low": -7,
    }
    assert ours.quantization == "Q4_K_M"
    assert [t.size_bytes for t in ours.tensors] == [3 * 144, 20]
    assert ours.data_end == ours.data_offset + 468
    assert ours.file_size_bytes == ours.data_offset + 480


def test_every_shorter_prefix_asks_for_more_and_never_for_less() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(NeedMoreBytes) as caught:
            read_header(SMALL[:length])
        assert length < caught.value.needed_bytes <= len(SMALL)


class _Trickle(io.RawIOBase):
    """A stream that gives few bytes at a time, as a socket does."""

    def __init__(self, content: bytes) -> None:
        self._inner = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(min(size, 3))


def test_a_stream_that_trickles_gives_the_same_header() -> None:
    assert read_header(_Trickle(SMALL)) == read_header(SMALL)  # type: ignore[arg-type]


def test_a_header_across_window_borders_is_read() -> None:
    long_array = array(8, 300_000, string("abcdefg") * 300_000)
    numbers = array(5, 700_000, bytes(2_800_000))
    content = header(
        [
            entry("t.tokens", 9, long_array),
            entry("t.numbers", 9, numbers),
            entry("t.template", 8, string("x" * 900_000)),
            entry("t.last", 4, struct.pack("<I", 7)),
        ],
        [tensor("w", (256,), 0, 0)],
    )
    ours = read_header(content)
    assert ours.metadata["t.last"] == 7
    assert ours.metadata["t.tokens"] == LongArray(8, 300_000)
    with pytest.raises(NeedMoreBytes) as caught:
        read_header(content[:2_000_000])
    assert 2_000_000 < caught.value.needed_bytes <= len(content)


def test_the_type_table_agrees_with_the_reference_package() -> None:
    from gguf import constants

    for kind, (block_length, block_bytes) in constants.GGML_QUANT_SIZES.items():
        ours = TENSOR_TYPES[int(kind)]
        assert ours.name == kind.name
        assert ours.block_length == block_length
        if ours.name != "Q8_1":  # the package says 40; ggml's block_q8_1 is 2 + 2 + 32 bytes
            assert ours.block_bytes == block_bytes


def test_the_file_types_agree_with_the_reference_package() -> None:
    from gguf import LlamaFileType

    names = {int(t): t.name.removeprefix("MOSTLY_").removeprefix("ALL_") for t in LlamaFileType}
    assert {number: names.get(number) for number in FILE_TYPES} == FILE_TYPES


def test_a_type_newer_than_the_table_leaves_the_length_open() -> None:
    ours = read_header(header([], [tensor("new", (32,), 999, 0)]))
    assert ours.tensors[0].size_bytes is None
    assert ours.file_size_bytes is None


HUGE = struct.pack("<Q", (1 << 64) - 1)
HOSTILE = {
    "wrong magic": (b"GGML" + SMALL[4:], "begins with"),
    "version 1": (header([], [], version=1), "version 1"),
    "version 4": (header([], [], version=4), "version 4"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "a tensor count of 2^64-1": (b"GGUF" + struct.pack("<I", 3) + HUGE + bytes(8), "tensors"),
    "a key count of 2^64-1": (b"GGUF" + struct.pack("<IQ", 3, 0) + HUGE, "keys"),
    "a key of 2^64-1 bytes": (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + HUGE, "key is"),
    "a string of 2^64-1 bytes": (header([entry("k", 8, HUGE)], []), "string is"),
    "a string of 2 MiB": (header([entry("k", 8, string("x" * (2 << 20)))], []), "string is"),
    "an array of 2^64-1": (header([entry("k", 9, struct.pack("<I", 0) + HUGE)], []), "elements"),
    "an array of strings, one huge": (header([entry("k", 9, array(8, 1, HUGE))], []), "string is"),
    "an array of a type that is none": (header([entry("k", 9, array(77, 1, b"x"))], []), "type 77"),
    "a value of a type that is none": (header([entry("k", 13, b"x")], []), "type 13"),
    "arrays nested for ever": (header([entry("k", 9, array(9, 1, b"") * 999)], []), "nested"),
    "a truth value of 2": (header([entry("k", 7, b"\x02")], []), "boolean"),
    "a key twice": (header([entry("k", 0, b"a"), entry("k", 0, b"b")], []), "twice"),
    "a key that is no text": (header([entry(b"\xff\xfe", 0, b"a")], []), "UTF-8"),
    "a tensor twice": (header([], [tensor("a", (1,), 0, 0), tensor("a", (1,), 0, 32)]), "twice"),
    "2^32-1 dimensions": (header([], [string("a") + b"\xff" * 4]), "dimensions"),
    "a shape beyond 2^64": (header([], [tensor("a", (1 << 62, 1 << 62), 0, 0)]), "beyond"),
    "an offset of 2^63": (header([], [tensor("a", (1,), 0, 1 << 63)]), "beyond"),
    "an offset that is not aligned": (header([], [tensor("a", (1,), 0, 5)]), "aligned"),
    "half a block": (header([], [tensor("a", (100,), 12, 0)]), "blocks"),
    "an alignment of 0": (
        header([entry("general.alignment", 4, bytes(4))], []),
        "power of two",
    ),
    "an alignment that is text": (
        header([entry("general.alignment", 8, string("32"))], []),
        "not an integer",
    ),
    "too many strings to keep": (
        header([entry(f"k{i}", 8, string("x" * 1_000_000)) for i in range(12)], []),
        "strings and short arrays take",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_header_is_an_error_with_its_reason(case: str) -> None:
    content, word = HOSTILE[case]
    with pytest.raises(GgufError, match=word) as caught:
        read_header(content)
    assert not isinstance(caught.value, NeedMoreBytes)


def test_a_header_longer_than_the_limit_is_refused_without_reading_it() -> None:
    content = header([entry("k", 9, array(0, 2000, bytes(2000)))], [])
    with pytest.raises(GgufError, match="longer than 2010"):
        read_header(content, HeaderLimits(header_bytes=2010, kept_elements=1))
    assert read_header(content, HeaderLimits(kept_elements=1)).metadata["k"] == LongArray(0, 2000)


def test_a_name_with_control_characters_is_made_fit_to_print() -> None:
    content = header([entry("general.name", 8, string("a\x1b[31m\nb\u202e" + "c" * 900))], [])
    text = read_header(content).text("general.name")
    assert text is not None
    assert text.startswith("a [31m b ")
    assert len(text) <= 200
    assert text.isprintable()


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_give_a_header_or_a_gguf_error(content: bytes) -> None:
    for start in (b"", b"GGUF\x03\0\0\0", SMALL[:24]):
        try:
            found = read_header(start + content)
        except GgufError:
            continue
        assert found.version in SUPPORTED_VERSIONS
        assert found.data_offset % found.alignment == 0


def test_mutated_headers_give_a_header_or_a_gguf_error(model: Path) -> None:
    from scripts.fuzz_gguf import fuzz

    assert fuzz(model.read_bytes()[: 64 << 10], rounds=2000, seed=random.randrange(1 << 30)) > 0


def test_a_real_vocabulary_costs_little_time_and_memory(tmp_path: Path) -> None:
    tokens, merges = 262_144, 514_906
    content = header(
        [
            entry("tokenizer.ggml.tokens", 9, array(8, tokens, string("▁token") * tokens)),
            entry("tokenizer.ggml.scores", 9, array(6, tokens, bytes(4 * tokens))),
            entry("tokenizer.ggml.merges", 9, array(8, merges, string("▁to ken") * merges)),
        ],
        [tensor("w", (256,), 0, 0)],
    )
    path = tmp_path / "vocabulary.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    with path.open("rb") as file:
        read_header(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    begun = time.process_time()
    with path.open("rb") as file:
        read_header(file)
    assert peak < 8 << 20
    assert time.process_time() - begun < 3
