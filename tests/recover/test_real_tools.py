"""Leftovers of the real tools, interrupted for real, are finished with what was missing.

The bound is that of the issue: fetched = missing + at most two chunks + the samples. Where a tool
is not installed the test is skipped and says so; LEFTOVERS_* name programs that are not on PATH.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.make_leftovers import ToolMissingError, leave, tools
from scripts.make_leftovers_table import finish
from setup_manager.catalog.artifact import Artifact
from setup_manager.download.chunks import chunk_size
from tests.support.loopback import LoopbackHub

# The long form, with every tool and every interruption, is scripts/make_leftovers_table.py.
CASES = [
    *((tool, "kill -9") for tool in tools()),
    ("hf before 1.18", "reset"),
    ("aria2 (sparse)", "Ctrl-C"),
    ("aria2 (zero-filled)", "Ctrl-C"),
    ("curl", "reset"),
    ("wget", "Ctrl-C"),
]


@pytest.mark.parametrize(("tool", "interruption"), CASES)
def test_only_what_is_missing_is_fetched(
    tool: str, interruption: str, hub: LoopbackHub, artifact: Artifact, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    try:
        leave(tool, interruption, hub, artifact, folder)
    except ToolMissingError as missing:
        pytest.skip(str(missing))
    left = sorted((p, p.read_bytes()) for p in folder.rglob("*") if p.is_file())

    row = finish(hub, artifact, folder, tmp_path / "ours")

    assert row.there_bytes > 0
    assert row.adopted_bytes >= row.there_bytes - 2 * chunk_size(artifact.size_bytes)
    assert row.served_bytes <= row.bound_bytes
    assert left == sorted((p, p.read_bytes()) for p in folder.rglob("*") if p.is_file())
