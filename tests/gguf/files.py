"""GGUF files for the tests: by hand, byte for byte, and by the reference writer."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def entry(key: str | bytes, kind: int, value: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + value


def array(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("<IQ", kind, count) + body


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    return (
        string(name)
        + struct.pack("<I", len(shape))
        + struct.pack(f"<{len(shape)}Q", *shape)
        + struct.pack("<IQ", kind, offset)
    )


def header(
    entries: list[bytes], tensors: list[bytes], *, version: int = 3, magic: bytes = b"GGUF"
) -> bytes:
    head = magic + struct.pack("<IQQ", version, len(tensors), len(entries))
    return head + b"".join(entries) + b"".join(tensors)


def write_model(
    path: Path,
    *,
    tokens: int = 64,
    merges: int = 32,
    rows: int = 64,
    tensors: int = 6,
    name: str = "Gemma 4 tiny",
    template: str = "{{ messages }}",
    file_type: int = 8,
    seed: int = 0,
    architecture: str = "gemma4",
) -> Path:
    """Write a file with the real `gguf` package; random F16 weights, so that nothing compresses."""
    import gguf

    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    writer.add_file_type(file_type)
    writer.add_block_count(2)
    writer.add_chat_template(template)
    writer.add_array(f"{architecture}.attention.sliding_window_pattern", [True, False])
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list([f"▁token{i}" for i in range(tokens)])
    writer.add_token_scores([float(-i) for i in range(tokens)])
    writer.add_token_types([1] * tokens)
    writer.add_token_merges([f"▁to ken{i}" for i in range(merges)])
    rng = np.random.default_rng(seed)
    for index in range(tensors):
        data = rng.integers(1, 0x7BFF, size=(rows, 256), dtype=np.uint16).view(np.float16)
        writer.add_tensor(f"blk.{index}.attn_q.weight", data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
