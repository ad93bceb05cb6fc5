import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from setup_manager.catalog.artifact import Artifact, Model, Role
from setup_manager.download.verified import VerifiedFile
from setup_manager.errors import SetupError
from setup_manager.state.inventory import Inventory, Registration

WEIGHTS = Artifact("org/repo", "model.gguf", "a" * 40, 4, "b" * 64)
PROJECTOR = Artifact("org/repo", "mmproj.gguf", "a" * 40, 2, "c" * 64, Role.PROJECTOR)


def model(name: str = "e4b:Q4_0") -> Model:
    return Model(name, "e4b", "Q4_0", True, (WEIGHTS,), PROJECTOR)


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    return Inventory(tmp_path / "inventory")


def files(tmp_path: Path) -> tuple[VerifiedFile, ...]:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "mmproj.gguf").write_bytes(b"GG")
    return (
        VerifiedFile(WEIGHTS, tmp_path / "model.gguf"),
        VerifiedFile(PROJECTOR, tmp_path / "mmproj.gguf"),
    )


def test_a_download_is_remembered_with_its_files(inventory: Inventory, tmp_path: Path) -> None:
    inventory.record_download(model(), files(tmp_path), installed_at="2026-11-24T10:00:00Z")
    entry = inventory.find("e4b:Q4_0")
    assert entry is not None
    assert entry.complete
    assert entry.weights.artifact == WEIGHTS
    projector = entry.file(Role.PROJECTOR)
    assert projector is not None
    assert projector.path == tmp_path / "mmproj.gguf"


def test_registrations_survive_another_download(inventory: Inventory, tmp_path: Path) -> None:
    entry = inventory.record_download(model(), files(tmp_path), installed_at="1")
    inventory.save(entry.with_registration(Registration("ollama", "gemma-4-e4b", {"a": 1})))
    again = inventory.record_download(model(), files(tmp_path), installed_at="2")
    assert again.registrations == (Registration("ollama", "gemma-4-e4b", {"a": 1}),)


def test_a_runtime_has_one_registration_a_model(inventory: Inventory, tmp_path: Path) -> None:
    entry = inventory.record_download(model(), files(tmp_path), installed_at="1")
    twice = entry.with_registration(Registration("ollama", "old")).with_registration(
        Registration("ollama", "new")
    )
    assert [registration.name for registration in twice.registrations] == ["new"]
    assert not twice.without_registration("ollama").registrations


@pytest.mark.parametrize("change", ["gone", "shorter"])
def test_a_model_whose_file_changed_is_not_complete(
    inventory: Inventory, tmp_path: Path, change: str
) -> None:
    entry = inventory.record_download(model(), files(tmp_path), installed_at="1")
    if change == "gone":
        (tmp_path / "model.gguf").unlink()
    else:
        (tmp_path / "model.gguf").write_bytes(b"GG")
    assert not entry.complete


def test_a_shared_file_names_the_other_models(inventory: Inventory, tmp_path: Path) -> None:
    first = inventory.record_download(model("a"), files(tmp_path), installed_at="1")
    inventory.record_download(model("b"), files(tmp_path), installed_at="1")
    assert inventory.others_using(first.weights, "a") == ("b",)
    inventory.forget("b")
    assert inventory.others_using(first.weights, "a") == ()


def test_names_that_differ_only_in_odd_characters_do_not_collide(
    inventory: Inventory, tmp_path: Path
) -> None:
    for name in ("org/repo:Q4", "org-repo:Q4", "org/repo-Q4", "../../etc"):
        inventory.record_download(model(name), files(tmp_path), installed_at="1")
    assert len(inventory.models()) == 4
    assert {path.parent for path in tmp_path.rglob("*.json")} == {tmp_path / "inventory"}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=60), st.just(b'{"schema": 1}'), st.just(b"[]")))
def test_a_torn_or_foreign_record_counts_as_not_there(
    inventory: Inventory, tmp_path: Path, content: bytes
) -> None:
    folder = tmp_path / "inventory"
    folder.mkdir(exist_ok=True)
    (folder / "torn.json").write_bytes(content)
    assert inventory.models() == ()


def test_a_record_of_a_newer_version_is_left_alone(inventory: Inventory, tmp_path: Path) -> None:
    inventory.record_download(model(), files(tmp_path), installed_at="1")
    path = next((tmp_path / "inventory").glob("*.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))
    assert inventory.find("e4b:Q4_0") is None


def test_an_unwritable_state_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError) as caught:
        Inventory(tmp_path / "file").record_download(model(), files(tmp_path), installed_at="1")
    assert caught.value.code == "state-unwritable"
    assert "GEMMA_SETUP_HOME" in caught.value.hint
