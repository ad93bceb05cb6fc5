"""Removing and cleaning: what was put in comes out, and nothing else."""

from dataclasses import replace

import pytest

from setup_manager.app.record import history_of, recorded
from setup_manager.app.verbs.download import download
from setup_manager.app.verbs.remove import (
    clean,
    find_litter,
    forget_unfinished,
    plan_removal,
    remove,
)
from setup_manager.catalog.artifact import Model
from setup_manager.errors import RuntimeMissingError
from setup_manager.library.inventory import InstalledModel, Registration
from setup_manager.session.session import Session
from tests.app.conftest import SIZE, recorded_as, stop_halfway

OLLAMA = Registration(
    "ollama",
    "gemma-4-rehearsal:F16",
    {
        "name": "gemma-4-rehearsal:F16",
        "way": "create",
        "digest": "0" * 64,
        "linked": [],
        "endpoint": "http://127.0.0.1:9",
    },
)


def test_files_record_and_history_go_together(session: Session, model: Model) -> None:
    with recorded(session) as recorder:
        recorder.model = model.name
        download(session, model)
    assert history_of(session).find(model.name).downloads
    plan = plan_removal(session, recorded_as(session, model))
    assert plan.kept == ()
    assert remove(session, plan) >= SIZE
    assert session.inventory.find(model.name) is None
    assert not history_of(session).find(model.name).downloads
    left = [path for path in session.layout.root.rglob("*") if path.is_file()]
    assert [path for path in left if path.suffix != ".lock"] == []


def test_a_removal_can_be_run_again(session: Session, installed: InstalledModel) -> None:
    plan = plan_removal(session, installed)
    remove(session, plan)
    assert remove(session, plan) == 0


def test_a_file_that_another_model_shares_stays(
    session: Session, installed: InstalledModel
) -> None:
    session.inventory.save(replace(installed, name="org/other:F16"))
    plan = plan_removal(session, installed)
    assert plan.files == ()
    assert [why for _, why in plan.kept] == ["also belongs to org/other:F16"]
    remove(session, plan)
    assert installed.weights.path.exists()
    (last,) = session.inventory.models()
    assert remove(session, plan_removal(session, last)) >= SIZE
    assert not installed.weights.path.exists()


def test_a_file_that_was_here_before_stays(
    session: Session, model: Model, installed: InstalledModel
) -> None:
    session.inventory.forget(installed.name)
    download(session, model)
    plan = plan_removal(session, recorded_as(session, model))
    assert plan.document()["files"] == []
    assert "here before" in plan.document()["kept"][0]["reason"]
    assert remove(session, plan) == 0
    assert installed.weights.path.exists()


def test_a_runtime_that_does_not_answer_keeps_everything_until_it_is_forgotten(
    session: Session, installed: InstalledModel
) -> None:
    session.inventory.save(installed.with_registration(OLLAMA))
    registered = session.inventory.find(installed.name)
    assert registered is not None
    plan = plan_removal(session, registered)
    with pytest.raises(RuntimeMissingError) as caught:
        remove(session, plan)
    assert "--forget" in caught.value.hint
    assert session.inventory.find(installed.name) == registered
    assert installed.weights.path.exists()
    assert remove(session, plan, forget=True) >= SIZE
    assert session.inventory.models() == ()


def test_what_a_stopped_download_left_is_litter_and_its_model_is_forgotten(
    session: Session, model: Model
) -> None:
    stop_halfway(session, model)
    (litter,) = find_litter(session)
    assert litter.reason == "a partial download"
    freed, busy = clean([litter])
    assert freed > 0
    assert busy == ()
    assert find_litter(session) == ()
    assert forget_unfinished(session) == (model.name,)


def test_what_is_installed_is_no_litter(session: Session, installed: InstalledModel) -> None:
    assert find_litter(session) == ()
    assert forget_unfinished(session) == ()
