"""A model with random weights, a hub that serves it, and everything that taking over needs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.make_leftovers import FILE, REPOSITORY
from setup_manager.catalog.artifact import Artifact
from setup_manager.download.engine import Downloader
from setup_manager.download.job import DownloadOptions, FileJob, VerifiedFile
from setup_manager.library.layout import PlainFolderLayout
from setup_manager.net import Origin
from setup_manager.recover.adopt import Outcome, TakeOver
from setup_manager.recover.find import WalkLimits, find_leftovers
from setup_manager.recover.offer import Offer, found_for
from tests.gguf.files import write_model
from tests.support.content import Content, as_content
from tests.support.loopback import LoopbackHub

LIMITS = WalkLimits(smallest_bytes=1)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 MB, so twelve chunks of 4 MiB."""
    return write_model(tmp_path_factory.mktemp("model") / FILE, rows=4096, tensors=23, tokens=4096)


@pytest.fixture(scope="session")
def content(model: Path) -> Content:
    """The model as the hub serves it, hashed once."""
    return as_content(model)


@pytest.fixture
def hub(content: Content) -> Iterator[LoopbackHub]:
    with LoopbackHub({REPOSITORY: {FILE: content}}) as served:
        yield served


@pytest.fixture
def artifact(hub: LoopbackHub) -> Artifact:
    return hub.artifact(REPOSITORY, FILE)


@dataclass(frozen=True)
class Bench:
    """Finds, takes over and fetches into a plain folder."""

    hub: LoopbackHub
    artifact: Artifact
    home: Path

    @property
    def layout(self) -> PlainFolderLayout:
        return PlainFolderLayout(self.home / "models")

    @property
    def options(self) -> DownloadOptions:
        return DownloadOptions(connections=2, checks_dir=self.home / "checks", wait=False)

    @property
    def downloader(self) -> Downloader:
        return Downloader(self.layout, self.options)

    def offers(self, folder: Path) -> tuple[Offer, ...]:
        return found_for(self.artifact, [folder], limits=LIMITS, settle_seconds=0)

    def take(self, offers: tuple[Offer, ...], *, move: bool = False, seed: int = 1) -> Outcome:
        with self.downloader.reader([Origin(self.hub.endpoint)]) as reader:
            take = TakeOver(self.downloader, reader, move=move, rng=random.Random(seed))
            return take.use(offers)

    def fetch(self) -> VerifiedFile:
        job = FileJob(self.artifact, (Origin(self.hub.endpoint),))
        (file,) = self.downloader.fetch([job])
        return file

    def recover(self, folder: Path, *, move: bool = False) -> tuple[Outcome, VerifiedFile, int]:
        """Take over and fetch the rest; also returns the bytes that the hub sent for it."""
        before = self.hub.served_bytes
        outcome = self.take(self.offers(folder), move=move)
        file = outcome.verified or self.fetch()
        return outcome, file, self.hub.served_bytes - before


@pytest.fixture
def bench(hub: LoopbackHub, artifact: Artifact, tmp_path: Path) -> Bench:
    return Bench(hub, artifact, tmp_path / "ours")


def only(folder: Path) -> Path:
    """Return the one leftover below a folder."""
    (leftover,) = find_leftovers([folder], LIMITS).leftovers
    return leftover.path
