import pytest

from setup_manager.catalog.artifact import Role
from setup_manager.catalog.load import load_catalog
from setup_manager.catalog.reference import VariantReference
from setup_manager.errors import UsageError

CATALOG = load_catalog()


@pytest.mark.parametrize("variant", CATALOG.variants)
def test_a_variant_alone_means_its_default(variant: str) -> None:
    selection = CATALOG.select(VariantReference(variant, None))
    assert selection.weights.quantization == CATALOG.variants[variant].default_quantization
    assert selection.name == f"{variant}:{selection.weights.quantization}"


@pytest.mark.parametrize("typed", ["Q4_K_M", "q4_k_m"])
def test_the_case_of_a_quantization_does_not_matter(typed: str) -> None:
    assert CATALOG.select(VariantReference("e4b", typed)).weights.quantization == "Q4_K_M"


@pytest.mark.parametrize("variant", CATALOG.variants)
def test_qat_means_weights_trained_for_four_bits(variant: str) -> None:
    assert CATALOG.select(VariantReference(variant, "qat")).weights.qat


def test_an_unknown_quantization_names_the_known_ones_and_the_closest() -> None:
    with pytest.raises(UsageError) as caught:
        CATALOG.select(VariantReference("e4b", "Q4_K_X"))
    assert caught.value.code == "unknown-quantization"
    assert "e4b:Q4_K_M" in caught.value.hint
    assert "Q8_0" in caught.value.context[0]


@pytest.mark.parametrize("variant", CATALOG.variants)
def test_companions_are_pinned_and_of_the_same_repository_where_they_can_be(variant: str) -> None:
    reference = VariantReference(variant, None)
    selection = CATALOG.select(reference, with_projector=True, with_drafter=True)
    assert selection.projector is not None
    assert selection.drafter is not None
    assert selection.projector.role is Role.PROJECTOR
    assert selection.drafter.role is Role.DRAFTER
    assert selection.pinned
    if selection.weights.repository.startswith("unsloth/"):
        assert {file.repository for file in selection.files} == {selection.weights.repository}


def test_a_pinned_selection_becomes_a_model_with_every_file() -> None:
    reference = VariantReference("e4b", None)
    model = CATALOG.select(reference, with_projector=True, with_drafter=True).model()
    assert [artifact.role for artifact in model.artifacts] == list(Role)
    assert model.size_bytes == sum(artifact.size_bytes for artifact in model.artifacts)


@pytest.mark.parametrize("variant", CATALOG.variants)
def test_superseded_uploads_are_never_chosen(variant: str) -> None:
    assert not any(file.superseded for file in CATALOG.weights(variant))
