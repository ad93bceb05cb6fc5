"""The tiny model that rehearsals install: its file, and the catalogue that pins it.

The constants in the catalogue are those of the file's GGUF header, written by
``scripts/build_rehearsal_model.py``; a test holds the two together.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

VARIANT = "rehearsal"
REPOSITORY = "gemma-setup/gemma-4-rehearsal-it-GGUF"
FILE_NAME = "gemma-4-rehearsal-it-F16.gguf"
QUANTIZATION = "F16"


def model_path() -> Path:
    """Find the file in this package."""
    return _data(FILE_NAME)


def catalog_path() -> Path:
    """Find the catalogue in this package."""
    return _data("catalog.json")


def _data(name: str) -> Path:
    return Path(str(resources.files("setup_manager.rehearsal") / "data" / name))
