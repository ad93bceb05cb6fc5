"""The disk rows of the fault catalogue."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from setup_manager.catalog.artifact import Artifact
from setup_manager.download.engine import Ports
from setup_manager.errors import (
    DownloadFailedError,
    InsufficientDiskError,
    SetupError,
    VerificationFailedError,
)
from setup_manager.fs import OsDisk
from tests.download.conftest import MakeRig
from tests.download.disks import FailingDisk
from tests.download.rig import CHUNK, DATA, SHA

ROWS: dict[str, tuple[str, int, type[SetupError], str]] = {
    "full while data is written": (
        "write_at",
        errno.ENOSPC,
        InsufficientDiskError,
        "insufficient-disk",
    ),
    "full while data is synced": (
        "sync_data",
        errno.ENOSPC,
        InsufficientDiskError,
        "insufficient-disk",
    ),
    "full while the journal grows": (
        "append",
        errno.ENOSPC,
        InsufficientDiskError,
        "insufficient-disk",
    ),
    "a quota used up": ("write_at", errno.EDQUOT, InsufficientDiskError, "disk-quota"),
    "a file too large for FAT32": (
        "write_at",
        errno.EFBIG,
        InsufficientDiskError,
        "file-too-large",
    ),
    "a device that fails to write": ("write_at", errno.EIO, DownloadFailedError, "disk-error"),
    "a device that fails to sync": ("sync_data", errno.EIO, DownloadFailedError, "disk-error"),
    "remounted read-only on the way": (
        "append",
        errno.EROFS,
        DownloadFailedError,
        "not-writable",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_it_stops_names_the_cause_keeps_what_came_and_goes_on_later(
    name: str, make_rig: MakeRig
) -> None:
    call, number, kind, code = ROWS[name]
    disk = FailingDisk(call, number, from_nth=12)
    rig = make_rig(ports=Ports(disk=lambda: disk))
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        rig.fetch()
    assert time.monotonic() - began < 1.5
    assert caught.value.code == code
    assert any("kept" in fact for fact in caught.value.context)
    rig.assert_not_installed()
    disk.mended = True
    file = rig.fetch()
    rig.assert_right()
    assert file.reused_bytes > 0, "what was journaled before is used"
    assert file.fetched_bytes == len(DATA) - file.reused_bytes


def test_read_only_from_the_start_is_named(make_rig: MakeRig) -> None:
    disk = FailingDisk("write_new", errno.EROFS)
    rig = make_rig(ports=Ports(disk=lambda: disk))
    with pytest.raises(DownloadFailedError) as caught:
        rig.fetch()
    assert caught.value.code == "not-writable"
    assert not rig.content_requests()


def test_a_folder_that_is_a_file_is_named(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.folder.write_text("in the way")
    with pytest.raises(DownloadFailedError) as caught:
        rig.fetch()
    assert caught.value.code == "not-writable"


def test_a_real_limit_on_file_size_is_named(make_rig: MakeRig) -> None:
    """RLIMIT_FSIZE makes the kernel itself answer EFBIG, as FAT32 does at 4 GiB."""
    rig = make_rig()
    code = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({len(DATA) // 2}, {len(DATA) // 2}))
from tests.download.rig import *
from setup_manager.errors import SetupError
class Hub: endpoint = {rig.hub.endpoint!r}
artifact = Artifact({rig.artifact.repository!r}, {rig.artifact.path!r}, {rig.artifact.commit!r},
                    {rig.artifact.size_bytes}, {rig.artifact.sha256!r})
try:
    Rig(Path({str(rig.folder)!r}), Hub, artifact).fetch()
except SetupError as error:
    sys.exit(error.code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "file-too-large"
    rig.assert_not_installed()
    rig.fetch()
    rig.assert_right()


def test_too_little_room_is_found_before_the_first_byte_with_the_numbers(
    make_rig: MakeRig,
) -> None:
    rig = make_rig()
    with pytest.raises(InsufficientDiskError) as caught:
        rig.downloader.plan([rig.job], copied_bytes=10**18).check_room()
    assert not rig.hub.requests
    assert any("free" in fact for fact in caught.value.context)
    assert any("runtime's copy" in fact for fact in caught.value.context)


def test_the_room_for_what_is_here_already_is_not_asked_for_again(make_rig: MakeRig) -> None:
    rig = make_rig()
    before = rig.downloader.plan([rig.job])
    assert before.write_bytes == before.fetch_bytes == len(DATA)
    rig.interrupt_after(len(DATA) // 2)
    planned = rig.downloader.plan([rig.job])
    assert planned.reuse_bytes >= len(DATA) // 2 - 2 * CHUNK
    assert planned.fetch_bytes == len(DATA) - planned.reuse_bytes
    assert planned.write_bytes <= len(DATA) - planned.reuse_bytes
    rig.fetch()
    done = rig.downloader.plan([rig.job])
    assert (done.fetch_bytes, done.write_bytes) == (0, 0)


def test_planning_changes_nothing(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.downloader.plan([rig.job])
    assert not rig.folder.exists()


def test_no_preallocation_is_no_obstacle(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OsDisk, "preallocate", lambda *_: None)
    rig = make_rig()
    rig.fetch()
    rig.assert_right()


def test_a_preallocated_partial_says_nothing_by_its_length(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.interrupt_after(4 * CHUNK)
    assert rig.places.partial.stat().st_size == len(DATA)
    file = rig.fetch()
    rig.assert_right()
    assert file.fetched_bytes > 0


def test_a_file_that_is_there_and_right_costs_no_byte(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.fetch()
    seen = len(rig.hub.requests)
    file = rig.fetch()
    assert (file.fetched_bytes, file.reused_bytes) == (0, len(DATA))
    assert len(rig.hub.requests) == seen


def test_a_file_that_another_tool_put_there_is_recognised_by_its_digest(
    make_rig: MakeRig,
) -> None:
    rig = make_rig()
    rig.places.content.parent.mkdir(parents=True)
    rig.places.content.write_bytes(DATA)
    rig.fetch()
    rig.assert_right()
    assert not rig.hub.requests


@pytest.mark.parametrize("wrong", [DATA[:-1] + b"\0", DATA[:1000], b"", DATA + b"x"])
def test_a_wrong_file_under_the_final_name_is_replaced(wrong: bytes, make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.places.content.parent.mkdir(parents=True)
    rig.places.content.write_bytes(wrong)
    rig.fetch()
    rig.assert_right()


BAD_NAMES = [
    "../weights.bin",
    "a/../../weights.bin",
    "/etc/weights.bin",
    "C:\\weights.bin",
    "a\\..\\b",
    "a/./b",
    "a//b",
    "nul\0byte",
    "new\nline",
    "",
    "x" * 300,
    "stream:data",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_climbs_out_or_is_none_is_refused_before_anything(
    name: str, make_rig: MakeRig
) -> None:
    rig = make_rig()
    rig.artifact = replace(rig.artifact, path=name)
    with pytest.raises(VerificationFailedError):
        rig.fetch()
    assert not rig.hub.requests
    assert not rig.folder.exists()


@pytest.mark.parametrize("repository", ["../x", "org/..", "org/mo\0del", "a\\b/c"])
def test_a_repository_that_climbs_out_is_refused(repository: str, make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.artifact = replace(rig.artifact, repository=repository)
    with pytest.raises(VerificationFailedError):
        rig.fetch()
    assert not rig.folder.exists()


@pytest.mark.parametrize("digest", ["", "xyz", SHA.upper(), SHA + "0", "../" + SHA[3:]])
def test_a_digest_that_is_none_is_refused(digest: str, make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.artifact = replace(rig.artifact, sha256=digest)
    with pytest.raises(VerificationFailedError):
        rig.fetch()


def test_a_real_full_file_system_stops_keeps_and_goes_on(make_rig: MakeRig, tmp_path: Path) -> None:
    """A tmpfs of 480 kB under the cache; needs root."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("needs root on Linux to mount a small file system")
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=480k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        rig = make_rig()
        rig.folder = small / "cache"
        with pytest.raises(InsufficientDiskError) as early:
            rig.fetch()
        assert not rig.hub.requests
        assert early.value.code == "insufficient-disk"
        planned = rig.downloader.plan([rig.job])
        assert planned.fetch_bytes == len(DATA)
        subprocess.run(["mount", "-o", "remount,size=4m", str(small)], check=True)
        rig.fetch()
        rig.assert_right()
    finally:
        subprocess.run(["umount", str(small)], check=False)


def test_offsets_over_4_gib_are_right(tmp_path: Path) -> None:
    """The last chunks of a 5 GiB file, into a sparse partial; hashing it would take seconds."""
    import threading

    from setup_manager.download.board import Board
    from setup_manager.download.chunks import Coverage, Span, grid
    from setup_manager.download.pace import RateLimit
    from setup_manager.download.sources import Source
    from setup_manager.download.store import PartialFile
    from setup_manager.download.transfer import Surroundings, Transfer
    from setup_manager.library.layout import HubCacheLayout
    from setup_manager.net.origin import Origin
    from setup_manager.net.transport import Transport
    from tests.download.rig import QUICK, QUICK_NETWORK
    from tests.support.content import GeneratedContent
    from tests.support.loopback import LoopbackHub

    size, chunk = 5 * 1024**3 + 17, 16 * 1024**2
    content = GeneratedContent(size)
    content.__dict__["sha256"] = SHA  # not read here, and five seconds to compute
    with LoopbackHub({"org/model": {"big.bin": content}}) as hub:
        artifact = Artifact(
            "org/model", "big.bin", hub.push("org/model", {"big.bin": content}), size, SHA
        )
        places = HubCacheLayout(tmp_path).places(artifact)
        places.partial.parent.mkdir(parents=True)
        coverage = Coverage(size, chunk)
        held = PartialFile(places, artifact, coverage)
        wanted = [(size - 17 - 100_000, size - 17), (size - 17, size)]
        for start, end in grid(size, chunk):
            if end <= wanted[0][0]:
                coverage.add(Span(start, end, 0, "before"))
        around = Surroundings(QUICK, threading.Event(), RateLimit(None))
        source = Source(Origin(hub.endpoint), artifact, Transport(QUICK_NETWORK), QUICK)
        Transfer(Board(coverage, wanted, 2 * chunk), held, [source], around).run(lambda _: None)
        view = memoryview(bytearray(100_017))
        assert held.read(wanted[0][0], view) == 100_017
        expected = b"".join(
            bytes(content.view(at, at + 1)) for at in range(wanted[0][0], size, 997)
        )
        assert bytes(view[::997]) == expected
        held.close()
