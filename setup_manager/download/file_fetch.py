"""One file on its way from an origin to its final name.

Lock, look at what is here, fetch what is missing while hashing what has come, compare the digest,
look a second time if it differs, rename, publish.
"""

from __future__ import annotations

import queue
import time
from contextlib import suppress
from pathlib import Path

from setup_manager.catalog import Artifact
from setup_manager.download.assembly import Assembly
from setup_manager.download.board import Board
from setup_manager.download.checks import read_checks, stamp_of, write_checks
from setup_manager.download.chunks import Coverage
from setup_manager.download.events import DownloadEvent, Kind, Meter, Observer, timestamp
from setup_manager.download.failures import disk_failure
from setup_manager.download.hashing import hash_whole
from setup_manager.download.journal import replay, usable
from setup_manager.download.places import FileJob, FilePlaces, Layout
from setup_manager.download.plan import DiskState, plan_file
from setup_manager.download.second_look import SecondLook
from setup_manager.download.sources import Source
from setup_manager.download.store import (
    FileBusyError,
    FileClaim,
    OwnerChangedError,
    PartialFile,
    remove_leftovers,
)
from setup_manager.download.transfer import (
    Cancelled,
    OutOfSourcesError,
    Surroundings,
)
from setup_manager.download.verified import VerifiedFile
from setup_manager.errors import BusyError, InterruptedByUserError, SetupError
from setup_manager.fs import Disk
from setup_manager.gguf import check_early
from setup_manager.net import Transport
from setup_manager.units import format_size


def disk_state(artifact: Artifact, places: FilePlaces) -> DiskState:
    """Read what is on disk of one file; changes nothing."""
    with suppress(OSError):
        if places.content.stat().st_size == artifact.size_bytes:
            return DiskState(installed=True)
    try:
        found = places.partial.stat()
        journal = places.journal.read_bytes()
    except OSError:
        return DiskState()
    coverage = usable(
        replay(journal), artifact.sha256, artifact.size_bytes, found.st_size, chunk_bytes=1
    )
    allocated = getattr(found, "st_blocks", 0) * 512
    used = coverage if coverage.covered_bytes else None
    return DiskState(coverage=used, allocated_bytes=min(allocated, artifact.size_bytes))


class FileFetch:
    """Fetches one file.

    Args:
        job: What and from where.
        layout: Where it goes.
        around: Options and what the files of a run share.
        observer: Told what happens.
        transport: The network.
        disk: Where bytes are written.
    """

    def __init__(
        self,
        job: FileJob,
        layout: Layout,
        around: Surroundings,
        observer: Observer,
        transport: Transport,
        disk: Disk,
    ) -> None:
        self._artifact = job.artifact
        self._layout = layout
        self._places = layout.places(job.artifact)
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
        """Bring the file to its final name, whatever of it is here already.

        Raises:
            SetupError: See `engine.fetch`.
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
            with self._claim():
                return self._installed(may_read=True) or self._bring()
        except FileBusyError:
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

    def _claim(self) -> FileClaim:
        return FileClaim(
            self._places.lock,
            wait=self._options.wait,
            on_wait=lambda: self._tell(Kind.WAIT, "another process is fetching this file"),
            cancelled=self._around.cancel.is_set,
        )

    # A file that is here already

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
            self._tell(Kind.VERIFY, "a file of this name is here already")
            coverage = self._matching(content)
            if coverage is None:
                self._tell(Kind.DAMAGED, "the file of this name is not what it must be")
                return None
            write_checks(folder, artifact, stamp, coverage, self._disk)
        remove_leftovers(self._places, self._disk)
        return self._done(self._layout.publish(artifact), fetched=0, reused=artifact.size_bytes)

    def _matching(self, path: Path) -> Coverage | None:
        """Hash a file; return its check values if it is the one."""
        chunk_bytes = plan_file(self._artifact, DiskState(), self._options.chunk_bytes).chunk_bytes
        digest, coverage = hash_whole(path, chunk_bytes, self._around.cancel)
        if self._around.cancel.is_set():
            raise Cancelled
        return coverage if digest == self._artifact.sha256 else None

    # A file that has to come

    def _bring(self) -> VerifiedFile:
        self._disk.make_folder(self._places.partial.parent)
        chunk_bytes = plan_file(self._artifact, DiskState(), self._options.chunk_bytes).chunk_bytes
        found = None
        if PartialFile.is_whole_without_journal(self._places, self._artifact):
            found = self._matching(self._places.partial)
        held = PartialFile(self._places, self._artifact, chunk_bytes, self._disk)
        coverage = found or held.coverage
        assembly = Assembly(held, coverage, self._sources, self._around, self._check_prefix)
        self._board = assembly.board
        try:
            return self._complete(assembly, coverage.covered_bytes)
        finally:
            if not assembly.stragglers:  # a thread that still runs must not meet a reused number
                held.close()

    def _complete(self, assembly: Assembly, reused: int) -> VerifiedFile:
        artifact, folder = self._artifact, self._options.checks_dir
        self._meter.sample(time.monotonic(), reused)
        self._tell(Kind.START, f"{format_size(reused)} are here already" if reused else "")
        assembly.run(self._watch)
        look = SecondLook(artifact, assembly, self._watch)
        if assembly.digest != artifact.sha256:
            self._tell(Kind.VERIFY, "the digest is wrong: looking for what is damaged")
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
        kept, total = format_size(self._kept_bytes), format_size(self._artifact.size_bytes)
        return InterruptedByUserError(
            f"Interrupted: kept {kept} of {total} of {self._artifact.path}.",
            hint="Run the same command again: it goes on from here.",
        )

    def _busy(self) -> SetupError:
        return BusyError(
            f"Another process is at {self._artifact.path}.",
            context=(str(self._places.partial),),
            hint="Wait until it is done, or leave out --no-wait: then this command waits.",
        )
