"""What file names say, on the names that publishers really use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setup_manager.catalog.artifact import Role
from setup_manager.catalog.naming import Shard, read_name

# Repository, path, label, role: as published on the hub by autumn 2026.
PUBLISHED = [
    ("unsloth/gemma-4-E2B-it-GGUF", "gemma-4-E2B-it-UD-Q4_K_XL.gguf", "UD-Q4_K_XL", Role.WEIGHTS),
    ("unsloth/gemma-4-E2B-it-GGUF", "gemma-4-E2B-it-Q8_0.gguf", "Q8_0", Role.WEIGHTS),
    ("unsloth/gemma-4-E2B-it-GGUF", "mmproj-F16.gguf", "F16", Role.PROJECTOR),
    ("unsloth/gemma-4-E2B-it-GGUF", "mtp-gemma-4-E2B-it.gguf", None, Role.DRAFTER),
    ("unsloth/gemma-4-26B-A4B-it-GGUF", "gemma-4-26B-A4B-it-UD-IQ2_XXS.gguf", "UD-IQ2_XXS",
     Role.WEIGHTS),
    ("unsloth/gemma-4-26B-A4B-it-GGUF", "gemma-4-26B-A4B-it-UD-Q6_K.gguf", "UD-Q6_K",
     Role.WEIGHTS),
    ("unsloth/gemma-4-31B-it-GGUF", "BF16/gemma-4-31B-it-BF16-00001-of-00002.gguf", "BF16",
     Role.WEIGHTS),
    ("unsloth/gemma-4-E4B-it-qat-GGUF", "gemma-4-E4B-it-qat-UD-Q4_K_XL.gguf", "QAT-UD-Q4_K_XL",
     Role.WEIGHTS),
    ("google/gemma-4-E2B-it-qat-q4_0-gguf", "gemma-4-E2B_q4_0-it.gguf", "QAT-Q4_0", Role.WEIGHTS),
    ("google/gemma-4-12B-it-qat-q4_0-gguf", "gemma-4-12b-it-qat-q4_0.gguf", "QAT-Q4_0",
     Role.WEIGHTS),
    ("google/gemma-4-26B-A4B-it-qat-q4_0-gguf", "gemma-4-26B_q4_0-it.gguf", "QAT-Q4_0",
     Role.WEIGHTS),
    ("google/gemma-4-26B-A4B-it-qat-q4_0-gguf", "gemma-4-26B-it-mmproj.gguf", None,
     Role.PROJECTOR),
    ("google/gemma-4-12B-it-qat-q4_0-gguf", "mmproj-gemma-4-12b-it-qat-q4_0.gguf", "QAT-Q4_0",
     Role.PROJECTOR),
    ("ggml-org/gemma-4-E4B-it-GGUF", "gemma-4-E4B-it-Q4_0.gguf", "Q4_0", Role.WEIGHTS),
    ("ggml-org/gemma-4-E4B-it-GGUF", "mmproj-gemma-4-E4B-it-Q8_0.gguf", "Q8_0", Role.PROJECTOR),
    ("ggml-org/gemma-4-E4B-it-GGUF", "mtp-gemma-4-E4B-it-Q8_0.gguf", "Q8_0", Role.DRAFTER),
    ("bartowski/google_gemma-4-31B-it-GGUF", "google_gemma-4-31B-it-Q4_K_M.gguf", "Q4_K_M",
     Role.WEIGHTS),
    ("lmstudio-community/gemma-4-E4B-it-GGUF", "mmproj-gemma-4-E4B-it-BF16.gguf", "BF16",
     Role.PROJECTOR),
]  # fmt: skip


@pytest.mark.parametrize(("repo", "path", "label", "role"), PUBLISHED)
def test_published_names_are_read(repo: str, path: str, label: str | None, role: Role) -> None:
    name = read_name(repo, path)
    assert (name.label, name.role) == (label, role)


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("x.Q4_K_M.gguf", "Q4_K_M"),
        ("Q4_K_M.gguf", "Q4_K_M"),
        ("x-iq4_nl.gguf", "IQ4_NL"),
        ("x-Q4_0_4_4.gguf", "Q4_0_4_4"),
        ("x-Q6_K_L.gguf", "Q6_K_L"),
        ("x-fp16.gguf", "F16"),
        ("x-MXFP4_MOE.gguf", "MXFP4_MOE"),
        ("x-TQ1_0.gguf", "TQ1_0"),
        ("UD-IQ1_M/x-00001-of-00002.gguf", "UD-IQ1_M"),
        ("Q8_0/x-Q4_0.gguf", "Q4_0"),
        ("x-q4_0_it.gguf", "Q4_0"),
        ("gemma-4-E2B-it.gguf", None),
        ("gemma-4-26B-A4B-it.gguf", None),
        ("README.md", None),
        ("", None),
    ],
)
def test_other_spellings_of_a_quantization(path: str, label: str | None) -> None:
    assert read_name("", path).quantization == label


@pytest.mark.parametrize(
    "path",
    ["README.md", "config.json", "imatrix_unsloth.gguf", "x.gguf.part", "eagle3-x-Q8_0.gguf", ""],
)
def test_what_is_no_model_has_no_role(path: str) -> None:
    assert read_name("", path).role is None


@pytest.mark.parametrize("path", ["prompt-Q4_0.gguf", "smtp-helper.gguf", "assistants.gguf"])
def test_words_that_contain_a_sign_of_a_role_are_not_taken_for_it(path: str) -> None:
    assert read_name("", path).role is Role.WEIGHTS


@given(st.integers(1, 99_999), st.integers(1, 99_999))
def test_shards_are_numbered(index: int, count: int) -> None:
    path = f"BF16/model-BF16-{index:05}-of-{count:05}.gguf"
    assert read_name("", path).shard == Shard("BF16/model-BF16", index, count)
    assert read_name("", path).quantization == "BF16"


@given(st.text(max_size=60))
def test_any_text_can_be_asked_about(path: str) -> None:
    label = read_name("", path).quantization
    assert label is None or label == label.upper()
