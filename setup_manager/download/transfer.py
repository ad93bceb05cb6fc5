"""Moves pending stretches of one file from its origins to a sink, over several connections.

Threads: one worker a connection (reads, checks, writes), one that syncs and journals, one that
hashes. The calling thread watches: progress, patience, slow connections, cancelling. Only the
calling thread raises and only it talks to the observer.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from setup_manager.download.board import Board, Lease
from setup_manager.download.chunks import Span
from setup_manager.download.events import Kind
from setup_manager.download.hashing import Hasher
from setup_manager.download.job import DownloadOptions
from setup_manager.download.pace import ConnectionCount, RateLimit, memory_pressure
from setup_manager.download.sources import Source, backoff, choose
from setup_manager.fs import lower_priority
from setup_manager.gguf import WrongStart
from setup_manager.net import Action, Fault, RequestError, Stream, Verdict
from setup_manager.units import KIB

_TICK = 0.05
_JOIN_SECONDS = 0.7
_PREFIX_BYTES = 64
_FIRST_CONNECTIONS = 4
_PRESSED_PERCENT = 10.0
_MISSET_PATIENCE_SECONDS = 8.0


class Cancelled(Exception):  # noqa: N818  not an error: somebody asked for it
    """The caller set the cancel event."""


class OutOfSourcesError(Exception):
    """No origin is left, or none gave a byte for too long.

    Attributes:
        source: The one that counts: the hub, where it was asked.
        facts: Why each gave nothing.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.source = sources[0]
        self.facts = [f"{source.name}: {source.verdict.reason}" for source in sources]
        super().__init__("; ".join(self.facts))


class Sink(Protocol):
    """Where the bytes go."""

    def write(self, offset: int, view: memoryview) -> None:
        """Put bytes at their place."""
        ...

    def keep(self, spans: list[Span]) -> None:
        """Make bytes that were written count after a crash."""
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a thread wants the observer to know."""

    kind: Kind
    message: str
    seconds: float | None = None


@dataclass(slots=True)
class Surroundings:
    """What a transfer needs besides its board: shared by all files of a run.

    Attributes:
        options: How to behave.
        cancel: Ends it.
        limit: Rate limit over all connections.
        notices: What the observer will be told.
        retries: Requests repeated so far.
    """

    options: DownloadOptions
    cancel: threading.Event
    limit: RateLimit
    notices: queue.SimpleQueue[Notice] = field(default_factory=queue.SimpleQueue)
    retries: int = 0


class Transfer:
    """One transfer: from the board's pending stretches to the sink.

    Args:
        board: What is to be fetched.
        sink: Where it goes.
        sources: Where it comes from.
        around: Options and what is shared.
        hasher: Hashes behind the front, or None.
        check_prefix: Looks at the first bytes of the file.
        avoid: Names an origin to pass over for a stretch, if there is another.
        split: Whether the tail of a slow stretch may go to another connection.
    """

    def __init__(
        self,
        board: Board,
        sink: Sink,
        sources: list[Source],
        around: Surroundings,
        *,
        hasher: Hasher | None = None,
        check_prefix: Callable[[bytes], WrongStart | None] | None = None,
        avoid: str | None = None,
        split: bool = True,
    ) -> None:
        self._board = board
        self._sink = sink
        self._sources = sources
        self._around = around
        self._options = around.options
        self._hasher = hasher
        self._check_prefix = check_prefix
        self._avoid = avoid
        self._split_seconds = 1.0 if split else float("inf")
        options = self._options
        # More connections than cores cost more than they bring before it is known what they bring.
        start = min(_FIRST_CONNECTIONS, max(2, os.cpu_count() or 2))
        self._count = ConnectionCount(options.connections, options.most, start)
        self._stop = threading.Event()
        self._wake = threading.Event()  # something that the calling thread should see now
        self._failure: BaseException | None = None
        self._streams: dict[int, tuple[Stream, Lease]] = {}
        self._last_progress = time.monotonic()
        self.stragglers = False
        self._threads: list[threading.Thread] = []
        # Reservations of all connections together must leave half the window to what is written.
        most = options.connections or options.most
        self._read_bytes = max(KIB, min(options.read_bytes, board.window_bytes // (2 * most)))

    # The calling thread

    def run(self, watch: Callable[[int], None]) -> None:
        """Fetch everything; returns when it is there, journaled and hashed.

        Args:
            watch: Called often with the number of connections in use.

        Raises:
            Cancelled: If the cancel event was set.
            OutOfSourcesError: If the origins cannot give the file.
            OSError: If the disk fails.
            Exception: What the sink raised.
        """
        self._start()
        try:
            self._watch(watch)
        finally:
            self._shut_down()
        watch(0)

    def _start(self) -> None:
        self._last_progress = time.monotonic()
        self._board.start()
        self._spawn("journal", self._journal)
        if self._hasher is not None:
            self._spawn("hash", self._hash)

    def _spawn(self, name: str, body: Callable[[], None]) -> None:
        def run() -> None:
            if self._options.polite:
                lower_priority()
            try:
                body()
            except BaseException as error:  # noqa: BLE001  raised again by the calling thread
                self._fail(error)

        thread = threading.Thread(target=run, name=f"download-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._wake.set()

    def _watch(self, watch: Callable[[int], None]) -> None:
        workers = 0
        sampled_at, sampled = time.monotonic(), self._board.fetched_bytes
        while not self._finished():
            if self._around.cancel.is_set():
                raise Cancelled
            if self._failure is not None:
                raise self._failure
            now = time.monotonic()
            self._check_patience(now)
            if now - sampled_at >= self._options.sample_seconds:
                fetched, held_back = self._board.fetched_bytes, self._board.held_back > 0
                self._board.held_back = 0
                rate = (fetched - sampled) / (now - sampled_at)
                self._count.sample(rate, pressed=_pressed(), held_back=held_back)
                sampled_at, sampled = now, fetched
                self._end_slow(now)
            while workers < self._count.target and not self._board.complete:
                self._spawn(f"connection-{workers}", partial(self._work, workers))
                workers += 1
            watch(len(self._streams))
            self._wake.wait(_TICK)
            self._wake.clear()

    def _finished(self) -> bool:
        if not self._board.complete or self._board.uncovered_bytes:
            return False
        return self._hasher is None or self._hasher.done

    def _check_patience(self, now: float) -> None:
        if self._board.complete:
            return
        fit = [source for source in self._sources if source.dropped is None]
        if not fit:
            raise OutOfSourcesError(self._sources)
        asked_to_wait = min(source.resumes_at for source in fit)
        since = max(self._last_progress, asked_to_wait)
        patience = self._options.patience_seconds
        if all(source.is_misset for source in fit):
            patience = min(patience, _MISSET_PATIENCE_SECONDS)
        if now - since > patience:
            raise OutOfSourcesError(self._sources)

    def _end_slow(self, now: float) -> None:
        """Break off connections that are far slower than the others; never when all are slow.

        While several are at work they are compared with each other. The last ones are compared
        with what the origins gave lately, and only if their end is far.
        """
        patience = self._options.slow_seconds
        watched = [
            (lease.rate(now), lease, stream)
            for stream, lease in self._streams.copy().values()
            if now - lease.began > patience
        ]
        if len(watched) > 2:
            typical = sorted(rate for rate, _, _ in watched)[len(watched) // 2]
        else:
            typical = max((source.rate for source in self._sources), default=0.0)
        for rate, lease, stream in watched:
            left_seconds = (lease.end - lease.position) / max(rate, 1.0)
            if rate < typical / 8 and left_seconds > patience:
                stream.abort()

    def _shut_down(self) -> None:
        self._stop.set()
        self._board.stop()
        for stream, _ in self._streams.copy().values():
            stream.abort()
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.stragglers = any(thread.is_alive() for thread in self._threads)

    # The journal thread

    def _journal(self) -> None:
        """Sync and journal what was written, whenever it is enough or old enough."""
        board, options = self._board, self._options
        enough = min(options.flush_bytes, board.window_bytes // 4)
        synced_at = time.monotonic()
        while True:
            with board.grown:
                waiting = board.uncovered_bytes
                due = time.monotonic() - synced_at >= options.flush_seconds
                ripe = waiting >= enough or (waiting and (due or board.complete or board.stopped))
                if not ripe:
                    if board.stopped or self._stop.is_set():
                        return
                    board.grown.wait(0.1)
                    continue
            spans = board.collect()
            self._sink.keep([span for _, span in spans])
            board.settle(spans)
            if board.complete:
                self._wake.set()
            synced_at = time.monotonic()

    # The hash thread

    def _hash(self) -> None:
        assert self._hasher is not None  # noqa: S101
        self._hasher.run(self._stop)
        self._wake.set()

    # The connection threads

    def _work(self, index: int) -> None:
        buffer = memoryview(bytearray(self._read_bytes))
        failures = 0
        while not self._stop.is_set():
            lease, source = self._next(index)
            if lease is None or source is None:
                with self._board.changed:
                    self._board.changed.wait(_TICK)
                continue
            try:
                self._fetch(index, lease, source, buffer)
                failures = 0
            except RequestError as error:
                failures = 1 if lease.position > lease.start else failures + 1
                self._take_failure(source, error.verdict, failures)
            finally:
                source.leave()

    def _next(self, index: int) -> tuple[Lease | None, Source | None]:
        if index >= self._count.target:
            return None, None
        now = time.monotonic()
        source = choose(self._sources, now, self._avoid)
        if source is None or not source.enter():
            return None, None
        split_bytes = max(self._read_bytes, 64 * KIB)
        lease = self._board.acquire(
            source.tag, now, split_bytes=split_bytes, split_seconds=self._split_seconds
        )
        if lease is None:
            source.leave()
        return lease, source

    def _fetch(self, index: int, lease: Lease, source: Source, buffer: memoryview) -> None:
        """Fetch a lease, and what follows it where the origin sends the whole file anyway."""
        current: Lease | None = lease
        stream: Stream | None = None
        try:
            stream, skip = source.open(lease.start, lease.end)
            if (host := source.take_news()) is not None:
                notice = Notice(Kind.RESOLVED, f"{source.name}: the bytes come from {host}")
                self._around.notices.put(notice)
            position = lease.start - skip
            while current is not None:
                self._streams[index] = (stream, current)
                _discard(stream, current.start - position, buffer, self._stop)
                self._receive(stream, current, source, buffer)
                position = current.position
                self._board.release(current)
                following = None
                if not source.ranges and position == current.end:
                    following = self._board.acquire_after(position, source.tag, time.monotonic())
                current = following
        except RequestError as error:
            if not self._stop.is_set():
                source.take_failure(error.verdict)  # before others may take the stretch over
            raise
        finally:
            if current is not None:
                self._board.release(current)
            self._streams.pop(index, None)
            if stream is not None:
                if self._stop.is_set():
                    stream.abort()
                stream.close()

    def _receive(self, stream: Stream, lease: Lease, source: Source, buffer: memoryview) -> None:
        """Read a lease's bytes to its end, checking and writing each read at its place."""
        began, before = time.monotonic(), lease.position
        limit = self._around.limit
        most = limit.quantum(len(buffer))
        try:
            while reserved := self._board.reserve(lease, most):
                count, crc = 0, lease.crc
                try:
                    limit.wait(self._stop)
                    got = stream.read_into(buffer[:reserved])
                    limit.spend(got)
                    self._check_first(lease, got, buffer)
                    crc = zlib.crc32(buffer[:got], crc)
                    self._sink.write(lease.position, buffer[:got])
                    count = got
                finally:
                    self._board.advance(lease, reserved, count, crc)
                self._last_progress = time.monotonic()
        finally:
            moved = lease.position - before
            if moved:
                source.praise(moved, time.monotonic() - began)

    def _check_first(self, lease: Lease, got: int, buffer: memoryview) -> None:
        """Refuse an early end, and content whose first bytes show that it is another file."""
        whole = self._board.coverage.size_bytes
        if got == 0 or (lease.position == 0 and got < min(_PREFIX_BYTES, whole, lease.end)):
            raise RequestError(Verdict(Action.RETRY, "the connection was closed early"))
        if lease.position == 0 and self._check_prefix is not None:
            wrong = self._check_prefix(bytes(buffer[:got]))
            if wrong is not None:
                fault = Fault.PORTAL if wrong.is_page else Fault.CONTENT
                raise RequestError(
                    Verdict(Action.RESOLVE, f"unexpected content: {wrong.reason}", fault)
                )

    def _take_failure(self, source: Source, verdict: Verdict, failures: int) -> None:
        if self._stop.is_set():
            return
        around = self._around
        around.retries += 1
        seconds = backoff(failures, self._options)
        text = f"{source.name}: {verdict.reason}"
        notice = Notice(Kind.RETRY, text, seconds)
        if verdict.action is Action.WAIT:
            seconds = 0.0  # nobody chooses this origin before its time
            wait = max(0.0, source.resumes_at - time.monotonic())
            notice = Notice(Kind.WAIT, text, wait)
        elif verdict.action in {Action.RESOLVE, Action.AGAIN} and failures == 1:
            seconds = 0.0
        if source.dropped is not None:
            notice = Notice(Kind.DROPPED, f"{source.name}: {source.dropped.reason}")
        around.notices.put(notice)
        self._stop.wait(seconds)


def _discard(stream: Stream, size_bytes: int, buffer: memoryview, stop: threading.Event) -> None:
    while size_bytes > 0 and not stop.is_set():
        got = stream.read_into(buffer[: min(size_bytes, len(buffer))])
        if got == 0:
            raise RequestError(Verdict(Action.RETRY, "the connection was closed early"))
        size_bytes -= got


def _pressed() -> bool:
    """Whether tasks of this machine wait for memory."""
    try:
        text = Path("/proc/pressure/memory").read_text(encoding="ascii")
    except OSError:
        return False
    return memory_pressure(text) > _PRESSED_PERCENT
