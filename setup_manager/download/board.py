"""Who fetches what: the shared state of one transfer, behind one lock.

Bytes go from *pending* to a *lease* (one connection is at them), from there to *written* (in
the page cache) and to *covered* (synced and in the journal). The board knows every stretch in
each state; it does no I/O.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from setup_manager.download.chunks import Coverage, Span, joined_crc, second_crc, split_on_grid
from setup_manager.units import MIB

_ANNOUNCE_BYTES = MIB
"""Bytes written between two calls to those who wait for written bytes."""

BACKLOG_BYTES = 48 * MIB
"""Bytes that may lie ready for the hash before reads wait for it."""


@dataclass(slots=True, eq=False)
class Lease:
    """A stretch that one connection is fetching.

    Attributes:
        start: First byte.
        end: One past the last; moves back when another connection takes the tail over.
        source: Tag of the origin it comes from.
        began: When, on the engine's clock.
        position: How far its bytes are written.
        crc: CRC-32 from `start` to `position`.
        kept_position: How far they are in the journal.
        kept_crc: CRC-32 from `start` to `kept_position`.
    """

    start: int
    end: int
    source: str
    began: float
    position: int = 0
    crc: int = 0
    kept_position: int = 0
    kept_crc: int = 0

    def __post_init__(self) -> None:
        self.position = self.kept_position = self.start

    def rate(self, now: float) -> float:
        """Bytes per second since it began."""
        return (self.position - self.start) / max(now - self.began, 1e-3)


class Board:
    """The stretches of one file and who is at them.

    Args:
        coverage: What is on disk already.
        pending: What is to be fetched.
        window_bytes: Most bytes that may be written or under way without being covered: what a
            kill can cost, and what may lie dirty in the page cache.
    """

    def __init__(
        self, coverage: Coverage, pending: Iterable[tuple[int, int]], window_bytes: int
    ) -> None:
        self.coverage = coverage
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)  # leases, room, end
        self.grown = threading.Condition(self._lock)  # written bytes, for journal and hash
        self.stopped = False
        self.fetched_bytes = 0
        self.held_back = 0  # how often a read waited for the journal or the hash
        self._pending = list(pending)
        heapq.heapify(self._pending)
        self.window_bytes = window_bytes
        self._leases: list[Lease] = []
        self._retired: list[Lease] = []
        self._uncovered = 0
        self._backlog = 0
        self._unannounced = 0
        self._reserved = 0

    # Assignment

    def acquire(
        self, source: str, now: float, *, split_bytes: int, split_seconds: float
    ) -> Lease | None:
        """Take the first pending stretch, or the tail of a slow lease when nothing is pending.

        Args:
            source: Tag of the origin that will be asked.
            now: The engine's clock.
            split_bytes: Smallest tail worth a request of its own.
            split_seconds: Time a lease must still need before its tail is taken.
        """
        with self.changed:
            if self.stopped:
                return None
            if self._pending:
                start, end = heapq.heappop(self._pending)
            elif (tail := self._slow_tail(now, split_bytes, split_seconds)) is not None:
                start, end = tail
            else:
                return None
            lease = Lease(start, end, source, now)
            self._leases.append(lease)
            return lease

    def _slow_tail(self, now: float, split_bytes: int, seconds: float) -> tuple[int, int] | None:
        slowest: Lease | None = None
        longest = seconds
        for lease in self._leases:
            left = lease.end - lease.position
            if left < 2 * split_bytes or now - lease.began < seconds / 2:
                continue
            needed = left / max(lease.rate(now), 1.0)
            if needed > longest:
                slowest, longest = lease, needed
        if slowest is None:
            return None
        middle = slowest.position + (slowest.end - slowest.position) // 2
        tail = (middle, slowest.end)
        slowest.end = middle
        return tail

    def acquire_after(self, position: int, source: str, now: float) -> Lease | None:
        """Take the first pending stretch at or after a position: for a stream without ranges."""
        with self.changed:
            later = [stretch for stretch in self._pending if stretch[0] >= position]
            if self.stopped or not later:
                return None
            start, end = min(later)
            self._pending.remove((start, end))
            heapq.heapify(self._pending)
            lease = Lease(start, end, source, now)
            self._leases.append(lease)
            return lease

    def reserve(self, lease: Lease, most_bytes: int) -> int:
        """Wait for room in the window and take some of it for a read.

        Returns:
            Bytes to read at most; 0 when the lease is at its end or the transfer stopped.
        """
        with self.changed:
            while not self.stopped:
                wanted = min(most_bytes, lease.end - lease.position)
                if wanted <= 0:
                    return 0
                room = self._uncovered + self._reserved + wanted <= self.window_bytes
                if room and self._backlog <= BACKLOG_BYTES:
                    self._reserved += wanted
                    return wanted
                self.held_back += 1
                self.changed.wait(0.2)
            return 0

    def advance(self, lease: Lease, reserved: int, written: int, crc: int) -> None:
        """Give a reservation back and say what was written, with the lease's new CRC-32."""
        with self.changed:
            self._reserved -= reserved
            if written:
                lease.position += written
                lease.crc = crc
                self.fetched_bytes += written
                self._uncovered += written
            self._unannounced += written
            if self._unannounced >= min(_ANNOUNCE_BYTES, self.window_bytes // 16):
                self._unannounced = 0
                self.grown.notify_all()
            self.changed.notify()

    def release(self, lease: Lease) -> None:
        """End a lease; what it did not write is pending again."""
        with self.changed:
            self._leases.remove(lease)
            if lease.position < lease.end:
                heapq.heappush(self._pending, (lease.position, lease.end))
            if lease.kept_position < lease.position:
                self._retired.append(lease)
            self.changed.notify_all()
            self.grown.notify_all()

    def note_backlog(self, size_bytes: int) -> None:
        """Take note of how much lies ready for the hash.

        When it is much, reads wait: the end is not there before the hash is, and a hash that
        need not share its core with reads gets there sooner.
        """
        with self.changed:
            was, self._backlog = self._backlog, size_bytes
            if was > BACKLOG_BYTES >= size_bytes:
                self.changed.notify_all()

    # Durability

    @property
    def uncovered_bytes(self) -> int:
        """Bytes that are written and not yet in the journal."""
        return self._uncovered

    def collect(self) -> list[tuple[Lease, Span]]:
        """Return what was written since the last time, as spans; nothing changes."""
        with self.changed:
            found = []
            for lease in (*self._retired, *self._leases):
                length = lease.position - lease.kept_position
                if length:
                    crc = second_crc(lease.crc, lease.kept_crc, length)
                    span = Span(lease.kept_position, lease.position, crc, lease.source)
                    found.append((lease, span))
            return found

    def settle(self, kept: list[tuple[Lease, Span]]) -> None:
        """Count spans as covered: they were synced and journaled."""
        with self.changed:
            for lease, span in kept:
                lease.kept_crc = joined_crc(lease.kept_crc, span.crc, span.size_bytes)
                lease.kept_position = span.end
                self.coverage.add(span)
                self._uncovered -= span.size_bytes
            self._retired = [x for x in self._retired if x.kept_position < x.position]
            self.changed.notify_all()

    # Questions

    def written_end(self, position: int) -> int:
        """Return up to where the bytes from `position` on are written without a gap."""
        with self.changed:
            while True:
                end = self.coverage.run_end(position)
                for lease in (*self._retired, *self._leases):
                    if lease.start <= end < lease.position:
                        end = lease.position
                if end == position:
                    return end
                position = end

    @property
    def present_bytes(self) -> int:
        """Bytes that are covered or written."""
        return self.coverage.covered_bytes + self._uncovered

    @property
    def complete(self) -> bool:
        """Whether every byte is covered or at least written."""
        with self.changed:
            return not self._pending and not self._leases

    def withdraw(self, start: int, end: int) -> list[Span]:
        """Forget covered spans that touch a range; their bytes are pending again."""
        with self.changed:
            gone = self.coverage.discard(start, end)
            for span in gone:
                for piece in split_on_grid(span.start, span.end, self.coverage.chunk_bytes):
                    heapq.heappush(self._pending, piece)
            self.changed.notify_all()
            return gone

    def start(self) -> None:
        """Let a transfer begin, after an earlier one stopped."""
        self.stopped = False

    def stop(self) -> None:
        """Let every waiting thread end."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
            self.grown.notify_all()
