"""Models for the tests of runtimes and smoke."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runtimes.random_gguf import write_random_gemma4


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Gemma 4 that loads and talks rubbish."""
    return write_random_gemma4(tmp_path_factory.mktemp("models") / "random.gguf")


@pytest.fixture(scope="session")
def unknown_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of an architecture that no engine knows."""
    folder = tmp_path_factory.mktemp("models")
    return write_random_gemma4(folder / "unknown.gguf", architecture="gemma99")
