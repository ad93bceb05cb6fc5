"""The one entry to downloading: files in, verified files out."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from setup_manager.catalog import Artifact
from setup_manager.download.adopt import adopt_ranges, install_whole, link_as_partial
from setup_manager.download.events import Observer
from setup_manager.download.failures import busy, disk_failure, interrupted
from setup_manager.download.file_fetch import FileFetch
from setup_manager.download.installed import FileCheck, examine, set_back
from setup_manager.download.job import (
    DownloadOptions,
    FileJob,
    FilePlaces,
    Layout,
    VerifiedFile,
)
from setup_manager.download.pace import RateLimit
from setup_manager.download.plan import DownloadPlan, FilePlan, Room, check_artifact, plan_file
from setup_manager.download.reader import RangeReader
from setup_manager.download.store import read_state
from setup_manager.download.transfer import Surroundings
from setup_manager.fs import Disk, FileLock, LockedError, OsDisk
from setup_manager.net import NetworkOptions, Origin, Transport


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world, for tests to replace.

    Attributes:
        transport: Makes the network of a run.
        disk: Where bytes are written.
    """

    transport: Callable[[NetworkOptions], Transport] = Transport
    disk: Callable[[], Disk] = OsDisk


@dataclass(frozen=True, slots=True)
class Downloader:
    """Brings files into one folder of models and keeps them right.

    Attributes:
        layout: Where files go.
        options: How to behave.
        observer: Told what happens, in the calling thread.
        network: Proxies, certificates and time limits.
        cancel: Set it to end within a second; everything that came is kept.
        ports: Network and disk; for tests.
    """

    layout: Layout
    options: DownloadOptions = field(default_factory=DownloadOptions)
    observer: Observer = lambda _event: None
    network: NetworkOptions = field(default_factory=NetworkOptions)
    cancel: threading.Event = field(default_factory=threading.Event)
    ports: Ports = field(default_factory=Ports)

    def plan(
        self, jobs: Sequence[FileJob], *, copied_bytes: int = 0, copied_to: Path | None = None
    ) -> DownloadPlan:
        """Read what is here and say what is to be done; changes nothing.

        Args:
            jobs: What to fetch and from where.
            copied_bytes: What a runtime's own copies will take at their peak.
            copied_to: Where it keeps them; None for the file system of the files.

        Raises:
            VerificationFailedError: If a name or digest is not acceptable.
        """
        files = tuple(self._plan_file(job) for job in jobs)
        folder = _existing(files[0].places.root if files else Path())
        store = _existing(copied_to) if copied_to is not None else folder
        apart = not files or store.stat().st_dev != folder.stat().st_dev
        return DownloadPlan(
            files,
            _room(folder),
            copied_bytes,
            _room(store) if apart else None,
            self.options.reserve_bytes,
        )

    def execute(self, plan: DownloadPlan) -> tuple[VerifiedFile, ...]:
        """Fetch what a plan lacks and give the files their final names.

        Where the disk is no longer as it was planned (another process was at a file, a leftover
        was adopted), what is there then counts.

        Returns:
            One verified file a job, in order.

        Raises:
            InsufficientDiskError: The disk got full.
            DownloadFailedError: The transfer failed; what came is kept.
            VerificationFailedError: The content is wrong.
            AccessDeniedError: A token, a licence or a repository that cannot be had.
            BusyError: Another process is downloading a file and `options.wait` is false.
            InterruptedByUserError: `cancel` was set.
        """
        around = Surroundings(
            self.options, self.cancel, RateLimit(self.options.rate_bytes_per_second)
        )
        with self.ports.transport(self.network) as transport:
            return tuple(
                FileFetch(
                    file, self.layout, around, self.observer, transport, self.ports.disk()
                ).fetch()
                for file in plan.files
            )

    def fetch(self, jobs: Sequence[FileJob]) -> tuple[VerifiedFile, ...]:
        """Plan, check the room, and execute.

        Raises:
            InsufficientDiskError: Too little room, before the first byte or on the way.
            SetupError: As `execute`.
        """
        plan = self.plan(jobs)
        plan.check_room()
        return self.execute(plan)

    def verify(self, artifact: Artifact) -> FileCheck:
        """Hash an installed file; never trusts a stamp, changes nothing but its check values.

        Raises:
            InterruptedByUserError: If `cancel` was set.
            DownloadFailedError: If the file cannot be read.
        """
        return examine(artifact, self._places(artifact), self.options, self.cancel)[0]

    def repair(self, job: FileJob) -> VerifiedFile:
        """Make an installed file right again; fetches only what is damaged.

        With the check values that were kept when it was installed, that is the damaged chunks,
        one chunk (16 MiB) of traffic for each. Without them nothing says where the damage is:
        chunks are fetched and compared until the digest is right, half of the file on average for
        one damaged place. The damaged file loses its final name at once and gets it back when it
        is right.

        Raises:
            SetupError: As `fetch`.
        """
        artifact, places = job.artifact, self._places(job.artifact)
        with self._locked(artifact, places):
            checked, good = examine(artifact, places, self.options, self.cancel)
            if checked.found and not checked.right and good is not None:
                set_back(places, artifact, good, self.ports.disk())
        (file,) = self.fetch([job])
        return file

    def adopt(
        self,
        artifact: Artifact,
        source: Path,
        ranges: Sequence[tuple[int, int]],
        *,
        shift_bytes: int = 0,
        owned: bool = False,
    ) -> int:
        """Copy ranges of another tool's file into the partial, so that a fetch brings the rest.

        Where the file system can share blocks, the copy takes neither time nor space. The source
        is only read. What the partial holds already is kept.

        Args:
            artifact: What the whole file must be.
            source: The other tool's file.
            ranges: (start, end) of bytes that are believed to be there.
            shift_bytes: How much further back the bytes lie in the artifact than in the source.
            owned: The caller is going to remove the source: it may itself become the partial.

        Returns:
            Bytes that were taken over.

        Raises:
            SetupError: As `execute`.
        """
        places = self._places(artifact)
        disk = self.ports.disk()
        with self._locked(artifact, places):
            disk.make_folder(places.partial.parent)
            if owned and not shift_bytes:
                link_as_partial(source, places)
            file = self._plan_file(FileJob(artifact, ()))
            return adopt_ranges(file, source, ranges, shift_bytes, self.cancel, disk)

    def adopt_whole(
        self, artifact: Artifact, source: Path, *, owned: bool = False
    ) -> VerifiedFile | None:
        """Give another tool's file its place if its digest is right.

        The source is never changed. It gets a second name or shares its blocks, else it is copied.

        Args:
            artifact: What it should be.
            source: The other tool's file.
            owned: The caller is going to remove the source.

        Returns:
            None if it is something else.

        Raises:
            SetupError: As `execute`.
        """
        places = self._places(artifact)
        with self._locked(artifact, places):
            right = install_whole(
                artifact, source, places, self.options, self.cancel, self.ports.disk(), owned=owned
            )
            if not right:
                return None
            visible = self.layout.publish(artifact)
        return VerifiedFile(artifact, visible, reused_bytes=artifact.size_bytes)

    @contextmanager
    def reader(self, origins: Sequence[Origin]) -> Iterator[RangeReader]:
        """Read parts of files without fetching them whole."""
        with self.ports.transport(self.network) as transport:
            yield RangeReader(origins, transport, self.options)

    def _places(self, artifact: Artifact) -> FilePlaces:
        check_artifact(artifact)
        return self.layout.places(artifact)

    def _plan_file(self, job: FileJob) -> FilePlan:
        places = self._places(job.artifact)
        return plan_file(job, places, read_state(job.artifact, places), self.options)

    @contextmanager
    def _locked(self, artifact: Artifact, places: FilePlaces) -> Iterator[None]:
        """Hold a file's lock; what fails becomes an error for people."""
        lock = FileLock(places.lock, wait=self.options.wait, cancelled=self.cancel.is_set)
        try:
            with lock:
                yield
        except LockedError:
            if self.cancel.is_set():
                raise interrupted(artifact, 0) from None
            raise busy(artifact, places.partial) from None
        except OSError as error:
            path = Path(error.filename) if error.filename else places.partial
            raise disk_failure(error, path, 0, artifact.size_bytes) from error


def _existing(folder: Path) -> Path:
    """Return the folder, or the one above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _room(folder: Path) -> Room:
    return Room(folder, shutil.disk_usage(folder).free)
