"""Choosing files of a repository, asked of a real (loopback) hub."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from setup_manager.catalog.artifact import Model, Role
from setup_manager.catalog.reference import HubReference, parse_model
from setup_manager.errors import (
    AccessDeniedError,
    UsageError,
    VerificationFailedError,
)
from setup_manager.net.choosing import RemoteFile, Snapshot, choose_files
from setup_manager.net.hub import Hub
from setup_manager.net.origin import HubAccess
from tests.support.loopback import LoopbackHub

StartHub = Callable[..., LoopbackHub]
UNSLOTH = "unsloth/gemma-4-31B-it-GGUF"
GOOGLE = "google/gemma-4-26B-A4B-it-qat-q4_0-gguf"


def files(*paths: str) -> dict[str, bytes]:
    return {path: f"GGUF {path}".encode() for path in paths}


REPOSITORIES = {
    UNSLOTH: files(
        "README.md", "gemma-4-31B-it-Q4_K_M.gguf", "gemma-4-31B-it-UD-Q4_K_XL.gguf",
        "gemma-4-31B-it-Q6_K.gguf", "gemma-4-31B-it-UD-Q2_K_XL.gguf", "mmproj-F16.gguf",
        "mmproj-F32.gguf", "mtp-gemma-4-31B-it.gguf", "imatrix_unsloth.gguf",
        "BF16/gemma-4-31B-it-BF16-00002-of-00002.gguf",
        "BF16/gemma-4-31B-it-BF16-00001-of-00002.gguf",
    ),
    GOOGLE: files("gemma-4-26B_q4_0-it.gguf", "gemma-4-26B-it-mmproj.gguf"),
    "org/two": files("e2b/a-Q4_0.gguf", "e4b/b-Q4_0.gguf", "e4b/mmproj-b-Q8_0.gguf"),
    "org/none": files("README.md", "model.safetensors"),
}  # fmt: skip


@pytest.fixture
def hub(start_hub: StartHub) -> LoopbackHub:
    return start_hub(REPOSITORIES)


def resolve(hub: LoopbackHub, text: str, **options: bool) -> Model:
    reference = parse_model(text, ("e2b", "e4b"))
    assert isinstance(reference, HubReference)
    return Hub(HubAccess(hub.endpoint)).model(reference, **options)


def paths(model: Model) -> list[str]:
    return [artifact.path for artifact in model.artifacts]


class TestQuantization:
    @pytest.mark.parametrize(
        ("text", "path", "label"),
        [
            (f"{UNSLOTH}:Q4_K_M", "gemma-4-31B-it-Q4_K_M.gguf", "Q4_K_M"),
            (f"{UNSLOTH}:ud-q4_k_xl", "gemma-4-31B-it-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
            (f"{UNSLOTH}:Q2_K_XL", "gemma-4-31B-it-UD-Q2_K_XL.gguf", "UD-Q2_K_XL"),
            (UNSLOTH, "gemma-4-31B-it-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
            (f"{GOOGLE}:Q4_0", "gemma-4-26B_q4_0-it.gguf", "QAT-Q4_0"),
            (f"{GOOGLE}:qat-q4_0", "gemma-4-26B_q4_0-it.gguf", "QAT-Q4_0"),
            (f"{GOOGLE}:qat", "gemma-4-26B_q4_0-it.gguf", "QAT-Q4_0"),
            (GOOGLE, "gemma-4-26B_q4_0-it.gguf", "QAT-Q4_0"),
        ],
    )
    def test_it_is_found_by_every_spelling(
        self, hub: LoopbackHub, text: str, path: str, label: str
    ) -> None:
        model = resolve(hub, text)
        assert (paths(model), model.quantization) == ([path], label)
        assert model.name == f"{text.split(':', maxsplit=1)[0]}:{label}"
        assert model.weights[0] == hub.artifact(text.split(":", maxsplit=1)[0], path)
        assert model.qat == label.startswith("QAT-")

    def test_a_split_model_is_one_model_in_shard_order(self, hub: LoopbackHub) -> None:
        stem = "BF16/gemma-4-31B-it-BF16-0000"
        expected = [f"{stem}1-of-00002.gguf", f"{stem}2-of-00002.gguf"]
        assert paths(resolve(hub, f"{UNSLOTH}:BF16")) == expected
        assert paths(resolve(hub, f"{UNSLOTH}/{expected[1]}")) == expected

    def test_an_unknown_one_names_what_is_there(self, hub: LoopbackHub) -> None:
        with pytest.raises(UsageError, match="no quantization 'Q4_K_N'") as caught:
            resolve(hub, f"{UNSLOTH}:Q4_K_N")
        assert "Q4_K_M" in caught.value.hint
        assert "UD-Q2_K_XL" in caught.value.context[0]

    def test_two_models_of_one_label_must_be_told_apart(self, hub: LoopbackHub) -> None:
        with pytest.raises(UsageError) as caught:
            resolve(hub, "org/two:Q4_0")
        assert caught.value.code == "ambiguous-model"
        assert list(caught.value.context) == ["e2b/a-Q4_0.gguf", "e4b/b-Q4_0.gguf"]

    def test_a_repository_without_gguf_says_what_it_holds(self, hub: LoopbackHub) -> None:
        with pytest.raises(UsageError, match="no GGUF") as caught:
            resolve(hub, "org/none:Q4_0")
        assert "model.safetensors" in caught.value.context[0]


class TestSpelling:
    @pytest.mark.parametrize("text", [UNSLOTH.lower(), UNSLOTH.upper() + ":Q6_K"])
    def test_the_hub_s_spelling_is_taken(self, hub: LoopbackHub, text: str) -> None:
        model = resolve(hub, text)
        assert model.weights[0].repository == UNSLOTH
        assert model.name.startswith(f"{UNSLOTH}:")

    def test_one_request_is_enough(self, hub: LoopbackHub) -> None:
        resolve(hub, UNSLOTH, with_projector=True)
        assert len(hub.requests) == 1


class TestOneFile:
    def test_it_is_pinned_at_its_revision(self, hub: LoopbackHub) -> None:
        old = hub.artifact(UNSLOTH, "gemma-4-31B-it-Q6_K.gguf")
        hub.push(UNSLOTH, files("gemma-4-31B-it-Q4_K_M.gguf"))
        text = f"{UNSLOTH}/{old.path}@{old.commit}"
        model = resolve(hub, text)
        assert (model.weights, model.name) == ((old,), text)

    def test_a_wrong_name_is_answered_with_the_right_one(self, hub: LoopbackHub) -> None:
        with pytest.raises(AccessDeniedError) as caught:
            resolve(hub, f"{UNSLOTH}/gemma-4-31b-it-q6_k.gguf")
        assert caught.value.code == "no-file"
        assert f"Did you mean {UNSLOTH}/gemma-4-31B-it-Q6_K.gguf?" in caught.value.hint

    def test_a_projector_can_be_named_and_keeps_its_role(self, hub: LoopbackHub) -> None:
        (projector,) = resolve(hub, f"{UNSLOTH}/mmproj-F32.gguf").weights
        assert projector.role is Role.PROJECTOR


class TestCompanions:
    def test_projector_and_drafter_come_with_the_weights(self, hub: LoopbackHub) -> None:
        model = resolve(hub, f"{UNSLOTH}:Q6_K", with_projector=True, with_drafter=True)
        assert paths(model) == [
            "gemma-4-31B-it-Q6_K.gguf", "mmproj-F16.gguf", "mtp-gemma-4-31B-it.gguf"
        ]  # fmt: skip
        assert [a.role for a in model.artifacts] == [Role.WEIGHTS, Role.PROJECTOR, Role.DRAFTER]

    def test_they_are_found_from_a_folder_below(self, hub: LoopbackHub) -> None:
        model = resolve(hub, f"{UNSLOTH}:BF16", with_projector=True)
        assert paths(model)[-1] == "mmproj-F16.gguf"

    def test_a_projector_of_another_folder_does_not_count(self, hub: LoopbackHub) -> None:
        model = resolve(hub, "org/two/e4b/b-Q4_0.gguf", with_projector=True)
        assert paths(model)[-1] == "e4b/mmproj-b-Q8_0.gguf"
        with pytest.raises(UsageError) as caught:
            resolve(hub, "org/two/e2b/a-Q4_0.gguf", with_projector=True)
        assert caught.value.code == "no-projector"

    def test_a_repository_without_a_drafter_says_so(self, hub: LoopbackHub) -> None:
        with pytest.raises(UsageError, match="no drafter"):
            resolve(hub, GOOGLE, with_drafter=True)


def told(*files: RemoteFile) -> Snapshot:
    """States that no real hub would show."""
    return Snapshot("org/x", "a" * 40, files)


def test_a_file_without_a_digest_is_refused() -> None:
    snapshot = told(RemoteFile("x-Q4_0.gguf", 5, None, "b" * 40))
    with pytest.raises(VerificationFailedError, match="no SHA-256"):
        choose_files(HubReference("org/x"), snapshot)


def test_a_missing_shard_is_refused() -> None:
    snapshot = told(RemoteFile("x-Q4_0-00001-of-00002.gguf", 5, "c" * 64, None))
    with pytest.raises(VerificationFailedError, match="Shards of org/x:Q4_0") as caught:
        choose_files(HubReference("org/x"), snapshot)
    assert caught.value.context[0] == "the repository has 1 of 2"
