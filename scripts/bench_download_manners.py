"""Measure what a large download does to others on the machine; compare with curl and hf.

    python scripts/bench_download_manners.py [--size 16GiB] [--cached 4GiB] [--only 'ours|curl']

Beside each download another process's file lies in the page cache, and a loop writes 4 KiB and
syncs it, again and again. Printed are how much of that file is still cached afterwards
(mincore(2)), the most dirty memory that was seen (/proc/meminfo), and how long one turn of the
loop took (median and 99th percentile) without a download and beside each. The hub makes its
content up on the way, so serving it takes no page cache.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.bench_download import FILE, REPOSITORY, Served, command_of
from setup_manager.catalog.artifact import Artifact
from setup_manager.units import GIB, MIB, parse_size
from tests.support.content import GeneratedContent
from tests.support.loopback import LoopbackHub


def serve(size_bytes: int, report: multiprocessing.Queue[tuple[str, Artifact]]) -> None:
    """Run the hub until the process is ended."""
    with LoopbackHub({REPOSITORY: {FILE: GeneratedContent(size_bytes)}}) as hub:
        report.put((hub.endpoint, hub.artifact(REPOSITORY, FILE)))
        while True:
            time.sleep(3600)


def read_whole(path: Path) -> None:
    """Bring a file into the page cache."""
    with path.open("rb", buffering=0) as file:
        while file.read(MIB):
            pass


def cached_share(path: Path) -> float:
    """Return how much of a file is in the page cache, from 0 to 1."""
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    seen = (ctypes.c_ubyte * pages)()
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    with path.open("r+b") as file:
        address = library.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        start, length = ctypes.c_void_p(address), ctypes.c_size_t(size)
        if library.mincore(start, length, seen) != 0:
            raise OSError(ctypes.get_errno(), "mincore failed")
        library.munmap(start, length)
    return sum(page & 1 for page in bytes(seen)) / pages


def dirty_bytes() -> int:
    """Return the dirty memory of the whole machine."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("Dirty:"):
            return int(line.split()[1]) * 1024
    return 0


class Loop:
    """Writes and syncs 4 KiB again and again, and watches dirty memory."""

    def __init__(self, path: Path) -> None:
        self.turns: list[float] = []
        self.most_dirty = 0
        self._path = path
        self._stop = threading.Event()

    def run(self) -> None:
        """Turn until stopped."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            while not self._stop.wait(0.005):
                began = time.monotonic()
                os.pwrite(descriptor, os.urandom(4096), 0)
                os.fsync(descriptor)
                self.turns.append(time.monotonic() - began)
                self.most_dirty = max(self.most_dirty, dirty_bytes())
        finally:
            os.close(descriptor)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Run beside the body of a with statement."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    @property
    def line(self) -> str:
        """Median and 99th percentile in milliseconds, as cells of a table."""
        turns = sorted(self.turns)
        slow = turns[int(len(turns) * 0.99)]
        return f"{statistics.median(turns) * 1000:.1f} | {slow * 1000:.1f}"


def main() -> None:
    """Measure and print a table."""
    names = ["ours", "curl", "hf download"]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=parse_size, default=16 * GIB)
    parser.add_argument("--cached", type=parse_size, default=4 * GIB)
    parser.add_argument("--only", default="|".join(names))
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    report: multiprocessing.Queue[tuple[str, Artifact]] = context.Queue()
    hub = context.Process(target=serve, args=(arguments.size, report), daemon=True)
    hub.start()
    with tempfile.TemporaryDirectory() as text:
        work = Path(text)
        victim = work / "victim.bin"
        with victim.open("wb") as file:
            for _ in range(arguments.cached // MIB):
                file.write(os.urandom(MIB))
        endpoint, artifact = report.get(timeout=600)
        url = f"{endpoint}/{REPOSITORY}/resolve/{artifact.commit}/{FILE}"
        served = Served(endpoint, artifact, url, None)
        print("| beside | seconds | still cached | most dirty MiB | loop median ms | loop p99 ms |")
        print("|---|---|---|---|---|---|")
        os.sync()
        loop = Loop(work / "loop.bin")
        with loop.beside():
            time.sleep(5)
        print(f"| nothing | | | {loop.most_dirty / MIB:.0f} | {loop.line} |", flush=True)
        for name in arguments.only.split("|"):
            print(measure(name, served, work, victim), flush=True)
    hub.kill()


def measure(name: str, served: Served, work: Path, victim: Path) -> str:
    """Run one contestant beside the loop; returns its line of the table."""
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    read_whole(victim)
    os.sync()
    before = cached_share(victim)
    environment = os.environ | {
        "HF_ENDPOINT": served.endpoint,
        "HF_HOME": str(out / "home"),
        "HF_HUB_DISABLE_XET": "1",
    }
    loop = Loop(work / "loop.bin")
    began = time.monotonic()
    with loop.beside():
        command = command_of(name, served, out)
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode != 0:
        return f"| {name} | failed: {done.stderr[-200:].decode(errors='replace')} |"
    kept = cached_share(victim)
    return (
        f"| {name} | {seconds:.1f} | {before:.0%} -> {kept:.0%} | {loop.most_dirty / MIB:.0f} "
        f"| {loop.line} |"
    )


if __name__ == "__main__":
    main()
