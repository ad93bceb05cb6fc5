"""Finding what other tools left, and finishing it."""

from pathlib import Path

import pytest

from setup_manager.app import recover
from setup_manager.catalog import Model
from setup_manager.rehearsal.model import FILE_NAME
from setup_manager.session import Session
from tests.app.rehearsed import CONTENT, SIZE, recorded_as

HALF = 1_200_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    folder.mkdir()
    return folder


def look(session: Session, folder: Path, *, move: bool = False) -> recover.Plan:
    return recover.plan(session, recover.Request(paths=(folder,), move=move))


def test_an_empty_folder_gives_an_empty_plan(session: Session, folder: Path) -> None:
    plan = look(session, folder)
    assert (plan.findings, plan.problems, plan.offers) == ((), (), {})
    assert recover.run(session, plan).files == ()


@pytest.mark.parametrize("move", [False, True])
def test_a_part_is_finished_and_recorded_as_the_model_it_is(
    session: Session, model: Model, folder: Path, *, move: bool
) -> None:
    part = folder / f"{FILE_NAME}.crdownload"
    part.write_bytes(CONTENT[:HALF])
    plan = look(session, folder, move=move)
    (found,) = plan.document()["found"]
    assert (found["path"], found["state"]) == (str(part), "partial")
    (done,) = recover.run(session, plan).files
    assert done.path.read_bytes() == CONTENT
    assert done.fetched_bytes < SIZE - HALF // 2
    assert recorded_as(session, model).complete
    assert part.exists() is not move


def test_a_whole_file_is_adopted_without_fetching_it(
    session: Session, model: Model, folder: Path
) -> None:
    (folder / FILE_NAME).write_bytes(CONTENT)
    plan = look(session, folder)
    assert [entry["state"] for entry in plan.document()["found"]] == ["complete"]
    (done,) = recover.run(session, plan).files
    assert done.fetched_bytes == 0
    assert done.path.read_bytes() == CONTENT
    assert recorded_as(session, model).name == model.name
