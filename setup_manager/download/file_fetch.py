"""One file on its way from an origin to its final name.

Lock, look at what is here, fetch what is missing while hashing what has come, compare the digest,
look a second time if it differs, rename, publish.
"""

from __future__ import annotations

import queue
import time
from contextlib import suppress
from pathlib import Path

from setup_manager.download.assembly import Assembly
from setup_manager.download.board import Board
from setup_manager.download.chunks import Coverage
from setup_manager.download.events import DownloadEvent, Kind, Meter, Observer, timestamp
from setup_manager.download.failures import busy, disk_failure, interrupted
from setup_manager.download.hashing import hash_whole
from setup_manager.download.installed import read_checks, write_checks
from setup_manager.download.job import Layout, VerifiedFile
from setup_manager.download.plan import FilePlan, plan_file
from setup_manager.download.second_look import SecondLook
from setup_manager.download.sources import Source
from setup_manager.download.store import (
    OwnerChangedError,
    PartialFile,
    is_unchanged,
    read_state,
    remove_leftovers,
    stamp_of,
)
from setup_manager.download.transfer import (
    Cancelled,
    OutOfSourcesError,
    Surroundings,
)
from setup_manager.errors import SetupError
from setup_manager.fs import Disk, FileLock, LockedError
from setup_manager.gguf import check_early
from setup_manager.net import Transport
from setup_manager.units import format_size


class FileFetch:
    """Fetches one file.

    Args:
        plan: What is to be done.
        layout: Where it goes.
        around: Options and what the files of a run share.
        observer: Told what happens.
        transport: The network.
        disk: Where bytes are written.
    """

    def __init__(
        self,
        plan: FilePlan,
        layout: Layout,
        around: Surroundings,
        observer: Observer,
        transport: Transport,
        disk: Disk,
    ) -> None:
        job = plan.job
        self._plan = plan
        self._artifact = job.artifact
        self._layout = layout
        self._places = plan.places
        self._around = around
        self._options = around.options
        self._observer = observer
        self._disk = disk
        self._sources = [
            Source(origin, job.artifact, transport, around.options) for origin in job.origins
        ]
        is_gguf = job.artifact.path.lower().endswith(".gguf")
        self._check_prefix = job.check_prefix or (check_early if is_gguf else None)
        self._meter = Meter(job.artifact.size_bytes)
        self._began = time.monotonic()
        self._told_at = 0.0
        self._board: Board | None = None
        self._retries_before = around.retries

    def fetch(self) -> VerifiedFile:
        """Bring the file to its final name, whatever of it is already here.

        Raises:
            SetupError: See `Downloader.execute`.
        """
        try:
            return self._fetch()
        except SetupError as error:
            self._tell(Kind.FAILED, error.message)
            raise

    def _fetch(self) -> VerifiedFile:
        try:
            recognised = self._installed(may_read=False)  # needs no lock, nor a writable folder
            if recognised is not None:
                return recognised
            with self._lock():
                return self._installed(may_read=True) or self._bring()
        except LockedError:
            cancelled = self._around.cancel.is_set()
            raise (self._interrupted() if cancelled else self._busy()) from None
        except OwnerChangedError:
            raise self._busy() from None
        except Cancelled:
            raise self._interrupted() from None
        except OutOfSourcesError as error:
            raise error.source.failure(error.facts, self._kept_bytes) from None
        except OSError as error:
            path = Path(error.filename) if error.filename else self._places.partial
            raise disk_failure(error, path, self._kept_bytes, self._artifact.size_bytes) from error

    def _lock(self) -> FileLock:
        return FileLock(
            self._places.lock,
            wait=self._options.wait,
            on_wait=lambda: self._tell(Kind.WAIT, "another process is downloading this file"),
            cancelled=self._around.cancel.is_set,
        )

    # A file that is already here

    def _installed(self, *, may_read: bool) -> VerifiedFile | None:
        """Recognise a file by its stamp, or by hashing it once."""
        artifact, content, folder = self._artifact, self._places.content, self._options.checks_dir
        try:
            stamp = stamp_of(content)
        except OSError:
            return None
        if stamp.size_bytes != artifact.size_bytes:
            return None
        recorded, _ = read_checks(folder, artifact)
        unfinished = self._places.journal.exists() or self._places.partial.exists()
        if not may_read and (recorded != stamp or unfinished):
            return None
        if recorded != stamp:
            self._tell(Kind.VERIFY, "a file with this name already exists")
            coverage = self._matching(content)
            if coverage is None:
                self._tell(Kind.DAMAGED, "the existing file has the wrong content")
                return None
            write_checks(folder, artifact, stamp, coverage, self._disk)
        remove_leftovers(self._places, self._disk)
        return self._done(self._layout.publish(artifact), fetched=0, reused=artifact.size_bytes)

    def _matching(self, path: Path) -> Coverage | None:
        """Hash a file; return its check values if it is the one."""
        chunk_bytes = self._plan.coverage.chunk_bytes
        digest, coverage = hash_whole(path, chunk_bytes, self._around.cancel)
        if self._around.cancel.is_set():
            raise Cancelled
        return coverage if digest == self._artifact.sha256 else None

    # A file that has to come

    def _bring(self) -> VerifiedFile:
        self._disk.make_folder(self._places.partial.parent)
        coverage = self._kept()
        held = PartialFile(self._places, self._artifact, coverage, self._disk)
        assembly = Assembly(held, coverage, self._sources, self._around, self._check_prefix)
        self._board = assembly.board
        try:
            return self._complete(assembly, coverage.covered_bytes)
        finally:
            if not assembly.stragglers:  # a thread that still runs must not meet a reused number
                held.close()

    def _kept(self) -> Coverage:
        """Return what of the partial counts: as planned, unless somebody has been at it since."""
        plan = self._plan
        if not is_unchanged(plan.state, plan.places):
            state = read_state(self._artifact, plan.places)
            plan = plan_file(plan.job, plan.places, state, self._options)
        partial, size = plan.state.partial, self._artifact.size_bytes
        if plan.state.coverage is None and partial is not None and 0 < size == partial.size_bytes:
            return self._matching(plan.places.partial) or plan.coverage.copy()
        return plan.coverage.copy()

    def _complete(self, assembly: Assembly, reused: int) -> VerifiedFile:
        artifact, folder = self._artifact, self._options.checks_dir
        self._meter.sample(time.monotonic(), reused)
        self._tell(Kind.START, f"{format_size(reused)} already here" if reused else "")
        assembly.run(self._watch)
        look = SecondLook(artifact, assembly, self._watch)
        if assembly.digest != artifact.sha256:
            self._tell(Kind.VERIFY, "wrong digest: locating the damage")
            look.run()
            self._watch(0)
        assembly.held.seal()
        stamp = stamp_of(self._places.partial)
        write_checks(folder, artifact, stamp, assembly.board.coverage, self._disk)
        assembly.held.commit()
        visible = self._layout.publish(artifact)
        assembly.held.finish()
        fetched = assembly.board.fetched_bytes + look.fetched_bytes
        return self._done(visible, fetched=fetched, reused=reused)

    # What the observer is told

    @property
    def _kept_bytes(self) -> int:
        return self._board.coverage.covered_bytes if self._board is not None else 0

    def _watch(self, connections: int) -> None:
        now = time.monotonic()
        if self._board is not None:
            self._meter.sample(now, self._board.present_bytes)
        with suppress(queue.Empty):
            while True:
                notice = self._around.notices.get_nowait()
                self._tell(notice.kind, notice.message, connections, notice.seconds)
        if now - self._told_at >= self._options.progress_seconds:
            self._told_at = now
            self._tell(Kind.PROGRESS, connections=connections)

    def _tell(
        self, kind: Kind, message: str = "", connections: int = 0, seconds: float | None = None
    ) -> None:
        event = DownloadEvent(
            time=timestamp(time.time()),
            event=kind,
            file=self._artifact.path,
            bytes=self._meter.shown,
            total=self._artifact.size_bytes,
            rate=self._meter.rate,
            eta=self._meter.eta,
            connections=connections,
            retries=self._around.retries - self._retries_before,
            seconds=seconds,
            message=message,
        )
        self._observer(event)

    def _done(self, visible: Path, *, fetched: int, reused: int) -> VerifiedFile:
        self._meter.sample(time.monotonic(), self._artifact.size_bytes)
        self._tell(Kind.DONE)
        return VerifiedFile(
            artifact=self._artifact,
            path=visible,
            fetched_bytes=fetched,
            reused_bytes=reused,
            retries=self._around.retries - self._retries_before,
            seconds=time.monotonic() - self._began,
        )

    def _interrupted(self) -> SetupError:
        return interrupted(self._artifact, self._kept_bytes)

    def _busy(self) -> SetupError:
        return busy(self._artifact, self._places.partial)
