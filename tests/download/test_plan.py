"""A download is planned once: what was read of the disk counts unless the disk changed since."""

from __future__ import annotations

from pathlib import Path

import pytest

from setup_manager.download import store
from setup_manager.download.journal import Replay, replay
from setup_manager.download.plan import FilePlan
from setup_manager.errors import InterruptedByUserError
from setup_manager.fs import FileLock
from tests.download.conftest import MakeRig
from tests.download.rig import CHUNK, DATA, Rig


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    made = make_rig()
    made.interrupt_after(8 * CHUNK)
    return made


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the journals that were read."""
    read: list[int] = []
    original = replay

    def counting(data: bytes) -> Replay:
        read.append(len(data))
        return original(data)

    monkeypatch.setattr(store, "replay", counting)
    return read


def planned(rig: Rig) -> FilePlan:
    (file,) = rig.downloader.plan([rig.job]).files
    return file


def test_the_journal_is_read_once_from_the_plan_to_the_end(rig: Rig, replays: list[int]) -> None:
    plan = rig.downloader.plan([rig.job])
    plan.check_room()
    (file,) = rig.downloader.execute(plan)
    rig.assert_right()
    assert len(replays) == 1
    assert file.reused_bytes == plan.reuse_bytes > 0
    assert file.fetched_bytes == plan.fetch_bytes


def test_a_plan_still_says_what_it_said_once_it_is_carried_out(rig: Rig) -> None:
    plan = rig.downloader.plan([rig.job])
    said = (plan.fetch_bytes, plan.reuse_bytes, plan.files[0].missing)
    rig.downloader.execute(plan)
    assert (plan.fetch_bytes, plan.reuse_bytes, plan.files[0].missing) == said


def test_what_came_after_the_plan_was_made_is_used(rig: Rig, tmp_path: Path) -> None:
    plan = rig.downloader.plan([rig.job])
    source = tmp_path / "other.part"
    source.write_bytes(DATA)
    taken = rig.downloader.adopt(rig.artifact, source, [(0, 15 * CHUNK)])
    assert taken > 0
    (file,) = rig.downloader.execute(plan)
    rig.assert_right()
    assert file.reused_bytes == plan.reuse_bytes + taken


def test_what_went_after_the_plan_was_made_is_not_counted(rig: Rig) -> None:
    plan = rig.downloader.plan([rig.job])
    rig.places.journal.unlink()
    rig.places.partial.unlink()
    (file,) = rig.downloader.execute(plan)
    rig.assert_right()
    assert file.reused_bytes == 0


def test_a_partial_that_was_cut_after_the_plan_was_made_is_looked_at_again(rig: Rig) -> None:
    plan = rig.downloader.plan([rig.job])
    with rig.places.partial.open("r+b") as file:
        file.truncate(2 * CHUNK)
    (fetched,) = rig.downloader.execute(plan)
    rig.assert_right()
    assert fetched.reused_bytes <= 2 * CHUNK


def test_a_file_that_another_process_finished_is_not_fetched(rig: Rig) -> None:
    plan = rig.downloader.plan([rig.job])
    rig.fetch()
    served = rig.hub.served_bytes
    (file,) = rig.downloader.execute(plan)
    assert (file.fetched_bytes, rig.hub.served_bytes) == (0, served)


def test_a_file_that_went_after_the_plan_was_made_is_fetched(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.fetch()
    plan = rig.downloader.plan([rig.job])
    assert plan.files[0].installed
    rig.places.visible.unlink()
    rig.places.content.unlink()
    rig.downloader.execute(plan)
    rig.assert_right()


def test_a_plan_can_be_carried_out_again_after_an_interruption(rig: Rig) -> None:
    plan = rig.downloader.plan([rig.job])
    rig.cancel.set()
    with pytest.raises(InterruptedByUserError):
        rig.downloader.execute(plan)
    rig.cancel.clear()
    (file,) = rig.downloader.execute(plan)
    rig.assert_right()
    assert file.reused_bytes == plan.reuse_bytes


def test_planning_waits_for_nobody(rig: Rig) -> None:
    with FileLock(rig.places.lock, wait=False):
        assert planned(rig).reuse_bytes > 0
