"""What is done with an installed model: recorded, registered, verified, reported."""

from setup_manager.app.record import history_of, recorded
from setup_manager.app.verbs.download import download
from setup_manager.app.verbs.register import register
from setup_manager.app.verbs.verify import files_to_verify, verify, wrong_file
from setup_manager.catalog.artifact import Model
from setup_manager.fit.settings import Settings
from setup_manager.library.inventory import InstalledModel
from setup_manager.rehearsal.loopback import LoopbackHub
from setup_manager.report.facts import ReportRequest, gather
from setup_manager.runtimes.base import RuntimeStatus
from setup_manager.session.events import Silence
from setup_manager.session.session import Session
from tests.app.conftest import CONTENT, SIZE, stop_halfway

EMBEDDED = RuntimeStatus("embedded", found=True, gemma4=True)


def test_a_run_is_remembered_even_when_it_is_stopped(session: Session, model: Model) -> None:
    shown = session.observer = Silence()
    with recorded(session) as recorder:
        recorder.model = model.name
        stop_halfway(session, model)
    assert session.observer is shown
    (run,) = history_of(session).find(model.name).downloads
    assert not run.finished
    with recorded(session) as recorder:
        recorder.model = model.name
        download(session, model)
    assert history_of(session).find(model.name).downloads[-1].finished


def test_a_registration_is_kept_once(session: Session, installed: InstalledModel) -> None:
    first = register(session, installed, EMBEDDED, Settings(runtime="embedded"))
    again = register(session, first.model, EMBEDDED, Settings(runtime="embedded"))
    assert (first.already, again.already) == (False, True)
    assert session.inventory.find(installed.name) == again.model
    assert [entry.runtime for entry in again.model.registrations] == ["embedded"]


def test_damage_is_found_and_only_that_is_fetched(
    session: Session, installed: InstalledModel, hub: LoopbackHub
) -> None:
    (file,) = files_to_verify(session, None)
    assert verify(session, file, mend=False).right
    spoiled = bytearray(CONTENT)
    spoiled[700_000] ^= 1
    file.path.resolve().chmod(0o644)
    file.path.resolve().write_bytes(spoiled)
    row = verify(session, file, mend=False)
    assert not row.right
    (span,) = row.check.damaged
    assert span[0] <= 700_000 < span[1]
    error = wrong_file((row,))
    assert error is not None
    assert "--repair" in error.hint
    mended = verify(session, file, mend=True)
    assert mended.right
    assert 0 < mended.document()["fetched_bytes"] < SIZE // 2
    assert file.path.read_bytes() == CONTENT


def test_a_report_tells_of_the_model_that_was_installed_last(
    session: Session, installed: InstalledModel
) -> None:
    register(session, installed, EMBEDDED, Settings(runtime="embedded"))
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
