"""Throw mutated headers at the GGUF reader for as long as wanted.

    python -m scripts.fuzz_gguf model.gguf --seconds 600

Anything but a header or a `GgufError` is a finding; so is a single parse that takes longer than
ten seconds or keeps more than 64 MiB. The seed of a round is printed with a finding.
"""

from __future__ import annotations

import argparse
import random
import struct
import time
import tracemalloc
from pathlib import Path

from setup_manager.gguf.header import GgufError, read_header

_NASTY = [struct.pack("<Q", value & ((1 << 64) - 1)) for value in (
    0, 1, -1, 1 << 31, 1 << 32, 1 << 62, 1 << 63, 1 << 20, 8 << 20,
)]  # fmt: skip
_MAX_SECONDS = 10.0
_MAX_BYTES = 64 << 20


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Change a few places: bits, bytes, 64-bit fields, cuts, repeats and moved pieces."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        if len(changed) < 16:
            break
        # Half of the hits go into the first KiB, where the counts and the lengths of keys are.
        reach = min(len(changed), 1024) if rng.random() < 0.5 else len(changed)
        at = rng.randrange(max(1, reach - 8))
        _mutate_at(changed, at, rng)
    return bytes(changed)


def _mutate_at(changed: bytearray, at: int, rng: random.Random) -> None:
    match rng.randrange(6):
        case 0:
            changed[at] ^= 1 << rng.randrange(8)
        case 1:
            changed[at] = rng.randrange(256)
        case 2:
            changed[at : at + 8] = rng.choice(_NASTY)
        case 3:
            del changed[at : at + rng.randrange(1, 64)]
        case 4:
            changed[at:at] = changed[at : at + rng.randrange(1, 64)]
        case _:
            del changed[rng.randrange(len(changed)) :]


def fuzz(content: bytes, rounds: int, seed: int, seconds: float = float("inf")) -> int:
    """Parse `rounds` mutations of `content`.

    Returns:
        How many were refused.

    Raises:
        AssertionError: If one ended in anything else, or cost too much.
    """
    refused = 0
    until = time.monotonic() + seconds
    for index in range(rounds):
        if time.monotonic() > until:
            break
        refused += _one(mutate(content, random.Random(f"{seed}/{index}")), f"{seed}/{index}")
    return refused


def _one(content: bytes, label: str) -> bool:
    begun = time.process_time()
    try:
        read_header(content)
    except GgufError:
        refused = True
    except Exception as problem:
        raise AssertionError(f"round {label}: {type(problem).__name__}: {problem}") from problem
    else:
        refused = False
    took = time.process_time() - begun
    assert took < _MAX_SECONDS, f"round {label}: {took:.1f} s"
    return refused


def main() -> None:
    """Run until the time is over and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="a GGUF file to start from")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--prefix", type=int, default=64 << 10, help="bytes of it to mutate")
    options = parser.parse_args()
    with options.file.open("rb") as file:
        content = file.read(options.prefix)
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")
    tracemalloc.start()
    refused = fuzz(content, rounds=1 << 60, seed=seed, seconds=options.seconds)
    peak = tracemalloc.get_traced_memory()[1]
    assert peak < _MAX_BYTES, f"peak memory {peak}"
    print(f"{refused} refused, none crashed; peak memory {peak / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
