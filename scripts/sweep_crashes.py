"""Kill the download engine with SIGKILL, again and again, and see that it always recovers.

    python scripts/sweep_crashes.py [--kills 1000] [--seed 1]

Two sweeps against a loopback hub. *Random*: a fetch is killed at a random moment and started
again until it ends by itself; repeated until so many kills have happened. *Steps*: one fetch for
every step that changes the disk (data sync, journal line, rename, link, refs and whatever else
opens, renames, links or removes a file), killed just before that step, then run to its end.

After every kill the journal must speak of no byte that is not there, the final name must not
exist unless the bytes are right, and at most two chunks that were written may be lost. At the end
the file must be right. Exits with 1 at the first violation.
"""

from __future__ import annotations

import argparse
import hashlib
import mmap
import multiprocessing
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from setup_manager.catalog.artifact import Artifact
from setup_manager.download.engine import Downloader, Ports
from setup_manager.download.job import DownloadOptions, FileJob
from setup_manager.download.journal import replay
from setup_manager.fs.disk import OsDisk
from setup_manager.library.layout import HubCacheLayout
from setup_manager.net.options import NetworkOptions
from setup_manager.net.origin import Origin
from setup_manager.units import KIB
from tests.support.loopback import LoopbackHub

REPOSITORY, FILE = "sweep/model", "weights.bin"
CHUNK = 64 * KIB
DATA = random.Random(3).randbytes(60 * CHUNK + 4321)
OPTIONS = DownloadOptions(chunk_bytes=CHUNK, flush_bytes=CHUNK // 2, flush_seconds=0.05)
STEPS = frozenset(
    {"open", "os.rename", "os.symlink", "os.link", "os.remove", "os.mkdir", "os.truncate"}
)


class Counter:
    """A number that a killed child leaves behind."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, 8)

    def add(self, amount: int) -> None:
        """Add to it."""
        self.value = self.value + amount

    @property
    def value(self) -> int:
        """The number."""
        return int(struct.unpack("q", self._map[:8])[0])

    @value.setter
    def value(self, number: int) -> None:
        self._map[:8] = struct.pack("q", number)


class CountingDisk(OsDisk):
    """Counts the bytes written, and the steps; kills the process before a chosen step."""

    def __init__(self, written: Counter, steps: Counter, kill_at: int) -> None:
        self._written = written
        self._steps = steps
        self._kill_at = kill_at

    def step(self) -> None:
        """Count a step."""
        if self._steps.value == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._steps.add(1)

    def write_at(self, descriptor: int, data: memoryview | bytes, offset: int) -> None:
        """Write, then count."""
        super().write_at(descriptor, data, offset)
        self._written.add(len(data))

    def append(self, descriptor: int, data: bytes) -> None:
        """Count a step, then append."""
        self.step()
        super().append(descriptor, data)

    def sync_data(self, descriptor: int) -> None:
        """Count a step, then sync."""
        self.step()
        super().sync_data(descriptor)


@dataclass(frozen=True, slots=True)
class Target:
    """What is fetched and where to."""

    endpoint: str
    artifact: Artifact
    folder: Path

    @property
    def layout(self) -> HubCacheLayout:
        """The cache."""
        return HubCacheLayout(self.folder)


def serve(report: multiprocessing.Queue[tuple[str, Artifact]]) -> None:
    """Run the hub until the process is ended."""
    with LoopbackHub({REPOSITORY: {FILE: DATA}}) as hub:
        report.put((hub.endpoint, hub.artifact(REPOSITORY, FILE)))
        while True:
            time.sleep(3600)


def fetch_in_child(target: Target, written: Counter, steps: Counter, kill_at: int) -> int:
    """Fork a child that fetches; returns its id. The parent has no threads."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        disk = CountingDisk(written, steps, kill_at)
        if kill_at >= 0:
            sys.addaudithook(lambda event, _: disk.step() if event in STEPS else None)
        Downloader(
            target.layout,
            OPTIONS,
            network=NetworkOptions(stall_seconds=5),
            ports=Ports(disk=lambda: disk),
        ).fetch([FileJob(target.artifact, (Origin(target.endpoint),))])
        code = 0
    finally:
        os._exit(code)


def covered(target: Target) -> int:
    """Return how many bytes the journal speaks of; checks that each of them is there.

    Raises:
        AssertionError: If the journal says more than the partial holds.
    """
    places = target.layout.places(target.artifact)
    try:
        found = replay(places.journal.read_bytes())
        data = places.partial.read_bytes()
    except FileNotFoundError:
        return len(DATA) if places.content.exists() else 0
    for span in found.coverage.spans():
        assert data[span.start : span.end] == DATA[span.start : span.end], f"{span} is not there"
    return found.coverage.covered_bytes


def check_final(target: Target, *, must: bool) -> None:
    """Check that no wrong bytes lie under a final name, and that the right ones do if they must.

    Raises:
        AssertionError: If not.
    """
    places = target.layout.places(target.artifact)
    for path in (places.content, places.visible):
        if path.exists():
            assert path.read_bytes() == DATA, f"{path} is wrong"
        else:
            assert not must, f"{path} is missing"
    if must:
        assert not places.partial.exists()
        assert not places.journal.exists()


def check_loss(target: Target, before: int, written: int) -> int:
    """Return the bytes a kill cost.

    Raises:
        AssertionError: If they are more than two chunks.
    """
    lost = written - (covered(target) - before)
    assert lost <= 2 * CHUNK, f"{lost} bytes were lost"
    return max(lost, 0)


def sweep_random(target: Target, kills: int, rng: random.Random) -> str:
    """Kill at random moments until so many kills have happened."""
    done, episodes, worst, total, whole_seconds = 0, 0, 0, 0, 0.25
    while done < kills:
        shutil.rmtree(target.folder, ignore_errors=True)
        episodes += 1
        while True:
            before = covered(target)
            written = Counter()
            began = time.monotonic()
            child = fetch_in_child(target, written, Counter(), -1)
            time.sleep(rng.uniform(0, 0.7 * whole_seconds))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if os.WIFEXITED(status):
                assert os.WEXITSTATUS(status) == 0, "a run failed"
                if before == 0:
                    whole_seconds = min(whole_seconds, time.monotonic() - began)
                break
            done += 1
            check_final(target, must=False)
            lost = check_loss(target, before, written.value)
            if covered(target) == before:
                whole_seconds *= 1.1  # a busy machine: let it come further before the next kill
            worst, total = max(worst, lost), total + lost
        check_final(target, must=True)
    return (
        f"random: {done} kills in {episodes} downloads, every file right; "
        f"lost {total / done / CHUNK:.2f} chunks a kill, {worst / CHUNK:.2f} at worst"
    )


def sweep_steps(target: Target, every: int) -> str:
    """Kill a fetch before every so-manieth step, and run it again to its end."""
    kills, step, worst = 0, 0, 0
    while True:
        shutil.rmtree(target.folder, ignore_errors=True)
        written = Counter()
        child = fetch_in_child(target, written, Counter(), step)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "a run failed"
            break
        check_final(target, must=False)
        worst = max(worst, check_loss(target, 0, written.value))
        child = fetch_in_child(target, Counter(), Counter(), -1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, f"no recovery after step {step}"
        check_final(target, must=True)
        kills, step = kills + 1, step + every
    return f"steps: killed before {kills} of {step} steps, {worst / CHUNK:.2f} chunks lost at worst"


def main() -> None:
    """Run both sweeps."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--every", type=int, default=1, help="only every so many steps")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    report: multiprocessing.Queue[tuple[str, Artifact]] = context.Queue()
    hub = context.Process(target=serve, args=(report,), daemon=True)
    hub.start()
    try:
        endpoint, artifact = report.get(timeout=60)
        assert hashlib.sha256(DATA).hexdigest() == artifact.sha256
        with tempfile.TemporaryDirectory() as text:
            target = Target(endpoint, artifact, Path(text) / "cache")
            print(sweep_steps(target, arguments.every), flush=True)
            rng = random.Random(arguments.seed)
            print(sweep_random(target, arguments.kills, rng), flush=True)
    finally:
        hub.kill()


if __name__ == "__main__":
    main()
