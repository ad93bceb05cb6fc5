import json
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from setup_manager.catalog.artifact import Artifact, Model, Role
from setup_manager.download import Downloader
from setup_manager.download.job import VerifiedFile
from setup_manager.errors import SetupError
from setup_manager.library.inventory import InstalledModel, Inventory, Registration
from setup_manager.library.layout import PlainFolderLayout

WEIGHTS = Artifact("org/repo", "model.gguf", "a" * 40, 4, "b" * 64)
PROJECTOR = Artifact("org/repo", "mmproj.gguf", "a" * 40, 2, "c" * 64, Role.PROJECTOR)


def model(name: str = "e4b:Q4_0") -> Model:
    return Model(name, "e4b", "Q4_0", True, (WEIGHTS,), PROJECTOR)


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    return Inventory(tmp_path / "inventory")


def record(inventory: Inventory, tmp_path: Path, name: str = "e4b:Q4_0") -> InstalledModel:
    """Record a download from its start to its end."""
    paths = {WEIGHTS: tmp_path / "model.gguf", PROJECTOR: tmp_path / "mmproj.gguf"}
    begun = inventory.record_start(model(name), paths)
    return inventory.record_end(begun, files(tmp_path), installed_at="2026-11-24T10:00:00Z")


def files(tmp_path: Path) -> tuple[VerifiedFile, ...]:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "mmproj.gguf").write_bytes(b"GG")
    return (
        VerifiedFile(WEIGHTS, tmp_path / "model.gguf"),
        VerifiedFile(PROJECTOR, tmp_path / "mmproj.gguf"),
    )


def test_a_download_is_remembered_with_its_files(inventory: Inventory, tmp_path: Path) -> None:
    record(inventory, tmp_path)
    entry = inventory.find("e4b:Q4_0")
    assert entry is not None
    assert entry.complete
    assert entry.weights.artifact == WEIGHTS
    projector = entry.file(Role.PROJECTOR)
    assert projector is not None
    assert projector.path == tmp_path / "mmproj.gguf"


def test_registrations_survive_another_download(inventory: Inventory, tmp_path: Path) -> None:
    entry = record(inventory, tmp_path)
    inventory.update(
        entry, lambda now: now.with_registration(Registration("ollama", "gemma-4-e4b", {"a": 1}))
    )
    again = record(inventory, tmp_path)
    assert again.registrations == (Registration("ollama", "gemma-4-e4b", {"a": 1}),)


def test_a_runtime_may_know_a_model_by_several_names_and_each_once(
    inventory: Inventory, tmp_path: Path
) -> None:
    entry = record(inventory, tmp_path)
    for registration in (
        Registration("ollama", "first"),
        Registration("ollama", "second"),
        Registration("ollama", "first", {"a": 1}),
    ):
        entry = entry.with_registration(registration)
    assert [known.name for known in entry.registrations] == ["second", "first"]
    assert entry.registration("ollama") == Registration("ollama", "first", {"a": 1})
    assert entry.registration("ollama", "second") == Registration("ollama", "second")
    assert entry.registration("llama.cpp") is None
    left = entry.without_registration(Registration("ollama", "first"))
    assert [known.name for known in left.registrations] == ["second"]


@pytest.mark.parametrize("change", ["gone", "shorter"])
def test_a_model_whose_file_changed_is_not_complete(
    inventory: Inventory, tmp_path: Path, change: str
) -> None:
    entry = record(inventory, tmp_path)
    if change == "gone":
        (tmp_path / "model.gguf").unlink()
    else:
        (tmp_path / "model.gguf").write_bytes(b"GG")
    assert not entry.complete


def test_a_shared_file_names_the_other_models(inventory: Inventory, tmp_path: Path) -> None:
    first = record(inventory, tmp_path, "a")
    record(inventory, tmp_path, "b")
    assert inventory.others_using(first.weights, "a") == ("b",)
    inventory.forget("b")
    assert inventory.others_using(first.weights, "a") == ()


def test_names_that_differ_only_in_odd_characters_do_not_collide(
    inventory: Inventory, tmp_path: Path
) -> None:
    for name in ("org/repo:Q4", "org-repo:Q4", "org/repo-Q4", "../../etc"):
        record(inventory, tmp_path, name)
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
    record(inventory, tmp_path)
    path = next((tmp_path / "inventory").glob("*.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))
    assert inventory.find("e4b:Q4_0") is None


def test_an_unwritable_state_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError) as caught:
        record(Inventory(tmp_path / "file"), tmp_path)
    assert caught.value.code == "state-unwritable"
    assert "GEMMA_SETUP_HOME" in caught.value.hint


def test_a_download_that_was_cut_off_is_known_and_not_complete(
    inventory: Inventory, tmp_path: Path
) -> None:
    inventory.record_start(model(), {WEIGHTS: tmp_path / "model.gguf"})
    entry = inventory.find("e4b:Q4_0")
    assert entry is not None
    assert not entry.complete
    assert entry.installed_at == ""


def test_a_file_that_was_there_before_is_not_ours_however_often_we_look(
    inventory: Inventory, tmp_path: Path
) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    for _ in range(2):
        entry = record(inventory, tmp_path)
    assert [file.ours for file in entry.files] == [False, True]


def test_a_file_that_a_killed_run_brought_is_still_ours(
    inventory: Inventory, tmp_path: Path
) -> None:
    paths = {WEIGHTS: tmp_path / "model.gguf", PROJECTOR: tmp_path / "mmproj.gguf"}
    inventory.record_start(model(), paths)
    files(tmp_path)
    assert [file.ours for file in record(inventory, tmp_path).files] == [True, True]


def test_changes_of_two_processes_are_both_kept(inventory: Inventory, tmp_path: Path) -> None:
    entry = record(inventory, tmp_path)
    other = Inventory(tmp_path / "inventory")
    inventory.update(entry, lambda now: now.with_registration(Registration("ollama", "one")))
    other.update(entry, lambda now: now.with_registration(Registration("llama.cpp", "two")))
    found = inventory.find(entry.name)
    assert found is not None
    assert [registration.name for registration in found.registrations] == ["one", "two"]


def test_a_change_waits_for_another_process(inventory: Inventory, tmp_path: Path) -> None:
    entry = record(inventory, tmp_path)
    other = Inventory(tmp_path / "inventory")
    second = threading.Thread(
        target=other.update,
        args=(entry, lambda now: now.with_registration(Registration("ollama", "second"))),
    )

    def change(now: InstalledModel) -> InstalledModel:
        second.start()
        second.join(0.3)
        assert second.is_alive(), "it waits"
        return now.with_registration(Registration("ollama", "first"))

    inventory.update(entry, change)
    second.join()
    found = inventory.find(entry.name)
    assert found is not None
    assert [registration.name for registration in found.registrations] == ["first", "second"]


def test_a_download_that_never_ended_is_unfinished(inventory: Inventory, tmp_path: Path) -> None:
    folder = PlainFolderLayout(tmp_path / "models")
    paths = {artifact: folder.places(artifact).visible for artifact in (WEIGHTS, PROJECTOR)}
    entry = inventory.record_start(model(), paths)
    assert not entry.complete
    assert [file.artifact for file in entry.unfinished] == [WEIGHTS, PROJECTOR]
    assert [file.arrived_bytes for file in entry.files] == [0, 0]
    source = tmp_path / "left"
    source.write_bytes(b"GGU")
    Downloader(folder).adopt(WEIGHTS, source, [(0, 3)])
    assert [file.arrived_bytes for file in entry.files] == [3, 0]


def test_a_file_that_went_is_gone_and_not_unfinished(inventory: Inventory, tmp_path: Path) -> None:
    entry = record(inventory, tmp_path)
    entry.weights.path.unlink()
    assert not entry.complete
    assert entry.unfinished == ()


def test_one_name_on_two_servers_is_two_registrations(inventory: Inventory, tmp_path: Path) -> None:
    entry = record(inventory, tmp_path)
    here, there = (
        Registration("ollama", "gemma", {"endpoint": f"http://{host}:11434"})
        for host in ("127.0.0.1", "10.0.0.2")
    )
    both = entry.with_registration(here).with_registration(there)
    assert both.registrations == (here, there)
    assert both.with_registration(here).registrations == (there, here)
    assert both.without_registration(here).registrations == (there,)
