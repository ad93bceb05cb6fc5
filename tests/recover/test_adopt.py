"""Whole files: by digest, without a second copy where that can be, originals unharmed."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from scripts.make_leftovers import FILE, REPOSITORY
from setup_manager.catalog.artifact import Artifact
from setup_manager.download.engine import Downloader
from setup_manager.download.job import DownloadOptions, FileJob
from setup_manager.errors import (
    AccessDeniedError,
    BusyError,
    DownloadFailedError,
    InterruptedByUserError,
    SetupError,
)
from setup_manager.fs import FileLock
from setup_manager.library.layout import HubCacheLayout, PlainFolderLayout
from setup_manager.net import NetworkOptions, Origin
from setup_manager.recover.adopt import TakeOver
from setup_manager.recover.find import find_leftovers
from setup_manager.recover.offer import found_for
from setup_manager.units import MIB
from tests.recover.conftest import LIMITS, Bench
from tests.support.faults import always, first, range_ignored, reset_after, status
from tests.support.loopback import Access, LoopbackHub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "theirs"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    "name",
    [
        FILE,
        "gemma-4-tiny-it-Q8_0 (1).gguf",
        "renamed by hand.gguf",
        f"{FILE}.crdownload",
        f"loopback_gemma-4-tiny-it-GGUF_{FILE}.downloadInProgress",
        "DIGEST.incomplete",
        "sha256-DIGEST",
        "sha256-DIGEST-partial",
    ],
)
def test_a_whole_file_is_taken_over_without_the_network(
    model: Path, folder: Path, bench: Bench, name: str
) -> None:
    theirs = folder / name.replace("DIGEST", bench.artifact.sha256)
    shutil.copyfile(model, theirs)
    (offer,) = bench.offers(folder)
    assert offer.complete
    outcome = bench.take((offer,))
    assert outcome.verified is not None
    assert outcome.verified.reused_bytes == bench.artifact.size_bytes
    ours = outcome.verified.path
    assert ours.samefile(theirs), "no second copy on one file system"
    assert bench.hub.requests == []
    again = bench.fetch()
    assert (again.path, again.fetched_bytes) == (ours, 0)
    assert bench.hub.requests == []


def test_with_move_the_leftover_and_its_records_are_gone(
    model: Path, folder: Path, bench: Bench
) -> None:
    theirs = folder / f"sha256-{bench.artifact.sha256}-partial"
    shutil.copyfile(model, theirs)
    theirs.with_name(f"{theirs.name}-0").write_text("{}")
    outcome = bench.take(bench.offers(folder), move=True)
    assert outcome.verified is not None
    assert list(folder.iterdir()) == []
    assert outcome.verified.path.stat().st_nlink == 1


@pytest.mark.parametrize("name", ["sha256-DIGEST", "blobs/DIGEST"])
def test_with_move_what_a_store_still_uses_stays(
    model: Path, folder: Path, bench: Bench, name: str
) -> None:
    theirs = folder / name.replace("DIGEST", bench.artifact.sha256)
    theirs.parent.mkdir(exist_ok=True)
    shutil.copyfile(model, theirs)
    outcome = bench.take(bench.offers(folder), move=True)
    assert outcome.verified is not None
    assert theirs.exists()


def test_a_whole_file_with_a_flipped_bit_is_not_installed_but_mostly_used(
    model: Path, folder: Path, bench: Bench
) -> None:
    content = bytearray(model.read_bytes())
    content[17 * MIB + 5] ^= 1
    (folder / FILE).write_bytes(content)
    outcome, file, _ = bench.recover(folder)
    assert outcome.verified is None
    assert any("SHA-256 differs" in note for note in outcome.notes)
    assert hashlib.sha256(file.path.read_bytes()).hexdigest() == bench.artifact.sha256
    assert (folder / FILE).read_bytes() == bytes(content)
    assert not list((bench.home / "models").rglob("*.whole.*"))


def hub_cache_take(hub: LoopbackHub, artifact: Artifact, cache: Path) -> Path:
    layout = HubCacheLayout(cache)
    downloader = Downloader(layout)
    with downloader.reader([Origin(hub.endpoint)]) as reader:
        outcome = TakeOver(downloader, reader).use(
            found_for(artifact, [cache], limits=LIMITS, settle_seconds=0)
        )
    assert outcome.verified is not None
    return outcome.verified.path


@pytest.mark.parametrize("suffix", ["", ".incomplete", ".0a1b2c3d.incomplete"])
def test_an_orphan_of_the_hub_cache_gets_its_name(
    model: Path, tmp_path: Path, hub: LoopbackHub, artifact: Artifact, suffix: str
) -> None:
    cache = tmp_path / "hub"
    blobs = cache / f"models--{REPOSITORY.replace('/', '--')}" / "blobs"
    blobs.mkdir(parents=True)
    shutil.copyfile(model, blobs / f"{artifact.sha256}{suffix}")
    visible = hub_cache_take(hub, artifact, cache)
    assert visible.is_symlink()
    assert visible.samefile(blobs / artifact.sha256)
    assert hub.served_bytes == 0


def test_a_file_that_our_own_process_is_at_is_busy(model: Path, folder: Path, bench: Bench) -> None:
    shutil.copyfile(model, folder / FILE)
    lock = bench.layout.places(bench.artifact).lock
    with (
        FileLock(lock, wait=False),
        pytest.raises(BusyError),
    ):
        bench.take(bench.offers(folder))


def test_nothing_is_taken_on_trust_when_the_hub_cannot_be_asked(
    model: Path, folder: Path, bench: Bench
) -> None:
    (folder / f"{FILE}.part").write_bytes(model.read_bytes()[: 20 * MIB])
    bench.hub.faults = (always(status(404)),)
    with pytest.raises(SetupError):
        bench.take(bench.offers(folder))
    assert not bench.layout.places(bench.artifact).partial.exists()


def test_where_the_hub_serves_no_ranges_a_part_is_not_used_and_the_file_still_comes(
    model: Path, folder: Path, bench: Bench
) -> None:
    (folder / f"{FILE}.part").write_bytes(model.read_bytes()[: 20 * MIB])
    bench.hub.faults = (always(range_ignored()),)
    outcome, file, _ = bench.recover(folder)
    assert outcome.adopted_bytes == 0
    assert "range requests" in outcome.notes[0]
    assert hashlib.sha256(file.path.read_bytes()).hexdigest() == bench.artifact.sha256


def test_a_gated_repository_is_named_as_one(model: Path, folder: Path, tmp_path: Path) -> None:
    (folder / f"{FILE}.part").write_bytes(model.read_bytes()[: 20 * MIB])
    access = {REPOSITORY: Access.GATED}
    with LoopbackHub({REPOSITORY: {FILE: model}}, access=access) as hub:
        bench = Bench(hub, hub.artifact(REPOSITORY, FILE), tmp_path / "ours")
        with pytest.raises(AccessDeniedError, match="licence"):
            bench.take(bench.offers(folder))


def test_samples_survive_a_bad_line(model: Path, folder: Path, bench: Bench) -> None:
    (folder / f"{FILE}.part").write_bytes(model.read_bytes()[: 20 * MIB])
    bench.hub.faults = (first(2, reset_after(100)),)
    assert bench.take(bench.offers(folder)).adopted_bytes == 20 * MIB


def test_a_leftover_that_is_being_written_after_the_samples_is_left_alone(
    model: Path, folder: Path, bench: Bench
) -> None:
    theirs = folder / f"{FILE}.part"
    theirs.write_bytes(model.read_bytes()[: 20 * MIB])
    offers = bench.offers(folder)
    with theirs.open("ab") as file:
        file.write(b"more")
    outcome = bench.take(offers)
    assert outcome.adopted_bytes == 0
    assert any("is writing it now" in note for note in outcome.notes)


def test_the_sentence_names_the_tool_and_the_bytes(model: Path, folder: Path, bench: Bench) -> None:
    theirs = folder / f"sha256-{bench.artifact.sha256}-partial"
    theirs.write_bytes(model.read_bytes()[: 31 * MIB])
    (offer,) = bench.offers(folder)
    assert offer.sentence == "using 32.5 of 48.4 MB that `ollama pull` left"
    outcome = bench.take((offer,))
    assert outcome.notes[0].startswith(offer.sentence)
    assert "samples of 4096 bytes agree" in outcome.notes[0]
    assert "would be below 1 in 1000" in outcome.notes[0]


def test_what_is_in_the_partial_already_is_not_copied_again(
    model: Path, folder: Path, bench: Bench
) -> None:
    (folder / f"{FILE}.part").write_bytes(model.read_bytes()[: 20 * MIB])
    assert bench.take(bench.offers(folder)).adopted_bytes == 20 * MIB
    bench.hub.requests.clear()
    (folder / f"{FILE}.part").write_bytes(model.read_bytes()[: 25 * MIB])
    assert bench.take(bench.offers(folder)).adopted_bytes == 5 * MIB
    asked = [exchange.request.range for exchange in bench.hub.requests if exchange.request.range]
    assert asked
    assert all(int(text.split("=")[1].split("-")[0]) >= 20 * MIB for text in asked if text)
    bench.hub.requests.clear()
    assert bench.take(bench.offers(folder)).adopted_bytes == 0
    assert bench.hub.requests == []


def test_a_leftover_is_never_changed(model: Path, folder: Path, bench: Bench) -> None:
    theirs = folder / f"{FILE}.part"
    theirs.write_bytes(model.read_bytes()[: 20 * MIB + 77])
    before = (theirs.stat().st_mtime_ns, theirs.read_bytes())
    bench.recover(folder)
    assert (theirs.stat().st_mtime_ns, theirs.read_bytes()) == before
    assert len(find_leftovers([folder], LIMITS).leftovers) == 1


def test_the_rest_comes_into_the_hub_cache_too(
    model: Path, folder: Path, tmp_path: Path, hub: LoopbackHub, artifact: Artifact
) -> None:
    (folder / f"{FILE}.part").write_bytes(model.read_bytes()[: 40 * MIB])
    layout = HubCacheLayout(tmp_path / "hub")
    origin = Origin(hub.endpoint)
    downloader = Downloader(layout, DownloadOptions(connections=2))
    offers = found_for(artifact, [folder], limits=LIMITS, settle_seconds=0)
    with downloader.reader([origin]) as reader:
        outcome = TakeOver(downloader, reader).use(offers)
    (file,) = downloader.fetch([FileJob(artifact, (origin,))])
    assert file.reused_bytes == outcome.adopted_bytes == 40 * MIB
    assert file.fetched_bytes == artifact.size_bytes - 40 * MIB


@pytest.mark.parametrize("name", [f"{FILE}.part", "sha256-DIGEST-partial"])
def test_with_move_a_part_itself_becomes_the_partial(
    model: Path, folder: Path, bench: Bench, name: str
) -> None:
    theirs = folder / name.replace("DIGEST", bench.artifact.sha256)
    theirs.write_bytes(model.read_bytes()[: 20 * MIB])
    theirs.chmod(0o600)
    inode = theirs.stat().st_ino
    outcome = bench.take(bench.offers(folder), move=True)
    partial = bench.layout.places(bench.artifact).partial
    assert outcome.adopted_bytes == 20 * MIB
    assert partial.stat().st_ino == inode, "no byte was copied"
    assert partial.stat().st_mode & 0o777 == 0o644
    assert list(folder.iterdir()) == []
    file = bench.fetch()
    assert file.reused_bytes == 20 * MIB
    assert hashlib.sha256(file.path.read_bytes()).hexdigest() == bench.artifact.sha256


def test_an_interruption_while_a_leftover_is_read_is_one(
    model: Path, folder: Path, bench: Bench
) -> None:
    (folder / f"{FILE}.part").write_bytes(model.read_bytes()[: 20 * MIB])
    cancel, told = Event(), list[str]()

    def interrupt(sentence: str) -> None:
        told.append(sentence)
        cancel.set()

    downloader = replace(bench.downloader, cancel=cancel)
    with (
        downloader.reader([Origin(bench.hub.endpoint)]) as reader,
        pytest.raises(InterruptedByUserError),
    ):
        TakeOver(downloader, reader, tell=interrupt).use(bench.offers(folder))
    assert told == [f"comparing {folder / FILE}.part with the hub"]
    assert bench.hub.requests == []


def test_without_a_network_whole_files_can_be_taken_over_and_parts_cannot(
    model: Path, folder: Path, bench: Bench
) -> None:
    (folder / f"{FILE}.part").write_bytes(model.read_bytes()[: 20 * MIB])
    downloader = replace(bench.downloader, network=NetworkOptions(offline=True))
    with downloader.reader([Origin(bench.hub.endpoint)]) as reader:
        take = TakeOver(downloader, reader)
        with pytest.raises(DownloadFailedError):
            take.use(bench.offers(folder))
        shutil.copyfile(model, folder / FILE)
        assert take.use(bench.offers(folder)).verified is not None


def test_what_a_kill_leaves_of_a_copy_is_listed_among_the_partials(
    tmp_path: Path, artifact: Artifact
) -> None:
    for layout in (HubCacheLayout(tmp_path / "hub"), PlainFolderLayout(tmp_path / "plain")):
        partial = layout.places(artifact).partial
        partial.parent.mkdir(parents=True)
        stage = partial.with_name(f"{artifact.sha256}.whole.gemma-setup.partial")
        stage.write_bytes(b"half a copy")
        assert stage in layout.partials()
        assert find_leftovers([tmp_path], LIMITS).leftovers == ()
