"""The tiny model that rehearsals install, as a catalogue of its own.

Its constants are those of its GGUF header, written by ``scripts/build_rehearsal_model.py``; a test
holds the two together.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

from setup_manager.catalog import Architecture, Catalog, CatalogFile, Role, Variant

VARIANT = "rehearsal"
REPOSITORY = "gemma-setup/gemma-4-rehearsal-it-GGUF"
FILE_NAME = "gemma-4-rehearsal-it-F16.gguf"
QUANTIZATION = "F16"

_ARCHITECTURE = Architecture(
    layers=6,
    hidden_size=64,
    heads=4,
    kv_heads_local=1,
    kv_heads_global=1,
    head_dim_local=32,
    head_dim_global=64,
    kv_layers_local=2,
    kv_layers_global=1,
    sliding_window=64,
    global_every=3,
    shared_kv_layers=3,
    feed_forward_lengths=(128, 128, 128, 256, 256, 256),
    vocabulary_size=1152,
    per_layer_embedding_length=32,
    values_equal_keys_global=False,
    experts=None,
    context_length=131072,
)


def model_path() -> Path:
    """Find the file in this package."""
    return Path(str(resources.files("setup_manager.rehearsal") / "data" / FILE_NAME))


def rehearsal_catalog(commit: str) -> Catalog:
    """Make the catalogue of one model.

    Args:
        commit: At which the loopback hub has it.
    """
    content = model_path().read_bytes()
    variant = Variant(
        key=VARIANT,
        name="Gemma 4 rehearsal",
        parameters="0.7M",
        modalities=("text",),
        architecture=_ARCHITECTURE,
        default_quantization=QUANTIZATION,
        licence="Apache-2.0",
        quality=6,
    )
    file = CatalogFile(
        variant=VARIANT,
        quantization=QUANTIZATION,
        qat=False,
        role=Role.WEIGHTS,
        repository=REPOSITORY,
        path=FILE_NAME,
        commit=commit,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return Catalog("the rehearsal's own catalogue", {VARIANT: variant}, (file,))
