"""Measure what it costs to finish the leftovers of other tools, and print it as a table.

    python -m scripts.make_leftovers_table [--size 320M] [--tool NAME]

Every tool is interrupted in every way (see scripts/make_leftovers.py); what it left is taken over
and the rest fetched from the same loopback hub. The bound: what was missing, two chunks and the
samples. A row that breaks it, or a file that is wrong, ends the run.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scripts.make_leftovers import (
    FILE,
    INTERRUPTIONS,
    REPOSITORY,
    ToolMissingError,
    leave,
    tools,
)
from setup_manager.catalog.artifact import Artifact
from setup_manager.download.chunks import chunk_size
from setup_manager.download.engine import Downloader
from setup_manager.download.job import FileJob
from setup_manager.library.layout import PlainFolderLayout
from setup_manager.net import Origin
from setup_manager.recover.adopt import Outcome, TakeOver
from setup_manager.recover.content import BLOCK_BYTES, LeftoverContent
from setup_manager.recover.find import find_leftovers
from setup_manager.recover.offer import found_for
from setup_manager.units import parse_size
from tests.support.loopback import LoopbackHub


@dataclass(frozen=True)
class Row:
    """What one leftover gave.

    Attributes:
        there_bytes: What the tool had written, without holes and zeros.
        adopted_bytes: What of it was used.
        sampled_bytes: What was fetched to compare.
        served_bytes: What the hub sent in all, samples included.
        size_bytes: Of the file.
    """

    there_bytes: int
    adopted_bytes: int
    sampled_bytes: int
    served_bytes: int
    size_bytes: int

    @property
    def missing_bytes(self) -> int:
        """What the tool had not written."""
        return self.size_bytes - self.there_bytes

    @property
    def bound_bytes(self) -> int:
        """What may be fetched at most."""
        return self.missing_bytes + 2 * chunk_size(self.size_bytes) + self.sampled_bytes


def written_bytes(folder: Path) -> int:
    """Count what a tool really wrote below a folder: no holes, no blocks of zeros."""
    total = 0
    for leftover in find_leftovers([folder]).leftovers:
        with LeftoverContent(leftover.path) as content:
            for span in content.spans():
                for start in range(span.start, span.stop, BLOCK_BYTES):
                    block = content.read(start, min(BLOCK_BYTES, span.stop - start))
                    total += len(block) if block.strip(b"\0") else 0
    return total


def finish(hub: LoopbackHub, artifact: Artifact, theirs: Path, ours: Path) -> Row:
    """Take over what lies in a folder, fetch the rest and check the result.

    Raises:
        AssertionError: If the file is wrong or too much was fetched.
    """
    there, before = written_bytes(theirs), hub.served_bytes
    downloader, origin = Downloader(PlainFolderLayout(ours)), Origin(hub.endpoint)
    with downloader.reader([origin]) as reader:
        offers = found_for(artifact, [theirs], settle_seconds=0)
        outcome: Outcome = TakeOver(downloader, reader).use(offers)
    file = outcome.verified or downloader.fetch([FileJob(artifact, (origin,))])[0]
    with file.path.open("rb") as content:
        assert hashlib.file_digest(content, "sha256").hexdigest() == artifact.sha256
    served = hub.served_bytes - before
    row = Row(there, outcome.adopted_bytes, outcome.sampled_bytes, served, artifact.size_bytes)
    if outcome.verified is not None:
        row = Row(there, artifact.size_bytes, 0, served, artifact.size_bytes)
    assert served <= row.bound_bytes, row
    return row


def main() -> None:
    """Print the table."""
    from tests.gguf.files import write_model

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", choices=tools(), action="append")
    parser.add_argument("--size", default="320M", help="of the file, about")
    options = parser.parse_args()
    rows = parse_size(options.size) // (24 * 512)
    print("| left by | interrupted by | there | used | sampled | fetched | bound |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        model = write_model(Path(place) / FILE, rows=rows, tensors=24, tokens=4096)
        for tool in options.tool or tools():
            for interruption in INTERRUPTIONS:
                with tempfile.TemporaryDirectory(dir=place) as made:
                    print(_line(tool, interruption, model, Path(made)), flush=True)


def _line(tool: str, interruption: str, model: Path, folder: Path) -> str:
    with LoopbackHub({REPOSITORY: {FILE: model}}) as hub:
        artifact = hub.artifact(REPOSITORY, FILE)
        try:
            leave(tool, interruption, hub, artifact, folder / "theirs")
        except (ToolMissingError, TimeoutError) as problem:
            return f"| {tool} | {interruption} | {problem} | | | | |"
        row = finish(hub, artifact, folder / "theirs", folder / "ours")
    if row.there_bytes == 0:
        return f"| {tool} | {interruption} | nothing is left | | | | |"
    counts = (
        row.there_bytes, row.adopted_bytes, row.sampled_bytes, row.served_bytes, row.bound_bytes
    )  # fmt: skip
    return f"| {tool} | {interruption} | " + " | ".join(f"{n / 1e6:.1f}" for n in counts) + " |"


if __name__ == "__main__":
    main()
