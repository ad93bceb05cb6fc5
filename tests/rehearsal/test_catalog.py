"""The catalogue of the rehearsal: an ordinary one, held to its file."""

from __future__ import annotations

import hashlib

from setup_manager.catalog import load_catalog
from setup_manager.catalog.architecture import Architecture
from setup_manager.gguf import read_header
from setup_manager.rehearsal.model import (
    FILE_NAME,
    QUANTIZATION,
    REPOSITORY,
    VARIANT,
    catalog_path,
    model_path,
)


def test_the_catalogue_pins_the_file_that_is_shipped() -> None:
    (file,) = load_catalog(catalog_path()).files
    content = model_path().read_bytes()
    assert (file.repository, file.path) == (REPOSITORY, FILE_NAME)
    assert file.quantization == QUANTIZATION
    assert file.size_bytes == len(content)
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert file.pinned


def test_its_constants_are_those_of_the_header() -> None:
    variant = load_catalog(catalog_path()).variants[VARIANT]
    with model_path().open("rb") as file:
        assert variant.architecture == Architecture.of_header(read_header(file))
