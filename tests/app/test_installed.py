"""What is done with an installed model: recorded, registered, verified, reported."""

import pytest

from setup_manager.app import register, verify
from setup_manager.catalog import Model
from setup_manager.library import InstalledModel
from setup_manager.report.facts import ReportRequest, gather
from setup_manager.session import Session, Silence
from tests.app.rehearsed import CONTENT, SIZE, fetch, stop_halfway
from tests.support.loopback import LoopbackHub


def register_embedded(session: Session, model: InstalledModel) -> register.Result:
    request = register.Request(model=model.name, runtime="embedded")
    return register.run(session, register.plan(session, request))


def verify_all(session: Session, *, repair: bool = False) -> verify.Result:
    return verify.run(session, verify.plan(session, verify.Request(repair=repair)))


def test_a_download_is_remembered_even_when_it_is_stopped(session: Session, model: Model) -> None:
    shown = session.observer = Silence()
    stop_halfway(session)
    (run,) = session.history.find(model.name).downloads
    assert not run.finished
    fetch(session)
    assert session.observer is shown
    assert session.history.find(model.name).downloads[-1].finished


@pytest.mark.usefixtures("embedded_alone")
def test_a_registration_is_kept_once(session: Session, installed: InstalledModel) -> None:
    first = register_embedded(session, installed)
    again = register_embedded(session, installed)
    assert (first.already, again.already) == (False, True)
    assert session.inventory.find(installed.name) == again.model
    assert [entry.runtime for entry in again.model.registrations] == ["embedded"]


def test_damage_is_found_and_only_that_is_fetched(
    session: Session, installed: InstalledModel, hub: LoopbackHub
) -> None:
    assert verify_all(session).error is None
    path = installed.weights.path
    spoiled = bytearray(CONTENT)
    spoiled[700_000] ^= 1
    path.resolve().chmod(0o644)
    path.resolve().write_bytes(spoiled)
    found = verify_all(session)
    assert not found.verified
    (span,) = found.files[0].check.damaged
    assert span[0] <= 700_000 < span[1]
    assert found.error is not None
    assert "--repair" in found.error.hint
    before = hub.served_bytes
    repaired = verify_all(session, repair=True)
    assert (repaired.verified, repaired.error) == (True, None)
    (row,) = repaired.document()["files"]
    assert 0 < row["fetched_bytes"] < SIZE // 2
    assert hub.served_bytes - before < SIZE // 2
    assert path.read_bytes() == CONTENT


@pytest.mark.usefixtures("embedded_alone")
def test_a_report_tells_of_the_model_that_was_installed_last(
    session: Session, installed: InstalledModel
) -> None:
    register_embedded(session, installed)
    content = gather(session, ReportRequest(created_at="2026-05-04T03:02:01+00:00"))
    assert content.model == installed.name
    assert [row["sha256"] for row in content.files] == [installed.weights.artifact.sha256]
    assert content.commands is not None
    assert content.commands["runtime"] == "embedded"
    assert " serve " in content.commands["start"]
    assert content.smoke is None


def test_a_report_where_nothing_is_installed_tells_of_the_best_that_fits(
    session: Session,
) -> None:
    content = gather(session, ReportRequest())
    assert content.recommendation is not None
    assert content.model == content.recommendation["choices"][0]["model"]
    assert (content.files, content.downloads, content.commands) == ((), (), None)
