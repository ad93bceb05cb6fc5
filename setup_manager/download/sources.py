"""Origins while a file is fetched: how fast each is, whether it may be asked, and when."""

from __future__ import annotations

import random
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import replace

from setup_manager.catalog import Artifact
from setup_manager.download.job import DownloadOptions
from setup_manager.errors import SetupError
from setup_manager.net import Action, Fault, Origin, RequestError, Stream, Transport, Verdict
from setup_manager.units import format_size

# How often in a row an origin may give an address that is no good, or content that is wrong.
_STRIKES = 4
_WRONG_CONTENT_STRIKES = 2
_WRONG_CONTENT = frozenset({Fault.CONTENT, Fault.PORTAL})


class Source:
    """One origin of one file. Threads share it.

    Attributes:
        asked: What is asked of whom, for an error; its endpoint is the name to show.
        tag: Short name in the journal.
        rate: Bytes per second of one connection, as seen lately; 0 if unknown.
        resumes_at: Until when the origin asked to be left alone, on the engine's clock.
        last: What the last request that failed meant, or None.
        dropped: The verdict that ended it, or None.
        doubtful: Whether wrong content came from it; others are preferred for good.
        ranges: Whether it serves ranges; None until the first answer. Until it is known to,
            it gets one connection only.
    """

    def __init__(
        self, origin: Origin, artifact: Artifact, transport: Transport, options: DownloadOptions
    ) -> None:
        self.asked = origin.asked(artifact.repository, artifact.commit, artifact.path)
        self.tag = f"{zlib.crc32(origin.endpoint.encode()):08x}"
        self.rate = 0.0
        self.resumes_at = 0.0
        self.last: Verdict | None = None
        self.dropped: Verdict | None = None
        self.doubtful = False
        self.ranges: bool | None = None
        self._file = origin.file(artifact, transport)
        self._options = options
        self._size_bytes = artifact.size_bytes
        self._lock = threading.Lock()
        self._active = 0
        self._strikes = 0
        self._pauses = 0
        self._told = 0

    @property
    def name(self) -> str:
        """Its address, as it may be shown."""
        return self.asked.endpoint

    @property
    def is_misset(self) -> bool:
        """Whether it never answered and a setting decided how it is reached.

        Waiting does not help there: the setting has to be corrected.
        """
        by_setting = self.asked.variable or (self.last is not None and self.last.variable)
        return bool(by_setting) and not self._file.answered

    @property
    def verdict(self) -> Verdict:
        """What is wrong with it, as far as is known."""
        if self._file.answered:
            unknown = Verdict(Action.RETRY, "no answer")
        else:
            unknown = Verdict(Action.RETRY, "no answer", Fault.UNREACHABLE)
        return self.dropped or self.last or unknown

    def open(self, start: int, end: int) -> tuple[Stream, int]:
        """Ask for bytes.

        Returns:
            The answer and the bytes of its body that come before `start`.

        Raises:
            RequestError: If the answer is not those bytes, or there is none; see `take_failure`.
        """
        if self.dropped is not None:
            raise RequestError(self.dropped)
        stream, accepted = self._file.open(start, end)
        with self._lock:
            self.ranges = accepted.ranges
            if accepted.skip_bytes and self._active > 1:
                stream.abort()
                stream.close()
                raise RequestError(Verdict(Action.RETRY, "the server ignores ranges", Fault.SERVER))
        return stream, accepted.skip_bytes

    def take_news(self) -> str | None:
        """Return the host that has the bytes, once each time it was asked for; else None."""
        with self._lock:
            told, self._told = self._told, self._file.times_resolved
            return self._file.host if self._told > told else None

    def failure(self, facts: Sequence[str], kept_bytes: int) -> SetupError:
        """Make the error for a file that cannot be had.

        Args:
            facts: Why each origin gave nothing.
            kept_bytes: What of the file is here.
        """
        kept = f"kept {format_size(kept_bytes)} of {format_size(self._size_bytes)}"
        return self.verdict.error(self.asked, (*facts, f"{self.asked.path}: {kept}"))

    def enter(self) -> bool:
        """Take a connection to this origin, if it may have one more."""
        with self._lock:
            if self._active and not self.ranges:
                return False
            self._active += 1
            return True

    def leave(self) -> None:
        """Give a connection back."""
        with self._lock:
            self._active -= 1

    def take_failure(self, verdict: Verdict) -> None:
        """Draw the consequences of a request that gave no bytes."""
        with self._lock:
            self.last = verdict
            if verdict.action is Action.RETRY:
                self.rate *= 0.5  # others are preferred until bytes come
            elif verdict.action is Action.RESOLVE:
                self._strike(verdict)
            elif verdict.action is Action.WAIT:
                self._pause(verdict)
            elif verdict.action is Action.DROP:
                self.dropped = self.dropped or verdict

    def _strike(self, verdict: Verdict) -> None:
        wrong = verdict.fault in _WRONG_CONTENT
        self.doubtful = self.doubtful or wrong
        self._strikes += 1
        if self._strikes >= (_WRONG_CONTENT_STRIKES if wrong else _STRIKES):
            self.dropped = self.dropped or replace(verdict, action=Action.DROP)

    def _pause(self, verdict: Verdict) -> None:
        self._pauses += 1
        seconds = verdict.wait_seconds
        if seconds is None:
            seconds = 4 * backoff(self._pauses, self._options)
        if seconds > self._options.longest_wait_seconds:
            reason = f"{verdict.reason}; it asks for a {seconds:.0f} s pause"
            self.dropped = self.dropped or replace(verdict, action=Action.DROP, reason=reason)
        self.resumes_at = time.monotonic() + seconds

    def drop(self, reason: str, fault: Fault) -> None:
        """Do not ask this origin again in this run."""
        self.take_failure(Verdict(Action.DROP, reason, fault))

    def praise(self, size_bytes: int, seconds: float) -> None:
        """Take note of bytes that came: earlier failures are forgiven."""
        with self._lock:
            self._strikes = self._pauses = 0
            if seconds > 0:
                rate = size_bytes / seconds
                self.rate = rate if self.rate == 0 else 0.7 * self.rate + 0.3 * rate


def backoff(failures: int, options: DownloadOptions) -> float:
    """Return the seconds to pause after so many failures in a row: doubling, with jitter."""
    doubled = options.first_backoff_seconds * 2.0 ** min(failures - 1, 16)
    longest = min(options.longest_backoff_seconds, doubled)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  spreads clients, protects nothing


def choose(sources: list[Source], now: float, avoid: str | None = None) -> Source | None:
    """Return the origin to ask next: untried ones in turn, then mostly the fastest.

    One that sent wrong content is asked only where there is no other.

    Args:
        sources: All of the file's.
        now: The engine's clock.
        avoid: Tag of an origin to pass over if there is another.
    """
    fit = [source for source in sources if source.dropped is None and source.resumes_at <= now]
    others = [source for source in fit if source.tag != avoid]
    fit = others or fit
    fit = [source for source in fit if not source.doubtful] or fit
    if len(fit) < 2:
        return fit[0] if fit else None
    untried = [source for source in fit if source.rate == 0]
    if untried and random.random() < 0.5:  # noqa: S311
        return random.choice(untried)  # noqa: S311
    if random.random() < 0.05:  # noqa: S311  speeds change: look at the others now and then
        return random.choice(fit)  # noqa: S311
    return max(fit, key=lambda source: source.rate)
