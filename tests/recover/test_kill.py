"""Killed in the middle of taking over, the next run goes on and the file is right."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.make_leftovers import FILE
from setup_manager.units import MIB
from tests.recover.conftest import Bench
from tests.support.waiting import let_pass

TAKER = """
import sys
from pathlib import Path
from setup_manager.catalog.artifact import Artifact
from setup_manager.download import Downloader
from setup_manager.net import Origin
from setup_manager.library.layout import PlainFolderLayout
from setup_manager.recover.adopt import TakeOver
from setup_manager.recover.offer import found_for

endpoint, models, theirs, move, repository, path, commit, size, sha256 = sys.argv[1:]
artifact = Artifact(repository, path, commit, int(size), sha256)
downloader = Downloader(PlainFolderLayout(Path(models)))
offers = found_for(artifact, [Path(theirs)], settle_seconds=0)
print("ready", flush=True)
with downloader.reader([Origin(endpoint)]) as reader:
    TakeOver(downloader, reader, move=move == "move").use(offers)
"""


def start(bench: Bench, theirs: Path, move: bool) -> subprocess.Popen[str]:
    artifact = bench.artifact
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            TAKER,
            bench.hub.endpoint,
            str(bench.layout.root),
            str(theirs),
            "move" if move else "keep",
            artifact.repository,
            artifact.path,
            artifact.commit,
            str(artifact.size_bytes),
            artifact.sha256,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize("part_bytes", [None, 40 * MIB])
def test_a_kill_at_any_moment_costs_nothing_but_time(
    model: Path, tmp_path: Path, bench: Bench, move: bool, part_bytes: int | None
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    content = model.read_bytes()[:part_bytes]
    (folder / FILE).write_bytes(content)
    rng = random.Random(f"{move} {part_bytes}")
    for _ in range(3):
        with start(bench, folder, move) as process:
            assert process.stdout is not None
            process.stdout.readline()
            let_pass(rng.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
        if not move:
            assert (folder / FILE).read_bytes() == content
    before = bench.hub.served_bytes
    _, file, _ = bench.recover(folder, move=move)
    assert hashlib.sha256(file.path.read_bytes()).hexdigest() == bench.artifact.sha256
    missing = bench.artifact.size_bytes - len(content)
    assert bench.hub.served_bytes - before < missing + MIB
