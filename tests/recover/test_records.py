"""Names and records of other tools: what they mean, and that rubbish in them does no harm."""

from __future__ import annotations

import json
import struct
from pathlib import PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.recover.leftover import Trace
from setup_manager.recover.records import read_control, read_parts
from setup_manager.recover.spans import Span
from setup_manager.recover.tools import TOOLS, recognise

HEX = "0123456789abcdef" * 4
FOLDER = PurePath("/home/someone/Downloads")


def trace_of(name: str, folder: PurePath = FOLDER, siblings: tuple[str, ...] = ()) -> Trace | None:
    return recognise(folder, name, frozenset(siblings))


@pytest.mark.parametrize(
    ("name", "folder", "left_by", "final", "finished", "digest"),
    [
        (f"{HEX}.incomplete", "/c/blobs", "`hf download`", "", False, HEX),
        (f"{HEX}.1a2b3c4d.incomplete", "/c/blobs", "`hf download`", "", False, HEX),
        (
            f"dqEXVxbSBvFCJ2GqBrk1HYnF0eM=.{HEX}.incomplete",
            "/m/.cache/huggingface/download",
            "`hf download`",
            "",
            False,
            HEX,
        ),
        (
            f"dqEXVxbSBvFCJ2GqBrk1HYnF0eM=.{HEX}.0a1b2c3d.incomplete",
            "/m/.cache/huggingface/download",
            "`hf download`",
            "",
            False,
            HEX,
        ),
        (HEX, "/c/models--o--n/blobs", "the hub cache", "", True, HEX),
        (f"{HEX}.downloadInProgress", "/c/blobs", "llama.cpp", "", False, HEX),
        ("o_n_m-Q4_0.gguf.downloadInProgress", "/l", "llama.cpp", "o_n_m-Q4_0.gguf", False, None),
        ("o_n_m.gguf", "/h/.cache/llama.cpp", "llama.cpp", "o_n_m.gguf", True, None),
        (f"sha256-{HEX}-partial", "/o/blobs", "`ollama pull`", "", False, HEX),
        (f"sha256-{HEX}", "/o/blobs", "Ollama", "", True, HEX),
        ("m.gguf.crdownload", "/d", "a browser", "m.gguf", False, None),
        ("m (3).gguf.crdownload", "/d", "a browser", "m.gguf", False, None),
        ("Unconfirmed 812345.crdownload", "/d", "a browser", "", False, None),
        (".com.google.Chrome.aB3xYz", "/d", "a browser", "", False, None),
        (".org.chromium.Chromium.aB3xYz", "/d", "a browser", "", False, None),
        ("m.gguf.part", "/d", "a browser", "m.gguf", False, None),
        ("m.AbCd-_12.gguf.part", "/d", "a browser", "m.gguf", False, None),
        ("m(1).AbCd-_12.gguf.part", "/d", "a browser", "m.gguf", False, None),
        ("m.gguf.download", "/d", "a browser", "m.gguf", False, None),
        ("m (1).gguf", "/d", "another tool", "m.gguf", True, None),
        ("M.GGUF", "/d", "another tool", "M.GGUF", True, None),
        ("m.gguf", "/h/.lmstudio/models/o/n", "LM Studio", "m.gguf", True, None),
        ("downloading_m.gguf.part", "/h/.lmstudio/models/o", "LM Studio", "m.gguf", False, None),
        ("m.gguf.part", "/h/.lmstudio/models/o/n", "LM Studio", "m.gguf", False, None),
        ("model.gguf.tmp", "/h/Jan/data/llamacpp/models/x", "Jan", "model.gguf", False, None),
    ],
)
def test_a_name_tells_who_left_a_file(
    name: str, folder: str, left_by: str, final: str, finished: bool, digest: str | None
) -> None:
    trace = trace_of(name, PurePath(folder))
    assert trace is not None
    assert (trace.left_by, trace.file_name) == (left_by, final)
    assert (trace.finished, trace.sha256) == (finished, digest)


@pytest.mark.parametrize(
    "name",
    [
        f"{HEX}.gemma-setup.partial",
        f"{HEX}.gemma-setup.partial.journal",
        "model.gguf.aria2",
        f"sha256-{HEX}-partial-3",
        "sha256-abc",
        f"{HEX[:-1]}.incomplete",
        "readme.txt",
        "model.safetensors",
        HEX,
        "",
    ],
)
def test_what_is_ours_or_nobodys_is_passed_over(name: str) -> None:
    assert trace_of(name) is None


def test_a_file_inside_safaris_download_folder_is_found() -> None:
    trace = trace_of("m.gguf", PurePath("/d/m.gguf.download"))
    assert trace is not None
    assert (trace.left_by, trace.file_name, trace.finished) == ("a browser", "m.gguf", False)


def test_a_control_file_beside_it_makes_a_file_aria2s() -> None:
    trace = trace_of("m.gguf", siblings=("m.gguf", "m.gguf.aria2"))
    assert trace is not None
    assert (trace.left_by, trace.records) == ("aria2", ("m.gguf.aria2",))


def part(number: int, offset: int, size: int, completed: int) -> bytes:
    return json.dumps(
        {"N": number, "Offset": offset, "Size": size, "Completed": completed}
    ).encode()


def test_ollamas_part_records_are_read() -> None:
    name = f"sha256-{HEX}-partial"
    trace = trace_of(name, siblings=(name, f"{name}-0", f"{name}-1", f"{name}-10"))
    assert trace is not None
    assert trace.records == (f"{name}-0", f"{name}-1", f"{name}-10")
    claims = read_parts([part(0, 0, 100, 100), part(1, 100, 100, 7), part(2, 200, 50, 0)])
    assert claims.spans == (Span(0, 107),)
    assert claims.size_bytes == 250


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b'{"N":1,"Offset":100}',
        b"[1,2]",
        b"null",
        b'{"Offset":-5,"Size":10,"Completed":1}',
        b'{"Offset":1e400,"Size":10,"Completed":1}',
        b'{"Offset":true,"Size":10,"Completed":1}',
        b'{"Offset":9223372036854775807,"Size":9223372036854775807,"Completed":1}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_torn_part_record_claims_nothing_and_leaves_the_length_open(record: bytes) -> None:
    claims = read_parts([part(0, 0, 100, 50), record])
    assert claims.spans == (Span(0, 50),)
    assert claims.size_bytes is None


def test_a_part_never_counts_more_than_its_size() -> None:
    assert read_parts([part(0, 0, 100, 5000)]).spans == (Span(0, 100),)


def control(
    bits: bytes,
    size: int,
    *,
    piece: int = 1 << 20,
    version: int = 1,
    flights: tuple[tuple[int, int, bytes], ...] = (),
    infohash: bytes = b"",
) -> bytes:
    order = ">" if version else "<"
    content = struct.pack(">H", version) + bytes(4)
    content += struct.pack(f"{order}I", len(infohash)) + infohash
    content += struct.pack(f"{order}IQQI", piece, size, 0, len(bits)) + bits
    content += struct.pack(f"{order}I", len(flights))
    for index, length, blocks in flights:
        content += struct.pack(f"{order}III", index, length, len(blocks)) + blocks
    return content


@pytest.mark.parametrize("version", [0, 1])
def test_aria2s_bits_mean_pieces_and_blocks(version: int) -> None:
    mib = 1 << 20
    claims = read_control(
        control(
            b"\xa0\x40",
            10 * mib - 5,
            version=version,
            flights=((1, mib, b"\xc0" + bytes(7)),),
            infohash=b"x" * 20,
        )
    )
    assert claims.size_bytes == 10 * mib - 5
    assert claims.spans == (
        Span(0, mib + 2 * 16384),
        Span(2 * mib, 3 * mib),
        Span(9 * mib, 10 * mib - 5),
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        control(b"\xff", 8 << 20)[:-6],
        control(b"\xff", 8 << 20, piece=0),
        control(b"\xff", 1 << 62),
        control(b"\xff\xff\xff", 8 << 20),
        control(b"\xff", 0),
        b"\0\7" + control(b"\xff", 8 << 20)[2:],
        control(b"\xff", 8 << 20, flights=((99, 5, b"\xff"),)),
    ],
)
def test_a_damaged_control_file_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="aria2 control file"):
        read_control(content)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_any_control_file_gives_spans_within_the_file_or_an_error(content: bytes) -> None:
    for start in (b"", b"\0\1", control(b"\xff", 8 << 20)[:30]):
        try:
            claims = read_control(start + content)
        except ValueError:
            continue
        assert claims.size_bytes is not None
        assert all(0 <= s.start < s.stop <= claims.size_bytes for s in claims.spans)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=120))
def test_any_name_gives_nothing_or_a_trace_with_a_part_of_it(name: str) -> None:
    folders = (FOLDER, PurePath("/h/llama.cpp"), PurePath("/Jan/x"), PurePath(f"/{name}"))
    traces = [tool.recognise(folder, name, frozenset()) for tool in TOOLS for folder in folders]
    for trace in traces:
        assert trace is None or (trace.left_by and len(trace.file_name) <= len(name))
