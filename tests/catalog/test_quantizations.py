"""The table of quantizations: every label has a row, every row is whole."""

import json
from importlib import resources
from pathlib import Path

import pytest

from setup_manager.catalog.artifact import Role
from setup_manager.catalog.load import load_catalog
from setup_manager.catalog.naming import read_name
from setup_manager.catalog.quantizations import QUANTIZATIONS, Quantization
from setup_manager.errors import UsageError
from setup_manager.gguf.tensor_types import FILE_TYPES, tensor_type

CATALOG = load_catalog()
NEVER_PUBLISHED = {"TQ1_0", "TQ2_0", "Q1_0"}


def test_every_label_of_the_catalogue_has_a_row() -> None:
    labels = {file.quantization for file in CATALOG.files if file.role is Role.WEIGHTS}
    assert len(labels) >= 16
    assert {label for label in labels if Quantization.of(label) is None} == set()


@pytest.mark.parametrize("number", sorted(FILE_TYPES))
def test_what_a_header_can_say_has_a_row(number: int) -> None:
    label = FILE_TYPES[number]
    assert (Quantization.of(label) is None) == (label in NEVER_PUBLISHED)


@pytest.mark.parametrize("row", QUANTIZATIONS, ids=lambda row: row.label)
def test_a_row_names_known_types_and_a_readable_label(row: Quantization) -> None:
    types = (row.base, row.token_embedding, row.per_layer_embedding, row.raised or row.base)
    assert [name for name in types if tensor_type(name) is None] == []
    assert Quantization.of(row.label.lower()) is row
    assert read_name("", f"model-{row.label}.gguf").quantization == row.label.removeprefix("QAT-")


def test_no_name_stands_twice() -> None:
    names = [name for row in QUANTIZATIONS for name in (row.label, *row.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("BF16", "Q8_0"),
        ("Q8_0", "Q6_K"),
        ("Q6_K", "Q5_K_M"),
        ("Q5_K_M", "QAT-Q4_0"),
        ("QAT-UD-Q4_K_XL", "UD-Q4_K_XL"),
        ("UD-Q4_K_XL", "Q4_0"),
        ("Q4_0", "Q3_K_M"),
        ("UD-Q3_K_XL", "UD-Q2_K_XL"),
        ("UD-Q2_K_XL", "UD-IQ2_XXS"),
    ],
)
def test_fewer_bits_lose_more(better: str, worse: str) -> None:
    first, second = Quantization.of(better), Quantization.of(worse)
    assert first is not None
    assert second is not None
    assert first.loss < second.loss


def test_a_catalogue_with_a_label_that_has_no_row_is_refused(tmp_path: Path) -> None:
    source = resources.files("setup_manager.catalog").joinpath("catalog.json")
    document = json.loads(source.read_text("utf-8"))
    document["files"][0]["quantization"] = "Q9_Z"
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError) as caught:
        load_catalog(path)
    assert "files[0].quantization" in "\n".join(caught.value.context)
