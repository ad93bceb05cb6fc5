"""A partial being completed: its board, its hash and its journal, run as often as needed."""

from __future__ import annotations

from collections.abc import Callable

from setup_manager.download.board import Board
from setup_manager.download.chunks import Coverage, Span
from setup_manager.download.events import Kind
from setup_manager.download.hashing import Hasher
from setup_manager.download.sources import Source
from setup_manager.download.store import PartialFile
from setup_manager.download.transfer import Notice, Surroundings, Transfer
from setup_manager.gguf import WrongStart
from setup_manager.units import MIB

_WINDOW_CHUNKS = 2
_FORGET_BYTES = 8 * MIB
_KEPT_PAGES_BYTES = 256 * MIB

Watch = Callable[[int], None]


class Assembly:
    """Completes one partial.

    Attributes:
        board: Which bytes are there and who fetches the others.
        held: The partial and its journal.
        stragglers: Whether a thread outlived a transfer; then the files stay open.

    Args:
        held: The partial.
        coverage: What of it counts.
        sources: Where the rest comes from.
        around: Options and what is shared.
        check_prefix: Looks at the first bytes.
    """

    def __init__(
        self,
        held: PartialFile,
        coverage: Coverage,
        sources: list[Source],
        around: Surroundings,
        check_prefix: Callable[[bytes], WrongStart | None] | None,
    ) -> None:
        self.held = held
        self.sources = sources
        self.around = around
        self.stragglers = False
        self.board = Board(coverage, coverage.missing(), _WINDOW_CHUNKS * coverage.chunk_bytes)
        self._check_prefix = check_prefix
        self._forgotten = 0
        self._hasher = Hasher(
            self.board,
            held,
            inherited={span.start: span for span in coverage.spans()},
            on_damage=self._replace_damaged,
            on_hashed=self._forget_hashed,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of what was hashed; of the whole file after `run`."""
        return self._hasher.hexdigest()

    def run(self, watch: Watch, avoid: str | None = None) -> None:
        """Fetch what is missing and hash up to the end; see `Transfer.run`."""
        transfer = Transfer(
            self.board,
            self,
            self.sources,
            self.around,
            hasher=self._hasher,
            check_prefix=self._check_prefix,
            avoid=avoid,
        )
        try:
            transfer.run(watch)
        finally:
            self.stragglers = self.stragglers or transfer.stragglers

    def refetch(self, ranges: list[tuple[int, int]], watch: Watch, avoid: str | None) -> None:
        """Fetch ranges again and hash from the first of them on."""
        for start, end in ranges:
            self.board.withdraw(start, end)
        self._rewrite_journal()
        self._hasher.rewind(min(start for start, _ in ranges))
        self.run(watch, avoid)

    # The sink of the transfer

    def write(self, offset: int, view: memoryview) -> None:
        """Put bytes at their place."""
        self.held.write(offset, view)

    def keep(self, spans: list[Span]) -> None:
        """Sync and journal spans; pages that the hash will not reach soon may go."""
        self.held.keep(spans)
        for span in spans:
            if span.start > self._hasher.position + _KEPT_PAGES_BYTES:
                self.held.forget(span.start, span.end)

    # Called by the hash thread

    def _forget_hashed(self, position: int) -> None:
        """Let pages go that are hashed and synced."""
        if position - self._forgotten < _FORGET_BYTES:
            return
        with self.board.changed:
            end = min(position, self.board.coverage.run_end(self._forgotten))
        if end - self._forgotten >= _FORGET_BYTES:
            self.held.forget(self._forgotten, end)
            self._forgotten = end

    def _replace_damaged(self, span: Span) -> int:
        gone = self.board.withdraw(span.start, span.end)
        self._rewrite_journal()
        text = f"bytes {span.start} to {span.end - 1} were damaged on this disk"
        self.around.notices.put(Notice(Kind.DAMAGED, text))
        return min((other.start for other in gone), default=span.start)

    def _rewrite_journal(self) -> None:
        with self.board.changed:
            self.held.rewrite(self.board.coverage)
