"""Planning and carrying out a download: the plan counts what the download then does."""

from dataclasses import replace
from pathlib import Path

import pytest

from setup_manager.app.verbs.download import check_disk, download, plan_document, plan_download
from setup_manager.catalog.artifact import Model
from setup_manager.errors import InsufficientDiskError
from setup_manager.library.layout import PlainFolderLayout
from setup_manager.rehearsal.loopback import LoopbackHub
from setup_manager.rehearsal.model import FILE_NAME
from setup_manager.session.session import Session
from tests.app.conftest import CONTENT, SIZE, recorded_as, stop_halfway


def test_a_plan_writes_nothing_and_asks_nothing(
    session: Session, model: Model, hub: LoopbackHub, tmp_path: Path
) -> None:
    planned = plan_download(session, model)
    assert (planned.fetch_bytes, planned.reuse_bytes) == (SIZE, 0)
    assert list(tmp_path.rglob("*")) == []
    assert not hub.requests


def test_a_download_does_what_its_plan_said_and_the_next_plan_is_empty(
    session: Session, model: Model
) -> None:
    result = download(session, model)
    assert (result.fetched_bytes, result.reused_bytes) == (SIZE, 0)
    assert result.path.read_bytes() == CONTENT
    assert recorded_as(session, model).complete
    document = plan_document(model, plan_download(session, model))
    assert (document["fetch_bytes"], document["reuse_bytes"]) == (0, SIZE)
    assert [file["installed"] for file in document["files"]] == [True]


def test_a_second_download_fetches_nothing(
    session: Session, model: Model, hub: LoopbackHub
) -> None:
    download(session, model)
    before = hub.served_bytes
    again = download(session, model)
    assert (again.fetched_bytes, again.reused_bytes) == (0, SIZE)
    assert hub.served_bytes == before


def test_a_runtimes_own_copy_counts_at_the_peak_alone(session: Session, model: Model) -> None:
    alone = plan_download(session, model)
    copied = plan_download(session, model, copied_bytes=3 * SIZE)
    assert copied.peak_disk_bytes == alone.peak_disk_bytes + 3 * SIZE
    assert copied.fetch_bytes == alone.fetch_bytes


def test_without_room_nothing_is_begun(session: Session, model: Model, hub: LoopbackHub) -> None:
    planned = plan_download(session, model, copied_bytes=1 << 60)
    with pytest.raises(InsufficientDiskError):
        check_disk(session, planned)
    with pytest.raises(InsufficientDiskError):
        download(session, model, copied_bytes=1 << 60)
    assert not hub.requests
    assert session.inventory.find(model.name) is None


def test_a_download_that_was_stopped_is_known_and_gone_on_with(
    session: Session, model: Model
) -> None:
    stop_halfway(session, model)
    assert not recorded_as(session, model).complete
    assert 0 < plan_download(session, model).fetch_bytes < SIZE
    result = download(session, model)
    assert result.reused_bytes >= SIZE // 4
    assert result.fetched_bytes + result.reused_bytes == SIZE
    assert recorded_as(session, model).complete


@pytest.mark.parametrize("recovering", [True, False])
def test_what_a_browser_left_is_used_unless_it_is_not_looked_for(
    session: Session, model: Model, *, recovering: bool
) -> None:
    assert session.home is not None
    leftover = session.home / "Downloads" / f"{FILE_NAME}.crdownload"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(CONTENT[:1_200_000])
    session.recovering = recovering
    result = download(session, model)
    assert (result.adopted_bytes > 1_000_000) is recovering
    assert result.fetched_bytes <= SIZE - result.adopted_bytes
    assert result.path.read_bytes() == CONTENT
    assert leftover.read_bytes() == CONTENT[:1_200_000]


def test_files_in_another_folder_are_not_those_of_the_cache(
    session: Session, model: Model, tmp_path: Path
) -> None:
    download(session, model)
    session.layout = PlainFolderLayout(tmp_path / "plain")
    session.downloading = replace(session.downloading, checks_dir=tmp_path / "checks")
    assert plan_download(session, model).fetch_bytes == SIZE
