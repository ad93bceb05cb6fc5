"""Removing and cleaning: what was put in comes out, and nothing else."""

from dataclasses import replace

import pytest

from setup_manager.app import clean, remove
from setup_manager.catalog import Model
from setup_manager.errors import RuntimeMissingError, UsageError
from setup_manager.library import InstalledModel, Registration
from setup_manager.session import Session
from tests.app.rehearsed import SIZE, fetch, recorded_as, stop_halfway

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


def plan_removal(session: Session, model: Model | InstalledModel) -> remove.Plan:
    return remove.plan(session, remove.Request(model=model.name))


def freed(session: Session, plan: remove.Plan) -> int:
    return remove.run(session, plan).freed_bytes


def plan_cleaning(session: Session) -> clean.Plan:
    return clean.plan(session, clean.Request())


def test_files_record_and_history_go_together(session: Session, model: Model) -> None:
    fetch(session)
    assert session.history.find(model.name).downloads
    plan = plan_removal(session, model)
    assert plan.kept == ()
    assert freed(session, plan) >= SIZE
    assert session.inventory.find(model.name) is None
    assert not session.history.find(model.name).downloads
    left = [path for path in session.layout.root.rglob("*") if path.is_file()]
    assert [path for path in left if path.suffix != ".lock"] == []


def test_a_removal_can_be_run_again(session: Session, installed: InstalledModel) -> None:
    plan = plan_removal(session, installed)
    assert freed(session, plan) >= SIZE
    assert freed(session, plan) == 0


def test_what_is_not_installed_cannot_be_removed(session: Session, model: Model) -> None:
    with pytest.raises(UsageError) as caught:
        plan_removal(session, model)
    assert caught.value.code == "not-installed"


def test_a_file_that_another_model_shares_stays(
    session: Session, installed: InstalledModel
) -> None:
    session.inventory.save(replace(installed, name="org/other:F16"))
    plan = plan_removal(session, installed)
    assert plan.files == ()
    assert [why for _, why in plan.kept] == ["also belongs to org/other:F16"]
    assert freed(session, plan) == 0
    assert installed.weights.path.exists()
    (last,) = session.inventory.models()
    assert freed(session, plan_removal(session, last)) >= SIZE
    assert not installed.weights.path.exists()


def test_a_file_that_was_here_before_stays(session: Session, installed: InstalledModel) -> None:
    session.inventory.forget(installed.name)
    fetch(session)
    plan = plan_removal(session, installed)
    assert plan.document()["files"] == []
    assert "not installed by gemma-setup" in plan.document()["kept"][0]["reason"]
    assert freed(session, plan) == 0
    assert installed.weights.path.exists()


def test_a_runtime_that_does_not_answer_keeps_everything_until_it_is_forgotten(
    session: Session, installed: InstalledModel
) -> None:
    registered = installed.with_registration(OLLAMA)
    session.inventory.save(registered)
    with pytest.raises(RuntimeMissingError) as caught:
        remove.run(session, plan_removal(session, installed))
    assert "--forget" in caught.value.hint
    assert session.inventory.find(installed.name) == registered
    assert installed.weights.path.exists()
    forgetting = remove.plan(session, remove.Request(model=installed.name, forget=True))
    assert freed(session, forgetting) >= SIZE
    assert session.inventory.models() == ()


def test_what_a_stopped_download_left_is_cleaned_and_its_model_is_forgotten(
    session: Session, model: Model
) -> None:
    stop_halfway(session)
    plan = plan_cleaning(session)
    assert [item.reason for item in plan.found] == ["a partial download"]
    assert recorded_as(session, model).name == model.name
    result = clean.run(session, plan)
    assert result.freed_bytes > 0
    assert result.busy == ()
    assert plan_cleaning(session).found == ()
    assert session.inventory.models() == ()


def test_what_is_installed_is_no_litter(session: Session, installed: InstalledModel) -> None:
    plan = plan_cleaning(session)
    assert plan.found == ()
    assert clean.run(session, plan).freed_bytes == 0
    assert session.inventory.models() == (installed,)
    assert installed.complete
