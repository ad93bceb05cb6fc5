"""The whole job: a real installation with the embedded engine, and those that end early."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import pytest

from setup_manager.app import check, install, smoke
from setup_manager.catalog import Model
from setup_manager.download import Downloader, journal, store
from setup_manager.errors import (
    InsufficientMemoryError,
    InterruptedByUserError,
    SetupError,
    UsageError,
)
from setup_manager.library import InstalledModel
from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, model_path
from setup_manager.session import Session, Silence, StageEvent, StageStatus
from tests.app.rehearsed import CONTENT, EMBEDDED, SIZE, StopAfter, session_beside, stop_halfway
from tests.support.loopback import LoopbackHub

DONE, SKIPPED, FAILED = StageStatus.DONE, StageStatus.SKIPPED, StageStatus.FAILED
REQUEST = install.Request(model=VARIANT, context=4096, runtime="embedded")


class Watching(Silence):
    """Keeps what it is told of stages."""

    def __init__(self) -> None:
        self.events: list[tuple[str, StageStatus]] = []

    def stage(self, event: StageEvent) -> None:
        self.events.append((event.stage, event.status))


@dataclass(frozen=True)
class Calls:
    """What was asked of the download engine, with what came of it.

    Attributes:
        plans: Every plan that was made.
        executed: Every plan that was carried out.
        replays: Every journal that was replayed.
    """

    plans: list[Any]
    executed: list[Any]
    replays: list[Any]

    def counts(self) -> tuple[int, int, int]:
        return len(self.plans), len(self.executed), len(self.replays)


def count_calls(patch: pytest.MonkeyPatch) -> Calls:
    """Count at the engine's ports; everything works as before."""
    calls = Calls([], [], [])
    plan, execute, replay = Downloader.plan, Downloader.execute, journal.replay

    @wraps(plan)
    def counted_plan(*args: Any, **options: Any) -> Any:
        calls.plans.append(plan(*args, **options))
        return calls.plans[-1]

    @wraps(execute)
    def counted_execute(downloader: Downloader, planned: Any) -> Any:
        calls.executed.append(planned)
        return execute(downloader, planned)

    @wraps(replay)
    def counted_replay(data: bytes) -> Any:
        calls.replays.append(replay(data))
        return calls.replays[-1]

    patch.setattr(Downloader, "plan", counted_plan)
    patch.setattr(Downloader, "execute", counted_execute)
    patch.setattr(store, "replay", counted_replay)
    return calls


@dataclass(frozen=True)
class Installation:
    """An installation that went on from half a download.

    Attributes:
        session: Whose.
        plan: What was planned.
        after_plan: How many plans, executions and replays there were then.
        result: What came of it.
        calls: All of them.
        events: Stages, as they were told.
    """

    session: Session
    plan: install.Plan
    after_plan: tuple[int, int, int]
    result: install.Result
    calls: Calls
    events: list[tuple[str, StageStatus]]

    @property
    def recorded(self) -> InstalledModel:
        found = self.session.inventory.find(self.result.model.name)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    pytest.importorskip("xllamacpp", reason="the embedded engine is not installed")
    with LoopbackHub({REPOSITORY: {FILE_NAME: model_path()}}) as hub:
        session = session_beside(hub, tmp_path_factory.mktemp("install") / "home")
        stop_halfway(session)
        watching = session.observer = Watching()
        with pytest.MonkeyPatch.context() as patch:
            calls = count_calls(patch)
            plan = install.plan(session, REQUEST)
            after_plan = calls.counts()
            result = install.run(session, plan)
        yield Installation(session, plan, after_plan, result, calls, watching.events)


def stages(progress: install.Progress) -> list[tuple[str, StageStatus]]:
    return [(stage.name, stage.status) for stage in progress.stages]


@pytest.mark.real_runtime
def test_a_download_is_planned_once_and_that_very_plan_is_carried_out(
    installation: Installation,
) -> None:
    planned = installation.plan.download.files
    assert installation.after_plan == (1, 0, 1)
    assert installation.calls.counts() == (1, 1, 1)
    assert installation.calls.plans[0] is planned
    assert installation.calls.executed[0] is planned


@pytest.mark.real_runtime
def test_what_was_fetched_is_what_the_plan_said(installation: Installation) -> None:
    planned = installation.plan.download.files
    assert SIZE // 4 <= planned.reuse_bytes < SIZE
    fetched = installation.result.document()["stages"][3]["data"]
    assert fetched["fetched_bytes"] == planned.fetch_bytes == SIZE - planned.reuse_bytes
    assert fetched["reused_bytes"] == planned.reuse_bytes
    assert installation.result.path.read_bytes() == CONTENT


@pytest.mark.real_runtime
def test_every_stage_is_told_and_kept_in_order(installation: Installation) -> None:
    ended = [
        ("check", DONE),
        ("recommend", SKIPPED),
        ("plan", DONE),
        ("download", DONE),
        ("register", DONE),
        ("smoke", DONE),
    ]
    assert stages(installation.result) == ended
    began = [(name, StageStatus.RUNNING) for name, _ in ended]
    assert installation.events == [
        event for pair in zip(began, ended, strict=True) for event in pair
    ]


@pytest.mark.real_runtime
def test_the_model_is_recorded_registered_and_answers(installation: Installation) -> None:
    recorded = installation.recorded
    assert recorded.complete
    assert [entry.runtime for entry in recorded.registrations] == ["embedded"]
    assert installation.result.smoke.passed
    assert recorded.last_smoke is not None
    history = installation.session.history.find(recorded.name)
    assert [run.finished for run in history.downloads] == [False, True]
    assert history.smoke is not None
    assert f" serve {recorded.name}" in installation.result.commands.start


@pytest.mark.real_runtime
def test_a_smoke_test_judges_measures_and_is_kept(installation: Installation) -> None:
    session = installation.session
    before = session.measurements.all()
    request = smoke.Request(model=VARIANT, context=4096, runtime="embedded")
    report = smoke.run(session, smoke.plan(session, request))
    assert (report.passed, report.runtime) == (True, "embedded")
    assert report.completion.tokens_per_second > 0
    assert report.predicted is not None
    assert report.predicted.low <= report.predicted.tokens_per_second <= report.predicted.high
    kept = installation.recorded.last_smoke
    assert kept is not None
    assert kept["text"] == report.text
    added = session.measurements.all()[len(before) :]
    assert [entry.measured for entry in added] == [report.completion.tokens_per_second]


@pytest.mark.real_runtime
@pytest.mark.parametrize(
    ("wanted", "option"),
    [({"image": True}, "--with-projector"), ({"with_drafter": True}, "--with-drafter")],
    ids=["image", "drafter"],
)
def test_a_smoke_test_of_a_file_that_is_not_here_says_how_to_get_it(
    installation: Installation, wanted: dict[str, bool], option: str
) -> None:
    request = smoke.Request(model=VARIANT, runtime="embedded", **wanted)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught:
        smoke.plan(installation.session, request)
    assert option in caught.value.hint


# Installations that end early; none of them starts an engine.


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "find_runtimes", lambda _session: EMBEDDED)


def partial_of(error: SetupError) -> install.Progress:
    assert isinstance(error.partial, install.Progress)
    return error.partial


@pytest.mark.usefixtures("found")
def test_a_model_that_does_not_fit_ends_with_its_plan(
    session: Session, model: Model, hub: LoopbackHub
) -> None:
    with pytest.raises(InsufficientMemoryError) as caught:
        install.plan(session, replace(REQUEST, context=131072, slots=1024))
    assert stages(partial_of(caught.value)) == [
        ("check", DONE),
        ("recommend", SKIPPED),
        ("plan", FAILED),
    ]
    assert session.inventory.find(model.name) is None
    assert hub.served_bytes == 0


def test_a_wrong_model_is_told_before_anything_is_looked_at(
    session: Session, hub: LoopbackHub
) -> None:
    watching = session.observer = Watching()
    with pytest.raises(UsageError) as caught:
        install.plan(session, replace(REQUEST, model="e9b"))
    assert stages(partial_of(caught.value)) == []
    assert watching.events == []
    assert not hub.requests


@pytest.mark.usefixtures("found")
def test_an_installation_that_is_stopped_tells_how_far_it_came(session: Session) -> None:
    session.downloading = replace(
        session.downloading, progress_seconds=0.0, rate_bytes_per_second=600_000, connections=2
    )
    plan = install.plan(session, REQUEST)
    assert stages(plan.unstarted)[3:] == [
        ("download", SKIPPED),
        ("register", SKIPPED),
        ("smoke", SKIPPED),
    ]
    session.observer = StopAfter(session, SIZE // 4)
    with pytest.raises(InterruptedByUserError) as caught:
        install.run(session, plan)
    assert stages(partial_of(caught.value)) == [*stages(plan.progress), ("download", FAILED)]
