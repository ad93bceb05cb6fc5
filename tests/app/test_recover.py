"""Finding what other tools left, and finishing it."""

from pathlib import Path

import pytest

from setup_manager.app.verbs.recover import finish, look
from setup_manager.catalog.artifact import Model
from setup_manager.rehearsal.loopback import LoopbackHub
from setup_manager.rehearsal.model import FILE_NAME
from setup_manager.session.session import Session
from tests.app.conftest import CONTENT, SIZE, recorded_as

HALF = 1_200_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    folder.mkdir()
    return folder


def test_an_empty_folder_gives_an_empty_plan(session: Session, folder: Path) -> None:
    plan = look(session, [folder])
    assert (plan.findings, plan.problems, plan.offers) == ((), (), {})
    assert finish(session, plan) == ()


@pytest.mark.parametrize("move", [False, True])
def test_a_part_is_finished_and_recorded_as_the_model_it_is(
    session: Session, model: Model, hub: LoopbackHub, folder: Path, *, move: bool
) -> None:
    part = folder / f"{FILE_NAME}.crdownload"
    part.write_bytes(CONTENT[:HALF])
    plan = look(session, [folder])
    (found,) = plan.document()["found"]
    assert (found["path"], found["state"]) == (str(part), "partial")
    (done,) = finish(session, plan, move=move)
    assert done.file.path.read_bytes() == CONTENT
    assert done.file.fetched_bytes < SIZE - HALF // 2
    assert recorded_as(session, model).complete
    assert part.exists() is not move


def test_a_whole_file_is_adopted_without_fetching_it(
    session: Session, model: Model, hub: LoopbackHub, folder: Path
) -> None:
    (folder / FILE_NAME).write_bytes(CONTENT)
    plan = look(session, [folder])
    assert [entry["state"] for entry in plan.document()["found"]] == ["complete"]
    (done,) = finish(session, plan)
    assert done.file.fetched_bytes == 0
    assert done.file.path.read_bytes() == CONTENT
    assert recorded_as(session, model).name == model.name
