"""What `recover` records of a file that it took over."""

from pathlib import Path

import pytest

from setup_manager.app import download, recover, remove, smoke
from setup_manager.catalog import Role
from setup_manager.errors import UsageError
from setup_manager.session import Session
from tests.app.bench import PROJECTOR, Bench, projector_content

MODEL = "rehearsal:F16"


def left_projector(bench: Bench) -> Path:
    """A projector that a browser fetched."""
    left = bench.home / "Downloads" / PROJECTOR
    left.parent.mkdir()
    left.write_bytes(projector_content())
    return left


def take_over(session: Session, left: Path) -> recover.Result:
    return recover.run(session, recover.plan(session, recover.Request(paths=(left,))))


def roles(session: Session) -> dict[str, list[Role]]:
    return {
        model.name: [file.artifact.role for file in model.files]
        for model in session.inventory.models()
    }


def fetched(session: Session, **asked: bool) -> download.Result:
    request = download.Request(model="rehearsal", **asked)
    return download.run(session, download.plan(session, request))


def test_a_projector_alone_is_recorded_under_its_model(bench: Bench) -> None:
    session = bench.session()
    (found,) = take_over(session, left_projector(bench)).files
    assert found.path.name == PROJECTOR
    assert roles(session) == {MODEL: [Role.PROJECTOR]}
    (model,) = session.inventory.models()
    assert not model.complete


def test_a_projector_alone_is_no_model_that_could_be_run(bench: Bench) -> None:
    session = bench.session()
    take_over(session, left_projector(bench))
    with pytest.raises(UsageError) as caught:
        smoke.plan(session, smoke.Request(model="rehearsal"))
    assert caught.value.code == "not-installed"
    assert "download rehearsal:F16" in caught.value.hint


def test_weights_and_projector_are_one_model_in_either_order(bench: Bench) -> None:
    session = bench.session()
    take_over(session, left_projector(bench))
    fetched(session)
    assert roles(session) == {MODEL: [Role.WEIGHTS, Role.PROJECTOR]}
    (model,) = session.inventory.models()
    assert model.complete


def test_a_download_without_the_projector_does_not_forget_it(bench: Bench) -> None:
    session = bench.session()
    fetched(session, with_projector=True)
    fetched(session)
    assert roles(session) == {MODEL: [Role.WEIGHTS, Role.PROJECTOR]}
    remove.run(session, remove.plan(session, remove.Request(model="rehearsal")))
    assert not list(session.layout.root.rglob(PROJECTOR))
