"""Searching folders that were not made to be searched."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from setup_manager.recover.busy import find_busy
from setup_manager.recover.find import WalkLimits, find_leftovers
from setup_manager.recover.tools import usual_folders
from tests.recover.conftest import LIMITS


def put(path: Path, size_bytes: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size_bytes)
    return path


def paths(*folders: Path, limits: WalkLimits = LIMITS) -> list[Path]:
    return [leftover.path for leftover in find_leftovers(folders, limits).leftovers]


def test_leftovers_are_found_largest_first(tmp_path: Path) -> None:
    small = put(tmp_path / "a" / "m.gguf.part", 10)
    large = put(tmp_path / "b" / "c" / "n.gguf", 30)
    put(tmp_path / "b" / "readme.txt")
    assert paths(tmp_path) == [large, small]


def test_a_single_file_can_be_named(tmp_path: Path) -> None:
    put(tmp_path / "other.gguf")
    wanted = put(tmp_path / "m.gguf")
    put(tmp_path / "m.gguf.aria2", 3)
    found = find_leftovers([wanted], LIMITS)
    assert [leftover.path for leftover in found.leftovers] == [wanted]
    assert found.leftovers[0].trace.left_by == "aria2"


def test_loops_of_links_end(tmp_path: Path) -> None:
    path = put(tmp_path / "a" / "m.gguf")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "self.gguf").symlink_to(tmp_path / "self.gguf")
    (tmp_path / "ping.gguf").symlink_to(tmp_path / "pong.gguf")
    (tmp_path / "pong.gguf").symlink_to(tmp_path / "ping.gguf")
    found = find_leftovers([tmp_path, tmp_path / "b"], LIMITS)
    assert [leftover.path for leftover in found.leftovers] == [path]
    assert len(found.problems) == 3


def test_a_file_with_several_names_is_found_once(tmp_path: Path) -> None:
    blob = put(tmp_path / "blobs" / ("ab" * 32))
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / "m.gguf").symlink_to(blob)
    (tmp_path / "m.gguf").hardlink_to(blob)
    assert len(paths(tmp_path)) == 1


def test_what_does_not_exist_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "dangling.gguf").symlink_to(tmp_path / "nowhere")
    found = find_leftovers([tmp_path, tmp_path / "nowhere"], LIMITS)
    assert found.leftovers == ()
    assert found.problems == ()


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_folder_that_cannot_be_read_is_reported_and_the_rest_searched(tmp_path: Path) -> None:
    secret = put(tmp_path / "secret" / "m.gguf")
    unreadable = put(tmp_path / "unreadable.gguf")
    open_one = put(tmp_path / "open" / "n.gguf")
    unreadable.chmod(0)
    secret.parent.chmod(0)
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from setup_manager.recover.find import WalkLimits, find_leftovers\n"
        "os.setuid(65534) if os.getuid() == 0 else None\n"
        "paths = [Path(sys.argv[1]), Path(sys.argv[1]) / 'secret' / 'm.gguf']\n"
        "found = find_leftovers(paths, WalkLimits(smallest_bytes=1))\n"
        "print(*[item.path for item in found.leftovers], *found.problems, sep='\\n')\n"
    )
    # pytest's own folders are for their owner alone, however deep they are nested.
    for folder in [tmp_path, *tmp_path.parents]:
        if folder == tmp_path or folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(0o755)
    try:
        run = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        secret.parent.chmod(0o755)
    lines = run.stdout.splitlines()
    assert lines[0] == str(open_one)
    assert f"{secret.parent}: Permission denied" in lines
    assert f"{unreadable}: Permission denied" in lines


def test_thousands_of_files_take_little_time(tmp_path: Path) -> None:
    for number in range(30):
        folder = tmp_path / f"{number:02}"
        folder.mkdir()
        for name in range(100):
            (folder / f"{name}.txt").touch()
    path = put(tmp_path / "29" / "m.gguf")
    begun = time.monotonic()
    assert paths(tmp_path) == [path]
    assert time.monotonic() - begun < 5


def test_a_search_that_gets_too_long_stops_and_says_so(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}.txt").touch()
    found = find_leftovers([tmp_path], WalkLimits(entries=20))
    assert len(found.problems) == 1
    assert "stopped after 20" in found.problems[0]


def test_a_search_goes_only_so_deep(tmp_path: Path) -> None:
    put(tmp_path / "1" / "2" / "3" / "m.gguf")
    assert paths(tmp_path, limits=WalkLimits(depth=2, smallest_bytes=1)) == []
    assert len(paths(tmp_path, limits=WalkLimits(depth=3, smallest_bytes=1))) == 1


def test_devices_and_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    (tmp_path / "zero.gguf").symlink_to("/dev/zero")
    assert paths(tmp_path) == []
    path = put(tmp_path / "m.gguf")
    os.mkfifo(tmp_path / "m.gguf.aria2")
    assert paths(tmp_path) == [path]


def test_a_record_that_cannot_be_read_is_reported_and_the_file_kept(tmp_path: Path) -> None:
    path = put(tmp_path / "m.gguf")
    put(tmp_path / "m.gguf.aria2", 5)
    found = find_leftovers([tmp_path], LIMITS)
    assert [(item.path, item.claims) for item in found.leftovers] == [(path, None)]
    assert "aria2 control file" in found.problems[0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_file_that_another_program_writes_is_left_alone_until_it_is_done(
    tmp_path: Path,
) -> None:
    path = put(tmp_path / "m.gguf.part")
    script = "import sys; f = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        (leftover,) = find_leftovers([tmp_path], LIMITS).leftovers
        busy = find_busy([leftover], settle_seconds=0)
        writer.communicate()
    assert busy == {path: "another program has it open for writing"}
    assert find_busy([leftover], settle_seconds=0) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_file_that_is_only_read_is_not_busy(tmp_path: Path) -> None:
    path = put(tmp_path / "m.gguf")
    script = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        (leftover,) = find_leftovers([tmp_path], LIMITS).leftovers
        assert find_busy([leftover], settle_seconds=0) == {}
        reader.communicate()


def test_a_writer_that_cannot_be_seen_gives_itself_away_by_writing(tmp_path: Path) -> None:
    # This process does not look at itself, so its thread stands for another user's program.
    path = put(tmp_path / "m.gguf.part")
    resting = put(tmp_path / "n.gguf.part")
    done = threading.Event()

    def write() -> None:
        with path.open("ab", buffering=0) as file:
            while not done.wait(0.02):
                file.write(b"more")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        busy = find_busy(find_leftovers([tmp_path], LIMITS).leftovers, settle_seconds=0.3)
    finally:
        done.set()
        writer.join()
    assert busy == {path: "it is changing now"}
    assert resting not in busy


def test_old_files_cost_no_pause(tmp_path: Path) -> None:
    path = put(tmp_path / "m.gguf.part")
    os.utime(path, (1, 1))
    begun = time.monotonic()
    assert find_busy(find_leftovers([tmp_path], LIMITS).leftovers, settle_seconds=30) == {}
    assert time.monotonic() - begun < 10


def test_a_file_that_is_gone_is_busy(tmp_path: Path) -> None:
    path = put(tmp_path / "m.gguf.part")
    (leftover,) = find_leftovers([tmp_path], LIMITS).leftovers
    path.unlink()
    assert path in find_busy([leftover], settle_seconds=0)


def test_the_usual_folders_are_named_once_each(tmp_path: Path) -> None:
    folders = usual_folders(tmp_path, tmp_path / "hub", tmp_path / ".ollama" / "models")
    assert len(folders) == len(set(folders))
    assert {tmp_path / "hub", tmp_path / "Downloads", tmp_path / ".ollama/models/blobs"} <= set(
        folders
    )
    assert usual_folders(None, tmp_path, tmp_path)
