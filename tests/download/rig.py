"""What the download tests share: a file on a loopback hub, a folder, and the engine between."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from setup_manager.catalog.artifact import Artifact
from setup_manager.download.engine import Downloader, Ports
from setup_manager.download.events import DownloadEvent, Kind
from setup_manager.download.job import DownloadOptions, FileJob, FilePlaces, VerifiedFile
from setup_manager.download.journal import replay
from setup_manager.library.layout import HubCacheLayout
from setup_manager.net.options import NetworkOptions
from setup_manager.net.origin import Origin
from tests.support.exchange import Exchange
from tests.support.exchange import Kind as RequestKind
from tests.support.loopback import LoopbackHub

REPOSITORY, PATH = "org/model", "weights.bin"
KIB = 1024
CHUNK = 32 * KIB
DATA = random.Random(7).randbytes(20 * CHUNK + 12_345)
SHA = hashlib.sha256(DATA).hexdigest()

QUICK = DownloadOptions(
    chunk_bytes=CHUNK,
    flush_bytes=CHUNK,
    flush_seconds=0.2,
    patience_seconds=1.0,
    first_backoff_seconds=0.01,
    longest_backoff_seconds=0.05,
    longest_wait_seconds=30.0,
    slow_seconds=0.3,
    sample_seconds=0.1,
    progress_seconds=0.0,
    reserve_bytes=0,
)
QUICK_NETWORK = NetworkOptions(connect_seconds=1.0, stall_seconds=0.3)


@dataclass
class Rig:
    """One file to be fetched from a hub into an empty cache."""

    folder: Path
    hub: LoopbackHub
    artifact: Artifact
    mirrors: tuple[str, ...] = ()
    token: str | None = None
    options: DownloadOptions = QUICK
    network: NetworkOptions = QUICK_NETWORK
    ports: Ports = field(default_factory=Ports)
    events: list[DownloadEvent] = field(default_factory=list)
    cancel: threading.Event = field(default_factory=threading.Event)

    @property
    def layout(self) -> HubCacheLayout:
        return HubCacheLayout(self.folder)

    @property
    def places(self) -> FilePlaces:
        return self.layout.places(self.artifact)

    @property
    def downloader(self) -> Downloader:
        return Downloader(
            self.layout, self.options, self.events.append, self.network, self.cancel, self.ports
        )

    @property
    def job(self) -> FileJob:
        origins = (Origin(self.hub.endpoint, self.token), *map(Origin, self.mirrors))
        return FileJob(self.artifact, origins)

    def fetch(self, **changes: object) -> VerifiedFile:
        options = replace(self.options, **changes)  # type: ignore[arg-type]
        (file,) = replace(self.downloader, options=options).fetch([self.job])
        return file

    def fetch_from(self, endpoint: str, token: str | None = None) -> VerifiedFile:
        """Fetch from another origin than the hub."""
        job = FileJob(self.artifact, (Origin(endpoint, token),))
        (file,) = Downloader(self.layout, self.options, network=self.network).fetch([job])
        return file

    @property
    def places_covered(self) -> int:
        """Bytes that the journal says are there."""
        return replay(self.places.journal.read_bytes()).coverage.covered_bytes

    def content_requests(self) -> list[Exchange]:
        return [
            exchange
            for exchange in self.hub.requests
            if exchange.request.kind is RequestKind.CONTENT
        ]

    def told(self, kind: Kind) -> list[DownloadEvent]:
        return [event for event in self.events if event.event is kind]

    def assert_right(self, data: bytes = DATA) -> None:
        assert self.places.visible.read_bytes() == data
        assert not self.places.partial.exists()
        assert not self.places.journal.exists()

    def assert_not_installed(self) -> None:
        assert not self.places.visible.exists()
        assert not self.places.content.exists()

    def interrupt_after(self, size_bytes: int) -> None:
        """Fetch until so many bytes are journaled, then cancel."""
        from setup_manager.errors import InterruptedByUserError

        cancel, before = self.cancel, self.events
        self.cancel, self.events = threading.Event(), []

        class Stopper(list[DownloadEvent]):
            def append(inner, event: DownloadEvent) -> None:  # noqa: N805
                if event.bytes >= size_bytes:
                    self.cancel.set()

        self.events = Stopper()
        try:
            self.fetch(rate_bytes_per_second=600_000, connections=2)
            raise AssertionError("the fetch was not interrupted")
        except InterruptedByUserError:
            pass
        finally:
            self.cancel, self.events = cancel, before


def overlap(exchanges: Sequence[Exchange], start: int, end: int) -> int:
    """Count the requests that asked for any byte of a range."""
    count = 0
    for exchange in exchanges:
        span = exchange.request.span(1 << 60)
        if span is not None and span[0] < end and start < span[1]:
            count += 1
    return count
