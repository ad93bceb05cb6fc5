"""Fixtures that every part may use: a home of its own and a hub on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from setup_manager.rehearsal.loopback import LoopbackHub


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder; no setting of the hub or of this tool leaks in from outside."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    prefixes = ("HF_", "HUGGING", "LLAMA_", "XDG_", "GEMMA_SETUP_", "OLLAMA_")
    for name in [n for n in os.environ if n.startswith(prefixes)]:
        monkeypatch.delenv(name)
    return home


@pytest.fixture
def start_hub() -> Iterator[Callable[..., LoopbackHub]]:
    """Start loopback hubs (the arguments are those of `LoopbackHub`); all end with the test."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(LoopbackHub(*args, **options))
