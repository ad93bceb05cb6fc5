import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from setup_manager.catalog.load import load_catalog
from setup_manager.errors import UsageError

PACKAGE = resources.files("setup_manager.catalog")


@pytest.fixture
def document() -> Any:
    return json.loads(PACKAGE.joinpath("catalog.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads(PACKAGE.joinpath("catalog.schema.json").read_text("utf-8"))


def written(tmp_path: Path, document: Any) -> Path:
    path = tmp_path / "catalog.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_the_shipped_catalogue_has_the_five_variants_smallest_first() -> None:
    assert list(load_catalog().variants) == ["e2b", "e4b", "12b", "26b", "31b"]


def test_every_default_is_trained_for_four_bits_and_pinned() -> None:
    catalog = load_catalog()
    for variant in catalog.variants.values():
        default = next(
            file
            for file in catalog.weights(variant.key)
            if file.quantization == variant.default_quantization
        )
        assert default.qat
        assert default.pinned


def test_a_file_is_pinned_only_with_commit_size_and_digest() -> None:
    for file in load_catalog().files:
        assert file.pinned == all((file.commit, file.size_bytes, file.sha256))


def test_no_artifact_stands_twice() -> None:
    files = [file for file in load_catalog().files if not file.superseded]
    names = [(file.repository, file.path) for file in files]
    assert len(names) == len(set(names))


def test_the_shipped_catalogue_keeps_the_schema(document: Any, schema: Any) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(document)] == []


BREAKS = {
    "schema": 2,
    "variants": {},
    "files": [],
    "variants.e4b.name": None,
    "variants.e4b.quality": 0,
    "variants.e4b.modalities": [1],
    "variants.e4b.architecture": [],
    "variants.e4b.architecture.layers": 2.5,
    "variants.e4b.architecture.hidden_size": True,
    "variants.e4b.architecture.kv_layers_local": -1,
    "variants.e4b.architecture.values_equal_keys_global": 1,
    "variants.e4b.architecture.experts": "many",
    "files.0.role": "brain",
    "files.0.repository": "../etc",
    "files.0.commit": "main",
    "files.0.size_bytes": "4 GB",
    "files.0.sha256": "00",
    "files.0.qat": "yes",
}


@pytest.mark.parametrize("where", BREAKS)
def test_loader_and_schema_refuse_the_same_wrong_values(
    where: str, document: Any, schema: Any, tmp_path: Path
) -> None:
    node: Any = document
    *parents, last = [int(p) if p.isdigit() else p for p in where.split(".")]
    for key in parents:
        node = node[key]
    node[last] = BREAKS[where]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)
    with pytest.raises(UsageError) as caught:
        load_catalog(written(tmp_path, document))
    assert where.replace(".0.", "[0].") in "\n".join(caught.value.context)


@pytest.mark.parametrize("where", ["schema", "variants", "files"])
def test_a_missing_part_is_named(where: str, document: Any, tmp_path: Path) -> None:
    del document[where]
    with pytest.raises(UsageError) as caught:
        load_catalog(written(tmp_path, document))
    assert f"{where} is missing" in caught.value.context


def test_a_default_that_no_file_has_is_refused(document: Any, tmp_path: Path) -> None:
    document["variants"]["e4b"]["default_quantization"] = "Q9"
    with pytest.raises(UsageError) as caught:
        load_catalog(written(tmp_path, document))
    assert "default_quantization" in "\n".join(caught.value.context)


def test_a_file_of_an_unknown_variant_is_refused(document: Any, tmp_path: Path) -> None:
    document["files"][0]["variant"] = "70b"
    with pytest.raises(UsageError) as caught:
        load_catalog(written(tmp_path, document))
    assert "files[0].variant" in "\n".join(caught.value.context)


@pytest.mark.parametrize("content", ["", "{", "null", "[]", '{"schema": 1}', "[" * 100_000])
def test_what_is_no_catalogue_is_one_clear_error(content: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_catalog(written(tmp_path, content))
    assert caught.value.code == "bad-catalog"
    assert "--catalog" in caught.value.hint


def test_a_catalogue_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_catalog(tmp_path / "none.json")
    assert str(tmp_path / "none.json") in caught.value.context[0]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["schema", "variants", "files", "architecture", "e4b"]), children
        )
    ),
    max_leaves=8,
)


@given(json_values)
def test_no_json_makes_the_loader_crash(tmp_path_factory: Any, value: Any) -> None:
    path = tmp_path_factory.mktemp("catalog") / "catalog.json"
    path.write_text(json.dumps(value))
    with pytest.raises(UsageError):
        load_catalog(path)
