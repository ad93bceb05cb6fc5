"""Installed files that are damaged later, and bytes taken over from other tools."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from setup_manager.download.events import Kind
from setup_manager.download.installed import checks_path
from setup_manager.errors import VerificationFailedError
from setup_manager.fs import FileLock
from tests.download.conftest import MakeRig
from tests.download.rig import CHUNK, DATA, SHA, Rig
from tests.support import faults as f


@pytest.fixture
def rig(make_rig: MakeRig, tmp_path: Path) -> Rig:
    made = make_rig()
    made.options = replace(made.options, checks_dir=tmp_path / "state")
    return made


def damage(rig: Rig, *offsets: int) -> None:
    with rig.places.content.open("r+b") as file:
        for offset in offsets:
            file.seek(offset)
            file.write(bytes([DATA[offset] ^ 1]))


def repair(rig: Rig) -> int:
    return rig.downloader.repair(rig.job).fetched_bytes


def test_verify_finds_a_right_file_right(rig: Rig) -> None:
    rig.fetch()
    found = rig.downloader.verify(rig.artifact)
    assert found.right
    assert found.sha256 == SHA
    assert found.damaged == ()


def test_verify_names_the_damaged_chunks_and_changes_nothing(rig: Rig) -> None:
    rig.fetch()
    damage(rig, 5 * CHUNK + 1, 9 * CHUNK)
    before = rig.places.content.read_bytes()
    found = rig.downloader.verify(rig.artifact)
    assert not found.right
    assert found.damaged == ((5 * CHUNK, 6 * CHUNK), (9 * CHUNK, 10 * CHUNK))
    assert rig.places.content.read_bytes() == before


def test_verify_of_a_file_that_is_not_there(rig: Rig) -> None:
    found = rig.downloader.verify(rig.artifact)
    assert (found.found, found.right, found.sha256) == (False, False, None)


def test_repair_fetches_only_the_damaged_chunk(rig: Rig) -> None:
    rig.fetch()
    damage(rig, 5 * CHUNK + 1)
    before = rig.hub.served_bytes
    assert repair(rig) == CHUNK
    assert rig.hub.served_bytes - before == CHUNK
    rig.assert_right()


def test_repair_of_a_truncated_file_fetches_its_end(rig: Rig) -> None:
    rig.fetch()
    with rig.places.content.open("r+b") as file:
        file.truncate(15 * CHUNK)
    assert repair(rig) == len(DATA) - 15 * CHUNK
    rig.assert_right()


def test_repair_of_a_right_file_fetches_nothing(rig: Rig) -> None:
    rig.fetch()
    before = len(rig.hub.requests)
    assert repair(rig) == 0
    assert len(rig.hub.requests) == before


def test_repair_without_a_record_compares_and_stores_one_chunk(rig: Rig) -> None:
    rig.fetch()
    checks_path(rig.options.checks_dir or Path(), rig.artifact).unlink()
    damage(rig, 5 * CHUNK + 1)
    found = rig.downloader.verify(rig.artifact)
    assert not found.right
    assert found.damaged == ()
    assert repair(rig) <= len(DATA) + CHUNK
    rig.assert_right()
    assert len(rig.told(Kind.DAMAGED)) == 1


def test_a_repair_that_is_interrupted_goes_on_as_a_download(rig: Rig) -> None:
    rig.fetch()
    damage(rig, 5 * CHUNK + 1)
    rig.hub.faults = (f.always(f.status(503)),)
    rig.options = replace(rig.options, patience_seconds=0.2)
    with pytest.raises(Exception, match="could not be downloaded"):
        repair(rig)
    assert not rig.places.content.exists(), "a damaged file has no final name"
    rig.hub.faults = ()
    assert rig.fetch().fetched_bytes == CHUNK
    rig.assert_right()


def test_an_installed_file_is_recognised_by_its_stamp_without_reading_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.fetch()
    monkeypatch.setattr(
        "setup_manager.download.file_fetch.hash_whole",
        lambda *_: pytest.fail("the file was read"),
    )
    assert rig.fetch().reused_bytes == len(DATA)


def test_a_recorded_file_is_recognised_while_another_process_holds_the_lock(rig: Rig) -> None:
    rig.fetch()
    with FileLock(rig.places.lock, wait=False):
        assert rig.fetch(wait=False).reused_bytes == len(DATA)


def test_a_file_written_to_after_it_was_installed_is_read_again(rig: Rig) -> None:
    rig.fetch()
    damage(rig, 3)
    rig.fetch()
    rig.assert_right()


# Adopting


def leftover(tmp_path: Path, data: bytes = DATA) -> Path:
    path = tmp_path / "download.part"
    path.write_bytes(data)
    return path


def test_adopted_bytes_are_not_fetched(rig: Rig, tmp_path: Path) -> None:
    source = leftover(tmp_path, DATA[: 10 * CHUNK + 77])
    taken = rig.downloader.adopt(rig.artifact, source, [(0, 10 * CHUNK + 77)])
    assert taken == 10 * CHUNK + 77
    file = rig.fetch()
    rig.assert_right()
    assert file.fetched_bytes == rig.hub.served_bytes == len(DATA) - taken
    assert source.read_bytes() == DATA[: 10 * CHUNK + 77]


def test_scattered_ranges_are_adopted(rig: Rig, tmp_path: Path) -> None:
    ranges = [(100, 5000), (3 * CHUNK, 7 * CHUNK), (len(DATA) - 10, len(DATA) + 99)]
    taken = rig.downloader.adopt(rig.artifact, leftover(tmp_path), ranges)
    assert taken == 4900 + 4 * CHUNK + 10
    assert rig.fetch().fetched_bytes == len(DATA) - taken
    rig.assert_right()


def test_a_whole_leftover_costs_no_byte(rig: Rig, tmp_path: Path) -> None:
    rig.downloader.adopt(rig.artifact, leftover(tmp_path), [(0, len(DATA))])
    assert rig.fetch().fetched_bytes == 0
    rig.assert_right()
    assert not rig.hub.requests


def test_wrong_adopted_bytes_are_the_first_to_be_looked_at_again(rig: Rig, tmp_path: Path) -> None:
    bad = bytearray(DATA)
    bad[7 * CHUNK + 5] ^= 1
    rig.downloader.adopt(rig.artifact, leftover(tmp_path, bytes(bad)), [(0, 8 * CHUNK)])
    file = rig.fetch()
    rig.assert_right()
    assert file.fetched_bytes == len(DATA) - 8 * CHUNK + 8 * CHUNK + CHUNK
    (told,) = rig.told(Kind.DAMAGED)
    assert f"bytes {7 * CHUNK} to" in told.message


def test_adopting_twice_and_after_a_download_keeps_what_is_there(rig: Rig, tmp_path: Path) -> None:
    rig.interrupt_after(5 * CHUNK)
    here = rig.places_covered
    source = leftover(tmp_path)
    first = rig.downloader.adopt(rig.artifact, source, [(0, 10 * CHUNK)])
    assert 0 < first <= 10 * CHUNK - here + 2 * CHUNK
    assert rig.downloader.adopt(rig.artifact, source, [(0, 10 * CHUNK)]) == 0
    rig.fetch()
    rig.assert_right()


def test_adopting_under_a_bad_name_is_refused(rig: Rig, tmp_path: Path) -> None:
    bad = replace(rig.artifact, path="../x")
    with pytest.raises(VerificationFailedError):
        rig.downloader.adopt(bad, leftover(tmp_path), [(0, 10)])


def test_without_the_kernels_copy_bytes_are_copied_by_hand(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "another device")

    monkeypatch.setattr("os.copy_file_range", refuse)
    rig.downloader.adopt(rig.artifact, leftover(tmp_path), [(0, 9 * CHUNK)])
    assert rig.fetch().fetched_bytes == len(DATA) - 9 * CHUNK
    rig.assert_right()
