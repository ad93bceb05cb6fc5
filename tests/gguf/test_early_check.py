"""What is no model is told from its first bytes."""

from __future__ import annotations

import struct

import pytest

from setup_manager.gguf.early_check import check_early
from tests.gguf.files import entry, header, string

GOOD = header([entry("general.architecture", 8, string("gemma4"))], [])


@pytest.mark.parametrize("length", range(1, len(GOOD) + 1))
def test_any_beginning_of_a_gguf_file_may_be_one(length: int) -> None:
    assert check_early(GOOD[:length]) is None


@pytest.mark.parametrize(
    ("first_bytes", "word"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><title>Welcome to the Grand Hotel", "web page"),
        (b"\xef\xbb\xbf\r\n  <HTML><body>Blocked by proxy", "web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied', "XML"),
        (b'{"error":"Repository not found"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "LFS"),
        (b"PK\x03\x04\x14\x00", "zip"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (bytes(4096), "4096 zero bytes"),
        (struct.pack("<Q", 1234) + b'{"__metadata__":', "safetensors"),
        (b"GGML\x01\x00\x00\x00", "begins with"),
        (b"X", "begins with"),
        (b"GGUF" + struct.pack(">I", 3), "big-endian"),
        (b"GGUF" + struct.pack("<I", 1), "version 1"),
        (b"GGUF" + struct.pack("<IQ", 3, 1 << 60), "over the limit"),
    ],
)
def test_what_is_no_gguf_is_named(first_bytes: bytes, word: str) -> None:
    wrong = check_early(first_bytes)
    assert wrong is not None
    assert wrong.reason.startswith("it ") or "over the limit" in wrong.reason
    assert word in wrong.reason
    assert wrong.is_page == (word == "web page")
