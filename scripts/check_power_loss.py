"""Replay every state that a cut of power may leave of a download, and recover from each.

    python scripts/check_power_loss.py [--chunks 12] [--leave-out data|journal|folder]

A fetch is recorded (data writes, syncs, journal lines, renames). For every cut, every state that
a file system may legally leave is laid out on disk and checked: the journal speaks of no byte
that is not there and forgets none that was promised, what has the final name is right, and after
the fetch returned the file is there. Then the engine is run on the state, and the file must come
out right.
`--leave-out` skips one kind of sync, to show that the checker notices.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from setup_manager.catalog.artifact import Artifact
from setup_manager.download.engine import Downloader, Ports
from setup_manager.download.job import DownloadOptions, FileJob
from setup_manager.download.journal import replay
from setup_manager.library.layout import PlainFolderLayout
from setup_manager.net.origin import Origin
from setup_manager.units import KIB
from tests.download.power_loss import Operation, Recorder, State, states
from tests.support.loopback import LoopbackHub

REPOSITORY, FILE = "power/model", "weights.bin"
CHUNK = 16 * KIB


@dataclass
class Tally:
    """What was looked at and what was wrong."""

    states: int = 0
    recovered: int = 0
    violations: int = 0
    example: str = ""

    def wrong(self, state: State, what: str) -> None:
        """Count a violation and keep the first as an example."""
        self.violations += 1
        self.example = self.example or f"cut after operation {state.cut}: {what}"


def promised_bytes(operations: list[Operation]) -> int:
    """Return how many bytes a cut may not lose any more.

    Before data is synced again, the journal lines of the time before were synced: they stay.
    """
    journal, promised = b"", 0
    for operation in operations:
        if operation.kind == "write" and ".journal" in operation.name:
            journal = (
                operation.data if operation.name.endswith(".new") else journal + operation.data
            )
        elif operation.kind == "sync" and operation.name.endswith(".partial"):
            promised = replay(journal).coverage.covered_bytes
    return promised


def _covered(journal: Path, partial: Path) -> int:
    if not journal.exists() or not partial.exists():
        return 0
    return replay(journal.read_bytes()).coverage.covered_bytes


class Trial:
    """One recorded fetch and the replay of its states."""

    def __init__(self, chunks: int, leave_out: str, seed: int) -> None:
        self._data = random.Random(seed).randbytes(chunks * CHUNK + 777)
        self._seed = seed
        self._leave_out = leave_out
        self._operations: list[Operation] = []
        self.tally = Tally()

    def run(self, every: int, *, recover: bool) -> int:
        """Record, then replay every so many cuts; returns the number of operations."""
        with (
            LoopbackHub({REPOSITORY: {FILE: self._data}}) as hub,
            tempfile.TemporaryDirectory() as text,
        ):
            artifact = hub.artifact(REPOSITORY, FILE)
            root = Path(text)
            recorder = Recorder(root / "recorded", self._leave_out)
            (root / "recorded").mkdir()
            self._fetch(hub.endpoint, artifact, root / "recorded", recorder)
            operations = self._operations = recorder.operations
            cuts = sorted({*range(0, len(operations) + 1, every), len(operations)})
            for number, state in enumerate(states(operations, self._seed, cuts)):
                self.tally.states += 1
                folder = root / f"state-{number}"
                folder.mkdir()
                state.write_to(folder)
                self._check(state, artifact, folder, done=state.cut == len(operations))
                if recover:
                    self._recover(state, hub.endpoint, artifact, folder)
            return len(operations)

    def _options(self, folder: Path) -> DownloadOptions:
        return DownloadOptions(
            chunk_bytes=CHUNK,
            flush_bytes=CHUNK,
            flush_seconds=0.02,
            connections=3,
            checks_dir=folder / "checks",
            reserve_bytes=0,
        )

    def _fetch(
        self, endpoint: str, artifact: Artifact, folder: Path, recorder: Recorder | None = None
    ) -> None:
        Downloader(
            PlainFolderLayout(folder / "models"),
            self._options(folder),
            ports=Ports(disk=lambda: recorder) if recorder is not None else Ports(),
        ).fetch([FileJob(artifact, (Origin(endpoint),))])

    def _check(self, state: State, artifact: Artifact, folder: Path, *, done: bool) -> None:
        places = PlainFolderLayout(folder / "models").places(artifact)
        if places.journal.exists() and places.partial.exists():
            data = places.partial.read_bytes()
            for span in replay(places.journal.read_bytes()).coverage.spans():
                if data[span.start : span.end] != self._data[span.start : span.end]:
                    self.tally.wrong(state, f"the journal speaks of {span}, which is not there")
                    break
        there = places.content.exists()
        kept = _covered(places.journal, places.partial)
        if not there and kept < (promised := promised_bytes(self._operations[: state.cut])):
            self.tally.wrong(state, f"{kept} bytes are kept where {promised} were promised")
        if there and places.content.read_bytes() != self._data:
            self.tally.wrong(state, "wrong bytes lie under the final name")
        if done and not there:
            self.tally.wrong(state, "the fetch returned, and the file is not there")

    def _recover(self, state: State, endpoint: str, artifact: Artifact, folder: Path) -> None:
        self._fetch(endpoint, artifact, folder)
        path = PlainFolderLayout(folder / "models").places(artifact).visible
        if path.read_bytes() == self._data:
            self.tally.recovered += 1
        else:
            self.tally.wrong(state, "recovery gave wrong bytes")


def main() -> None:
    """Run one trial and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chunks", type=int, default=12)
    parser.add_argument("--every", type=int, default=1, help="only every so many cuts")
    parser.add_argument("--no-recover", action="store_true", help="check the states only")
    parser.add_argument("--leave-out", choices=("data", "journal", "folder"), default="")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    trial = Trial(arguments.chunks, arguments.leave_out, arguments.seed)
    operations = trial.run(arguments.every, recover=not arguments.no_recover)
    tally = trial.tally
    print(
        f"{operations} operations, {tally.states} distinct states, {tally.recovered} recovered "
        f"right, {tally.violations} violations"
    )
    if tally.violations:
        sys.exit(tally.example)


if __name__ == "__main__":
    main()
