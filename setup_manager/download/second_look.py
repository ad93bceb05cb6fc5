"""What to do when everything is here and the digest is wrong.

First this disk is suspected: spans whose bytes are no longer those that were written are fetched
again, and only those. If the disk is clean, bytes came wrong. Nothing says which, so chunks are
fetched a second time, without being stored, and compared by check value: the least trusted
first (another tool's bytes, then mirrors), from another origin where there is one, and only
until the file is right. A chunk that differs is fetched for good. What is still wrong after every
chunk was looked at twice is refused: the cost is bounded by the file's length.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, islice

from setup_manager.catalog import Artifact
from setup_manager.download.assembly import Assembly, Watch
from setup_manager.download.board import Board
from setup_manager.download.chunks import ADOPTED, FOUND, Coverage, Span, grid, joined_crc
from setup_manager.download.events import Kind
from setup_manager.download.failures import wrong_content
from setup_manager.download.hashing import damaged_spans
from setup_manager.download.transfer import Notice, Transfer
from setup_manager.net import Fault

_BATCH = 8
_DISK_ROUNDS = 2


class _Nowhere:
    """A sink that keeps nothing: the bytes are only compared."""

    def write(self, offset: int, view: memoryview) -> None:
        """Leave the bytes."""

    def keep(self, spans: list[Span]) -> None:
        """Leave the spans to the board."""


class SecondLook:
    """Finds and replaces what is wrong in a complete partial.

    Args:
        artifact: What the file must be.
        assembly: The partial.
        watch: Called often, as in `Transfer.run`.
    """

    def __init__(self, artifact: Artifact, assembly: Assembly, watch: Watch) -> None:
        self._artifact = artifact
        self._assembly = assembly
        self._watch = watch
        self._differing = 0
        self.fetched_bytes = 0

    @property
    def _right(self) -> bool:
        return self._assembly.digest == self._artifact.sha256

    def run(self) -> None:
        """Return when the digest is right.

        Raises:
            VerificationFailedError: If it stays wrong; the partial is then gone.
        """
        for _ in range(_DISK_ROUNDS):
            if not self._replace_damaged_here():
                break
            if self._right:
                return
        if not self._replace_wrong():
            actual = self._assembly.digest
            self._assembly.held.drop()
            detail = f"{self._differing} chunks differed on the second download"
            raise wrong_content(self._artifact, actual, [detail])

    def _replace_damaged_here(self) -> bool:
        """Fetch again what changed on this disk; False if nothing did."""
        assembly = self._assembly
        spans = list(assembly.board.coverage.spans())
        damaged = damaged_spans(assembly.held, spans, assembly.around.cancel.is_set)
        if damaged:
            self._tell([(span.start, span.end) for span in damaged], "were damaged on this disk")
            assembly.refetch([(span.start, span.end) for span in damaged], self._watch, None)
        return bool(damaged)

    def _replace_wrong(self) -> bool:
        """Look at chunks a second time until the digest is right; False if it never is."""
        for source, chunks in self._suspects():
            while batch := list(islice(chunks, _BATCH)):
                differing = self._compare(batch, avoid=source)
                if not differing:
                    continue
                self._differing += len(differing)
                self._tell(differing, "differed on the second download")
                self._assembly.refetch(differing, self._watch, source)
                if self._right:
                    self._blame(source)
                    return True
        return False

    def _suspects(self) -> Iterator[tuple[str, Iterator[tuple[int, int]]]]:
        """Yield chunks by where their bytes came from, the least trusted source first."""
        board = self._assembly.board
        authority = self._assembly.sources[0].tag if self._assembly.sources else ""
        trust = {ADOPTED: 0, FOUND: 0, authority: 2}
        found = []
        for start, end in grid(board.coverage.size_bytes, board.coverage.chunk_bytes):
            spans = board.coverage.spans_of_chunk(start)
            source = min((span.source for span in spans), key=lambda tag: trust.get(tag, 1))
            found.append((trust.get(source, 1), source, start, end))
        found.sort()
        for (_, source), group in groupby(found, key=lambda item: item[:2]):
            yield source, iter([(start, end) for _, _, start, end in group])

    def _compare(self, chunks: list[tuple[int, int]], avoid: str) -> list[tuple[int, int]]:
        """Fetch chunks without storing them; return those whose check value differs."""
        assembly = self._assembly
        stored = assembly.board.coverage
        coverage = Coverage(stored.size_bytes, stored.chunk_bytes)
        board = Board(coverage, chunks, assembly.board.window_bytes)
        transfer = Transfer(
            board, _Nowhere(), assembly.sources, assembly.around, avoid=avoid, split=False
        )
        try:
            transfer.run(self._watch)
        finally:
            self.fetched_bytes += board.fetched_bytes
            assembly.stragglers = assembly.stragglers or transfer.stragglers
        return [
            (start, end)
            for start, end in chunks
            if _chunk_crc(stored, start) != _chunk_crc(coverage, start)
        ]

    def _blame(self, tag: str) -> None:
        """Do not ask an origin again that sent wrong bytes, if there is another."""
        sources = [source for source in self._assembly.sources if source.dropped is None]
        for source in sources:
            if source.tag == tag and len(sources) > 1:
                source.drop("it sent wrong bytes", Fault.CONTENT)
                text = f"{source.name}: it sent wrong bytes"
                self._assembly.around.notices.put(Notice(Kind.DROPPED, text))

    def _tell(self, ranges: list[tuple[int, int]], what: str) -> None:
        names = ", ".join(f"{start} to {end - 1}" for start, end in ranges[:5])
        more = f" and {len(ranges) - 5} more" if len(ranges) > 5 else ""
        text = f"bytes {names}{more} {what}"
        self._assembly.around.notices.put(Notice(Kind.DAMAGED, text))


def _chunk_crc(coverage: Coverage, start: int) -> int:
    crc = 0
    for span in coverage.spans_of_chunk(start):
        crc = joined_crc(crc, span.crc, span.size_bytes)
    return crc
