"""What `recover` says of each leftover."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.make_leftovers import FILE, REPOSITORY
from setup_manager.catalog.artifact import Artifact, Role
from setup_manager.catalog.catalog import Catalog
from setup_manager.catalog.variant import CatalogFile
from setup_manager.library.layout import PlainFolderLayout
from setup_manager.recover.find import find_leftovers
from setup_manager.recover.survey import Action, Finding, by_artifact, pinned_only, survey_leftovers
from setup_manager.units import MIB
from tests.gguf.files import write_model
from tests.recover.conftest import LIMITS


def listed(artifact: Artifact) -> CatalogFile:
    return CatalogFile(
        variant="tiny",
        quantization="Q8_0",
        qat=False,
        role=Role.WEIGHTS,
        repository=artifact.repository,
        path=artifact.path,
        commit=artifact.commit,
        size_bytes=artifact.size_bytes,
        sha256=artifact.sha256,
    )


@pytest.fixture
def catalog(artifact: Artifact) -> Catalog:
    current = listed(artifact)
    old = replace(
        current,
        commit="1" * 40,
        sha256="2" * 64,
        size_bytes=artifact.size_bytes - 1440,
        superseded=True,
    )
    unpinned = replace(
        current, path="gemma-4-tiny-it-Q4_0.gguf", commit=None, size_bytes=None, sha256=None
    )
    return Catalog("test", {}, (unpinned, current, old))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "theirs"
    made.mkdir()
    return made


def seen(folder: Path, catalog: Catalog, *named: Path) -> tuple[Finding, ...]:
    leftovers = find_leftovers([folder], LIMITS).leftovers
    return survey_leftovers(leftovers, catalog, pinned_only, {}, named=frozenset(named))


def test_a_part_is_to_be_finished(model: Path, folder: Path, catalog: Catalog) -> None:
    path = folder / f"{FILE}.crdownload"
    path.write_bytes(model.read_bytes()[: 20 * MIB])
    (finding,) = seen(folder, catalog)
    document = finding.to_document()
    assert document["path"] == str(path)
    assert document["left_by"] == "a browser"
    assert document["state"] == "partial"
    assert document["usable_bytes"] == 20 * MIB
    assert document["action"] == "finish"
    assert document["repository"] == REPOSITORY
    assert document["file"] == FILE


def test_a_whole_file_is_to_be_adopted(model: Path, folder: Path, catalog: Catalog) -> None:
    shutil.copyfile(model, folder / "some name.gguf")
    (finding,) = seen(folder, catalog)
    assert finding.action is Action.ADOPT
    assert finding.state == "complete"
    assert finding.usable_bytes == model.stat().st_size


@pytest.mark.parametrize("whole", [True, False])
def test_an_upload_from_before_july_2026_is_named_and_its_tensors_counted(
    folder: Path, catalog: Catalog, artifact: Artifact, whole: bool
) -> None:
    theirs = write_model(folder / FILE, rows=4096, tensors=23, tokens=4096, template="x" * 700)
    size = theirs.stat().st_size
    assert 0 < size - artifact.size_bytes < 1000
    files = tuple(replace(f, size_bytes=size) if f.superseded else f for f in catalog.files)
    if not whole:
        os.truncate(theirs, size - 3 * MIB)
    (finding,) = seen(folder, replace(catalog, files=files))
    assert finding.action is (Action.LEAVE if whole else Action.FINISH)
    assert "before July 2026" in finding.reason
    assert finding.usable_bytes > artifact.size_bytes - 6 * MIB
    assert bool(by_artifact([finding])) is not whole


def test_an_old_file_known_by_its_digest_alone_is_named(
    model: Path, folder: Path, catalog: Catalog
) -> None:
    (folder / f"{'2' * 64}.incomplete").write_bytes(model.read_bytes()[:5000])
    (finding,) = seen(folder, catalog)
    assert finding.action is Action.LEAVE
    assert "before July 2026" in finding.reason


def test_a_gemma_that_the_catalogue_does_not_list_is_reported(
    folder: Path, catalog: Catalog
) -> None:
    write_model(folder / "mine.gguf", name="My Gemma", file_type=15)
    (finding,) = seen(folder, catalog)
    assert finding.action is Action.LEAVE
    assert finding.description == "My Gemma, Q4_K_M"


def test_other_models_are_passed_over_unless_they_are_named(folder: Path, catalog: Catalog) -> None:
    path = write_model(folder / "llama.gguf", architecture="llama")
    assert seen(folder, catalog) == ()
    (finding,) = seen(folder, catalog, path)
    assert finding.action is Action.LEAVE
    assert finding.usable_bytes == 0


def test_a_file_that_is_being_written_is_left_alone(
    model: Path, folder: Path, catalog: Catalog
) -> None:
    path = folder / f"{FILE}.part"
    path.write_bytes(model.read_bytes()[: 20 * MIB])
    leftovers = find_leftovers([folder], LIMITS).leftovers
    busy = {path: "another program has it open for writing"}
    (finding,) = survey_leftovers(leftovers, catalog, pinned_only, busy)
    assert finding.action is Action.LEAVE
    assert "open for writing" in finding.reason


def test_what_is_installed_is_passed_over_and_its_leftovers_are_left_alone(
    model: Path, folder: Path, tmp_path: Path, catalog: Catalog, artifact: Artifact
) -> None:
    layout = PlainFolderLayout(tmp_path / "models")
    installed = layout.places(artifact).visible
    installed.parent.mkdir(parents=True)
    shutil.copyfile(model, installed)
    (folder / f"{FILE}.part").write_bytes(model.read_bytes()[: 20 * MIB])
    leftovers = find_leftovers([folder, tmp_path / "models"], LIMITS).leftovers
    assert len(leftovers) == 2
    (finding,) = survey_leftovers(leftovers, catalog, pinned_only, {}, layout=layout)
    assert finding.action is Action.LEAVE
    assert "is already here" in finding.reason
    assert by_artifact([finding]) == {}


def test_offers_for_one_file_come_the_best_first(
    model: Path, folder: Path, catalog: Catalog, artifact: Artifact
) -> None:
    content = model.read_bytes()
    (folder / f"{FILE}.part").write_bytes(content[: 30 * MIB])
    (folder / f"{artifact.sha256}.incomplete").write_bytes(content[: 10 * MIB])
    (folder / "whole.gguf").write_bytes(content)
    offers = by_artifact(seen(folder, catalog))[artifact]
    assert [offer.usable_bytes // MIB for offer in offers] == [len(content) // MIB, 10, 30]


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_a_name_of_any_bytes_is_shown_without_harm(
    model: Path, folder: Path, catalog: Catalog
) -> None:
    name = os.fsdecode(b"\x1b[2J\nevil \xff.gguf")
    (folder / name).write_bytes(model.read_bytes()[: 20 * MIB])
    (finding,) = seen(folder, catalog)
    assert finding.leftover.shown == f"{folder}/?[2J?evil ?.gguf"
    document = finding.to_document()
    json.dumps(document).encode()
    assert "\x1b" not in f"{finding.reason}{finding.description}{document['path']}"
    str(document["path"]).encode()
