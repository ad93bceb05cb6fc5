"""Taking over on file systems that share blocks, that are another one, and that run full."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.make_leftovers import FILE
from setup_manager.errors import InsufficientDiskError
from setup_manager.units import MIB
from tests.recover.conftest import Bench


def mounted(kind: str, place: Path, size_bytes: int) -> Iterator[Path]:
    """Make and mount a file system; skip where that cannot be done here."""
    target = place / "mounted"
    target.mkdir()
    if kind == "tmpfs":
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(target)]
    else:
        image = place / "image"
        with image.open("wb") as file:
            file.truncate(size_bytes)
        if shutil.which(f"mkfs.{kind}") is None:
            pytest.skip(f"mkfs.{kind} is not installed")
        subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True, capture_output=True)
        mount = ["mount", "-o", "loop", str(image), str(target)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip(f"{kind} cannot be mounted here")
    try:
        yield target
    finally:
        subprocess.run(["umount", "-l", str(target)], check=True)


@pytest.fixture
def sharing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    yield from mounted(request.param, tmp_path, 400 * MIB)


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[Path]:
    yield from mounted("tmpfs", tmp_path, 24 * MIB)


def used_bytes(folder: Path) -> int:
    os.sync()
    status = os.statvfs(folder)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


# A part on btrfs shares its blocks too, but the space that was reserved for the partial is only
# given back when the last of it is overwritten.
@pytest.mark.parametrize(
    ("sharing", "part_bytes"),
    [("xfs", None), ("btrfs", None), ("xfs", 40 * MIB)],
    indirect=["sharing"],
)
def test_where_blocks_can_be_shared_nothing_is_copied(
    model: Path, sharing: Path, bench: Bench, part_bytes: int | None
) -> None:
    bench = Bench(bench.hub, bench.artifact, sharing / "ours")
    theirs = sharing / "theirs" / (f"{FILE}.part" if part_bytes else FILE)
    theirs.parent.mkdir()
    theirs.write_bytes(model.read_bytes()[:part_bytes])
    before = used_bytes(sharing)
    outcome = bench.take(bench.offers(theirs.parent))
    assert used_bytes(sharing) - before < 16 * MIB, "48 or 40 MB would have been copied"
    assert bool(outcome.verified) is (part_bytes is None)
    file = outcome.verified or bench.fetch()
    assert hashlib.sha256(file.path.read_bytes()).hexdigest() == bench.artifact.sha256
    theirs.write_bytes(b"changed by its owner")
    assert hashlib.sha256(file.path.read_bytes()).hexdigest() == bench.artifact.sha256


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system")
@pytest.mark.parametrize("move", [False, True])
def test_from_another_file_system_it_is_copied(
    model: Path, tmp_path: Path, bench: Bench, move: bool
) -> None:
    folder = Path("/dev/shm") / f"leftovers-{os.getpid()}"
    folder.mkdir()
    try:
        if folder.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("no second file system")
        shutil.copyfile(model, folder / FILE)
        (offer,) = bench.offers(folder)
        outcome = bench.take((offer,), move=move)
        assert outcome.verified is not None
        assert (folder / FILE).exists() is not move
        assert outcome.verified.path.stat().st_nlink == 1
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("part_bytes", [None, 40 * MIB])
def test_a_full_disk_is_named_and_nothing_is_left_half_done(
    model: Path, tight: Path, tmp_path: Path, bench: Bench, part_bytes: int | None
) -> None:
    bench = Bench(bench.hub, bench.artifact, tight / "ours")
    theirs = tmp_path / "theirs" / (f"{FILE}.part" if part_bytes else FILE)
    theirs.parent.mkdir()
    theirs.write_bytes(model.read_bytes()[:part_bytes])
    with pytest.raises(InsufficientDiskError):
        bench.take(bench.offers(theirs.parent), move=True)
    assert theirs.exists()
    assert not list(tight.rglob("*.whole.*"))
    places = bench.layout.places(bench.artifact)
    assert not places.content.exists()
