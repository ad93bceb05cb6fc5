"""VerifiedFile: proof that a file is here and right; `register` takes nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from setup_manager.catalog import Artifact


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """A file whose length and digest matched before it got its final name.

    Attributes:
        artifact: What it was held to.
        path: Where a user finds it: the snapshot link in the hub cache, or the plain file.
        fetched_bytes: Bytes that came over the network for it in this run.
        reused_bytes: Bytes that were here already.
        retries: Requests that had to be repeated.
        seconds: How long it took.
    """

    artifact: Artifact
    path: Path
    fetched_bytes: int = 0
    reused_bytes: int = 0
    retries: int = 0
    seconds: float = 0.0
