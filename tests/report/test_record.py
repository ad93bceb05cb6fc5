"""Recording an installation while somebody else shows it."""

from pathlib import Path

import pytest

from setup_manager.app.record import Recorder, observed, recorded
from setup_manager.download.events import DownloadEvent, Kind
from setup_manager.library.history import History, ModelHistory
from setup_manager.library.recording import MOST_INCIDENTS, MOST_SAMPLES
from setup_manager.machine.live import ProcessMemory, Reading
from setup_manager.rehearsal.model import model_path
from setup_manager.runtimes.base import RuntimeEvent
from setup_manager.session.events import Silence, StageEvent, StageStatus
from setup_manager.session.session import Session
from setup_manager.smoke.request import Watch
from tests.report.conftest import MODEL
from tests.support.sessions import session_at


class Listener(Silence):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def stage(self, event: StageEvent) -> None:
        self.told.append(event)

    def download(self, event: DownloadEvent) -> None:
        self.told.append(event)

    def smoke(self, event: RuntimeEvent) -> None:
        self.told.append(event)

    def note(self, text: str) -> None:
        self.told.append(text)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def event(kind: Kind, present: int, file: str = "a.gguf", **more: object) -> DownloadEvent:
    return DownloadEvent("t", kind, file, present, 1000, **more)  # type: ignore[arg-type]


def test_everything_is_passed_on_as_it_came() -> None:
    listener = Listener()
    recorder = Recorder(listener)
    told = [
        StageEvent("check", StageStatus.DONE),
        event(Kind.PROGRESS, 5),
        RuntimeEvent("load"),
        "a note",
    ]
    recorder.stage(told[0])  # type: ignore[arg-type]
    recorder.download(told[1])  # type: ignore[arg-type]
    recorder.smoke(told[2])  # type: ignore[arg-type]
    recorder.note("a note")
    assert listener.told == told


def test_a_download_is_remembered_over_all_of_its_files(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(Silence(), clock)
    for seconds, told in (
        (0, event(Kind.START, 100)),
        (1, event(Kind.PROGRESS, 600, rate=500.0, connections=2)),
        (2, event(Kind.RETRY, 700, message="the connection broke")),
        (3, event(Kind.DONE, 1000)),
        (4, event(Kind.PROGRESS, 400, "b.gguf", rate=50.0, connections=1)),
        (5, event(Kind.DONE, 1000, "b.gguf")),
    ):
        clock.now = 100.0 + seconds
        recorder.download(told)
    recorder.save(History(tmp_path), "m")
    (run,) = History(tmp_path).find("m").downloads
    assert [sample.bytes for sample in run.samples] == [100, 600, 700, 1000, 1400, 2000]
    assert [sample.rate for sample in run.samples] == [0, 500, 0, 0, 50, 0]
    assert (run.seconds, run.total_bytes, run.finished) == (5.0, 2000, True)
    (incident,) = run.incidents
    assert (incident.seconds, incident.kind, incident.bytes) == (2.0, "retry", 700)


def test_a_download_of_days_with_endless_retries_stays_small(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(Silence(), clock)
    for number in range(20_000):
        clock.now += 7.0
        kind = Kind.RETRY if number % 20 == 0 else Kind.PROGRESS
        recorder.download(event(kind, number // 25, message="again"))
    recorder.save(History(tmp_path), "m")
    (run,) = History(tmp_path).find("m").downloads
    assert MOST_SAMPLES // 2 <= len(run.samples) <= MOST_SAMPLES + 1
    assert len(run.incidents) == MOST_INCIDENTS
    assert run.further_incidents == 1000 - MOST_INCIDENTS
    assert not run.finished
    assert next(tmp_path.glob("*.json")).stat().st_size < 150_000


def test_nothing_is_remembered_where_nothing_moved(tmp_path: Path) -> None:
    recorder = Recorder(Silence())
    recorder.download(event(Kind.START, 1000))
    recorder.download(event(Kind.DONE, 1000))
    recorder.save(History(tmp_path), "m")
    assert History(tmp_path).find("m") == ModelHistory()


def test_a_folder_that_cannot_be_written_costs_a_note_and_not_the_work(tmp_path: Path) -> None:
    (tmp_path / "history").write_text("a file stands where the folder should be")
    listener = Listener()
    recorder = Recorder(listener)
    recorder.download(event(Kind.FAILED, 10))
    recorder.save(History(tmp_path / "history"), "m")
    assert str(listener.told[-1]).startswith("The report will not show this run")


def test_what_the_guard_reads_is_remembered_with_the_steps(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(Silence(), clock)
    readings = iter(Reading(0.0, 900 - n, 1000, celsius=50.0 + n) for n in range(3))
    watch = observed(Watch(lambda: next(readings), lambda _: ProcessMemory(70, 40, 20)), recorder)
    recorder.smoke(RuntimeEvent("load"))
    watch.read()
    watch.read_process(1)
    clock.now += 1
    recorder.smoke(RuntimeEvent("load", 1.0, "a line"))
    watch.read()
    clock.now += 1
    recorder.smoke(RuntimeEvent("measure"))
    watch.read()
    recorder.save(History(tmp_path), "m")
    run = History(tmp_path).find("m").smoke
    assert run is not None
    assert [(mark.seconds, mark.step) for mark in run.marks] == [(0.0, "load"), (2.0, "measure")]
    assert [sample.available_bytes for sample in run.samples] == [900, 899, 898]
    assert [sample.process_bytes for sample in run.samples] == [None, 60, 60]
    assert [sample.celsius for sample in run.samples] == [50.0, 51.0, 52.0]


def test_an_observer_that_does_not_care_for_readings_gets_the_watch_as_it_is() -> None:
    watch = Watch(lambda: Reading(0.0, 1, 1))
    assert observed(watch, Silence()) is watch


def test_the_observer_of_a_session_is_back_after_an_error(tmp_path: Path) -> None:
    session = session_at(tmp_path)
    shown = session.observer

    def fail() -> None:
        with recorded(session, "m"):
            assert session.observer is not shown
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert session.observer is shown


def test_a_real_installation_over_a_bad_line_is_remembered(installed: Session) -> None:
    history = installed.history.find(MODEL)
    (run,) = history.downloads
    assert run.finished
    assert run.total_bytes == run.samples[-1].bytes == model_path().stat().st_size
    assert len(run.incidents) >= 3
    assert {incident.kind for incident in run.incidents} <= {"retry", "wait"}
    assert history.smoke is not None
    steps = [mark.step for mark in history.smoke.marks]
    assert steps[0] == "load"
    assert "measure" in steps
    assert all(sample.capacity_bytes > 0 for sample in history.smoke.samples)
    assert any(sample.process_bytes for sample in history.smoke.samples)
