"""Leftovers of the real tools, interrupted for real, are finished with what was missing.

The bound is that of the issue: fetched = missing + at most two chunks + the samples. Where a tool
is not installed the test is skipped and says so; LEFTOVERS_* name programs that are not on PATH.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from scripts.make_leftovers import ToolMissingError, leave, tools
from setup_manager.download.chunks import chunk_size
from setup_manager.recover.content import LeftoverContent
from setup_manager.recover.find import find_leftovers
from tests.recover.conftest import LIMITS, Bench

# The long form, with every tool and every interruption, is scripts/make_leftovers_table.py.
CASES = [
    *((tool, "kill -9") for tool in tools()),
    ("hf before 1.18", "reset"),
    ("aria2 (sparse)", "Ctrl-C"),
    ("aria2 (zero-filled)", "Ctrl-C"),
    ("curl", "reset"),
    ("wget", "Ctrl-C"),
]


def written_bytes(folder: Path) -> int:
    """Count what a tool really wrote: no holes, no blocks of zeros."""
    total = 0
    for leftover in find_leftovers([folder], LIMITS).leftovers:
        with LeftoverContent(leftover.path) as content:
            for span in content.spans():
                data = content.read(span.start, span.length)
                zeros = sum(data.startswith(bytes(4096), at) for at in range(0, len(data), 4096))
                total += len(data) - 4096 * zeros
    return total


@pytest.mark.parametrize(("tool", "interruption"), CASES)
def test_only_what_is_missing_is_fetched(
    tool: str, interruption: str, bench: Bench, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    try:
        leave(tool, interruption, bench.hub, bench.artifact, folder)
    except ToolMissingError as missing:
        pytest.skip(str(missing))
    left = sorted((p, p.read_bytes()) for p in folder.rglob("*") if p.is_file())
    size = bench.artifact.size_bytes
    missing_bytes = size - written_bytes(folder)

    outcome, file, served = bench.recover(folder)

    assert hashlib.sha256(file.path.read_bytes()).hexdigest() == bench.artifact.sha256
    assert outcome.adopted_bytes > 0
    allowed = missing_bytes + 2 * chunk_size(size) + outcome.sampled_bytes
    assert served <= allowed
    assert left == sorted((p, p.read_bytes()) for p in folder.rglob("*") if p.is_file())
