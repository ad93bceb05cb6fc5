"""Facts read from a file itself, against those of the catalogue that it was written from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from setup_manager.catalog.architecture import Architecture
from setup_manager.catalog.load import load_catalog
from setup_manager.errors import UsageError
from setup_manager.fit.weights import Weights, estimated_weights
from setup_manager.gguf.header import Header, read_header

VARIANTS = load_catalog().variants
QUANTIZATION = "Q4_K_M"


@pytest.fixture(scope="module", params=["e2b", "26b"])
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, int, Header]:
    pytest.importorskip("gguf")
    from scripts.full_size_gguf import write_full_size

    path: Path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    size = write_full_size(path, VARIANTS[request.param].architecture, QUANTIZATION)
    with path.open("rb") as file:
        header = read_header(file)
    assert header.file_size_bytes == size == path.stat().st_size
    path.unlink()
    return request.param, size, header


def test_the_architecture_is_the_catalogues(written: tuple[str, int, Header]) -> None:
    variant, _, header = written
    assert Architecture.of_header(header) == VARIANTS[variant].architecture


def test_the_content_agrees_with_the_label(written: tuple[str, int, Header]) -> None:
    variant, size, header = written
    architecture = VARIANTS[variant].architecture
    own = Weights.of_headers(architecture, QUANTIZATION, [header], size)
    label = estimated_weights(architecture, QUANTIZATION)
    assert own.confirmed
    assert replace(own, confirmed=False, source="", file_bytes=0) == replace(
        label, confirmed=False, source="", file_bytes=0
    )


def test_another_architecture_is_refused(written: tuple[str, int, Header]) -> None:
    header = written[2]
    metadata = {**header.metadata, "general.architecture": "llama"}
    with pytest.raises(UsageError, match="llama"):
        Architecture.of_header(replace(header, metadata=MappingProxyType(metadata)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gemma4.block_count", None),
        ("gemma4.block_count", -3),
        ("gemma4.block_count", 2**31),
        ("gemma4.attention.sliding_window_pattern", (1, 0)),
        ("gemma4.attention.shared_kv_layers", 4096),
        ("gemma4.attention.head_count", "eight"),
        ("tokenizer.ggml.tokens", None),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    written: tuple[str, int, Header], key: str, value: object
) -> None:
    header = written[2]
    metadata = {k: v for k, v in header.metadata.items() if k != key}
    if value is not None:
        metadata[key] = value  # type: ignore[assignment]
    with pytest.raises(UsageError) as caught:
        Architecture.of_header(replace(header, metadata=MappingProxyType(metadata)))
    assert caught.value.context
