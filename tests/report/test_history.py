"""What is remembered of an installation."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.library.history import (
    MOST_RUNS,
    DownloadRun,
    DownloadSample,
    History,
    Incident,
    MachineSample,
    ModelHistory,
    SmokeMark,
    SmokeRun,
)
from setup_manager.library.recording import Thinned

RUN = DownloadRun(
    started_at="2026-05-04T03:02:01+00:00",
    seconds=4.0,
    total_bytes=100,
    finished=True,
    samples=(DownloadSample(0.0, 0, 0.0, 0), DownloadSample(4.0, 100, 25.0, 2)),
    incidents=(Incident(1.0, "retry", 25, "the connection broke"),),
    further_incidents=3,
)
SMOKE = SmokeRun(
    started_at="2026-05-04T03:02:09+00:00",
    samples=(MachineSample(0.0, 10, 20), MachineSample(1.0, 9, 20, 5, 61.5)),
    marks=(SmokeMark(0.0, "load"), SmokeMark(0.5, "measure")),
)


def test_what_was_remembered_comes_back_whole(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    history.add_download("e4b:Q4_K_M", RUN)
    history.add_smoke("e4b:Q4_K_M", SMOKE)
    assert History(tmp_path / "history").find("e4b:Q4_K_M") == ModelHistory(
        (RUN,), SMOKE, "e4b:Q4_K_M"
    )
    assert history.find("e2b:Q4_K_M") == ModelHistory()


def test_runs_go_on_until_one_brought_everything(tmp_path: Path) -> None:
    history = History(tmp_path)
    stopped = replace(RUN, finished=False)
    history.add_download("m", stopped)
    history.add_download("m", RUN)
    assert history.find("m").downloads == (stopped, RUN)
    history.add_download("m", stopped)
    assert history.find("m").downloads == (stopped,)


def test_endless_attempts_take_no_endless_room(tmp_path: Path) -> None:
    history = History(tmp_path)
    for number in range(MOST_RUNS + 3):
        history.add_download("m", replace(RUN, finished=False, further_incidents=number))
    kept = [run.further_incidents for run in history.find("m").downloads]
    assert kept == list(range(3, MOST_RUNS + 3))


def test_a_forgotten_model_is_gone_and_can_be_forgotten_twice(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.add_download("m", RUN)
    history.forget("m")
    history.forget("m")
    assert history.find("m") == ModelHistory()


@pytest.mark.parametrize(
    "damage",
    ["", "{", "null", "[]", "3", '{"schema": 1}', '{"schema": 2, "model": "m"}'],
)
def test_a_damaged_file_counts_as_nothing(tmp_path: Path, damage: str) -> None:
    history = History(tmp_path)
    history.add_download("m", RUN)
    next(tmp_path.glob("*.json")).write_text(damage, "utf-8")
    assert history.find("m") == ModelHistory()


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_field_of_a_wrong_kind_counts_as_nothing_or_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("h")
    history = History(folder)
    history.add_download("m", RUN)
    history.add_smoke("m", SMOKE)
    path = next(folder.glob("*.json"))
    document = json.loads(path.read_text("utf-8"))
    place = data.draw(st.sampled_from([document, document["downloads"][0], document["smoke"]]))
    key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(st.none() | st.integers() | st.text() | st.lists(st.integers()))
    path.write_text(json.dumps(document), "utf-8")
    assert isinstance(history.find("m"), ModelHistory)


@settings(deadline=None)
@given(steps=st.lists(st.floats(0.001, 500), min_size=1, max_size=400), most=st.integers(2, 40))
def test_a_thinned_series_is_bounded_ordered_and_ends_with_the_newest(
    steps: list[float], most: int
) -> None:
    series: Thinned[float] = Thinned(most, 0.1)
    now = 0.0
    for step in steps:
        now += step
        series.add(now, now)
    kept = series.samples()
    assert len(kept) <= most + 1
    assert list(kept) == sorted(set(kept))
    assert kept[0] == steps[0]
    assert kept[-1] == now


def test_the_line_is_as_fast_as_the_newest_download_that_took_a_while(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    assert history.line_rate() is None
    history.add_download("e4b", RUN)
    assert history.line_rate() == 25.0
    later = "2026-06-04T03:02:01+00:00"
    history.add_download("e2b", replace(RUN, started_at=later, seconds=50.0))
    assert history.line_rate() == 2.0
    history.add_download("12b", replace(RUN, started_at="2026-07-01", seconds=0.1))
    assert history.line_rate() == 2.0
