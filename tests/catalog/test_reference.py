import pytest
from hypothesis import given
from hypothesis import strategies as st

from setup_manager.catalog.reference import HubReference, VariantReference, parse_model
from setup_manager.errors import UsageError

VARIANTS = ("e2b", "e4b", "12b", "26b", "31b")


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("e2b", VariantReference("e2b", None)),
        ("E4B", VariantReference("e4b", None)),
        ("26b-a4b", VariantReference("26b", None)),
        ("gemma-4-12b-it", VariantReference("12b", None)),
        ("e4b:Q4_K_M", VariantReference("e4b", "Q4_K_M")),
        ("e4b:qat", VariantReference("e4b", "qat")),
        ("12b:UD-Q5_K_XL", VariantReference("12b", "UD-Q5_K_XL")),
        ("org/repo:Q4_K_M", HubReference("org/repo", "Q4_K_M")),
        ("org/repo", HubReference("org/repo")),
        ("org/repo/name.gguf", HubReference("org/repo", path="name.gguf")),
        (
            "org/repo/BF16/name.gguf@abc",
            HubReference("org/repo", path="BF16/name.gguf", revision="abc"),
        ),
        ("https://huggingface.co/org/repo", HubReference("org/repo")),
        ("hf.co/org/repo:Q8_0", HubReference("org/repo", "Q8_0")),
        (
            "https://huggingface.co/org/repo/blob/main/a/name.gguf?download=true",
            HubReference("org/repo", path="a/name.gguf"),
        ),
    ],
)
def test_every_form_of_a_model_is_understood(text: str, reference: object) -> None:
    assert parse_model(text, VARIANTS) == reference


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("e5b", "e4b"),
        ("gemma4:e4b", "e4b"),
        ("gemma4:31b", "31b"),
        ("13b", "12b"),
        ("e2", "e2b"),
        ("4b", "e4b"),
        ("27b", "26b or 31b"),
        ("30b", "31b or 26b"),
    ],
)
def test_a_variant_that_does_not_exist_gets_a_suggestion(text: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_model(text, VARIANTS)
    assert caught.value.code == "unknown-variant"
    assert f"Did you mean {meant}?" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["", ":", "e4b:", "a/b/c", "org/repo/name.bin", "/etc/passwd", "../x/y.gguf", "e4b Q4"]
)
def test_what_is_no_model_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_model(text, VARIANTS)
    assert caught.value.code == "bad-model"
    assert "org/repo" in "\n".join(caught.value.context)


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        parse_model(text, VARIANTS)
    except UsageError as error:
        assert error.hint  # noqa: PT017 - either outcome is right, a hint is a must


@pytest.mark.parametrize(
    "text", ["google/gemma-4-E4B-it", "https://huggingface.co/google/gemma-4-e4b-it"]
)
def test_the_original_of_a_variant_leads_to_the_variant(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_model(text, VARIANTS)
    assert caught.value.hint == "Run `gemma-setup install e4b`."
