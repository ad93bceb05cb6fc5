"""Planning and carrying out a download: the plan counts what the download then does."""

from dataclasses import replace
from pathlib import Path

import pytest

from setup_manager.app.transfer import plan_transfer
from setup_manager.catalog import Model
from setup_manager.errors import InsufficientDiskError
from setup_manager.library import Place
from setup_manager.rehearsal.model import FILE_NAME
from setup_manager.session import Session
from tests.app.rehearsed import CONTENT, SIZE, fetch, plan_fetch, recorded_as, stop_halfway
from tests.support.loopback import LoopbackHub


def test_a_plan_writes_nothing_and_asks_nothing(
    session: Session, hub: LoopbackHub, tmp_path: Path
) -> None:
    planned = plan_fetch(session).files
    assert (planned.fetch_bytes, planned.reuse_bytes) == (SIZE, 0)
    assert list(tmp_path.rglob("*")) == []
    assert not hub.requests


def test_a_download_does_what_its_plan_said_and_the_next_plan_is_empty(
    session: Session, model: Model
) -> None:
    result = fetch(session)
    assert (result.fetched_bytes, result.reused_bytes) == (SIZE, 0)
    assert result.path.read_bytes() == CONTENT
    assert recorded_as(session, model).complete
    document = plan_fetch(session).document()
    assert (document["fetch_bytes"], document["reuse_bytes"]) == (0, SIZE)
    assert [file["installed"] for file in document["files"]] == [True]


def test_a_second_download_fetches_nothing(session: Session, hub: LoopbackHub) -> None:
    fetch(session)
    before = hub.served_bytes
    again = fetch(session)
    assert (again.fetched_bytes, again.reused_bytes) == (0, SIZE)
    assert hub.served_bytes == before


def test_a_runtimes_own_copy_counts_at_the_peak_alone(session: Session, model: Model) -> None:
    alone = plan_transfer(session, model)
    copied = plan_transfer(session, model, copied_bytes=3 * SIZE)
    assert copied.peak_disk_bytes == alone.peak_disk_bytes + 3 * SIZE
    assert copied.fetch_bytes == alone.fetch_bytes


def test_a_copy_without_room_is_refused(session: Session, model: Model) -> None:
    with pytest.raises(InsufficientDiskError):
        plan_transfer(session, model, copied_bytes=1 << 60).check_room()


def test_without_room_nothing_is_begun(session: Session, model: Model, hub: LoopbackHub) -> None:
    session.downloading = replace(session.downloading, reserve_bytes=1 << 60)
    with pytest.raises(InsufficientDiskError):
        plan_fetch(session)
    assert not hub.requests
    assert session.inventory.find(model.name) is None


def test_a_download_that_was_stopped_is_known_and_gone_on_with(
    session: Session, model: Model
) -> None:
    stop_halfway(session)
    assert not recorded_as(session, model).complete
    assert 0 < plan_fetch(session).files.fetch_bytes < SIZE
    result = fetch(session)
    assert result.reused_bytes >= SIZE // 4
    assert result.fetched_bytes + result.reused_bytes == SIZE
    assert recorded_as(session, model).complete


@pytest.mark.parametrize("recovering", [True, False])
def test_what_a_browser_left_is_used_unless_it_is_not_looked_for(
    session: Session, *, recovering: bool
) -> None:
    assert session.home is not None
    leftover = session.home / "Downloads" / f"{FILE_NAME}.crdownload"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(CONTENT[:1_200_000])
    session.recovering = recovering
    result = fetch(session)
    assert (result.adopted_bytes > 1_000_000) is recovering
    assert result.fetched_bytes <= SIZE - result.adopted_bytes
    assert result.path.read_bytes() == CONTENT
    assert leftover.read_bytes() == CONTENT[:1_200_000]


def test_files_in_another_folder_are_not_those_of_the_cache(
    session: Session, tmp_path: Path
) -> None:
    fetch(session)
    session.paths = replace(session.paths, models=Place(tmp_path / "plain", "a test"))
    session.downloading = replace(session.downloading, checks_dir=tmp_path / "checks")
    assert plan_fetch(session).files.fetch_bytes == SIZE
