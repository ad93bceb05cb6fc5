"""A copy of a model file with noise for weights: it loads and runs, and talks gibberish."""

from __future__ import annotations

import random
from pathlib import Path

from setup_manager.gguf.header import read_header

_F16 = 1
# Bits of an F16: any sign and fraction, exponent 2^-4, so every value is +-[1/16, 1/8).
_FREE_BITS = 0x83FF
_EXPONENT_BITS = 0x2C00


def write_random(source: Path, target: Path, seed: int) -> None:
    """Write `source` to `target` with every F16 tensor replaced by noise.

    Metadata, tokenizer and norms stay, so a runtime sees a sound model of the same size. The same
    seed gives the same file.
    """
    data = bytearray(source.read_bytes())
    header = read_header(data)
    rng = random.Random(seed)
    for tensor in header.tensors:
        if tensor.type == _F16 and tensor.size_bytes:
            start = header.data_offset + tensor.offset
            data[start : start + tensor.size_bytes] = _noise(rng, tensor.size_bytes // 2)
    target.write_bytes(data)


def _noise(rng: random.Random, count: int) -> bytes:
    every_free = int.from_bytes(_FREE_BITS.to_bytes(2, "little") * count, "little")
    every_exponent = int.from_bytes(_EXPONENT_BITS.to_bytes(2, "little") * count, "little")
    return (rng.getrandbits(16 * count) & every_free | every_exponent).to_bytes(2 * count, "little")
