"""Origins while a file is fetched: where each has the bytes, how fast it is, whether it is fit.

An origin is resolved once for all connections and again when its signed address expires. The
address is held in memory only.
"""

from __future__ import annotations

import random
import threading
import time
import zlib
from dataclasses import dataclass, replace

from setup_manager.catalog import Artifact
from setup_manager.download.job import DownloadOptions, Origin
from setup_manager.net import (
    Action,
    Fault,
    Located,
    Moved,
    Range,
    Stream,
    Transport,
    Verdict,
    judge_content,
    judge_resolve,
    next_hop,
    origin_of,
    resolve_url,
    shown,
    strong_etag,
)

_STRIKES = 4
_HOPS = 5


class SourceError(Exception):
    """A request that gave no bytes, with what to do about it."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class _Address:
    located: Located
    etag: str | None


class Source:
    """One origin of one file. Threads share it.

    Attributes:
        tag: Short name in the journal.
        name: Host as it may be shown.
        last_reason: What went wrong last.
        rate: Bytes per second of one connection, as seen lately; 0 if unknown.
        resumes_at: Until when the origin asked to be left alone, on the engine's clock.
        dropped: The verdict that ended it, or None.
        ranges: Whether it serves ranges; None until the first answer. Until it is known to,
            it gets one connection only.
    """

    def __init__(
        self, origin: Origin, artifact: Artifact, transport: Transport, options: DownloadOptions
    ) -> None:
        self.tag = f"{zlib.crc32(origin.endpoint.encode()):08x}"
        self.name = shown(origin.endpoint)
        self.resumes_at = 0.0
        self.dropped: Verdict | None = None
        self.ranges: bool | None = None
        self._active = 0
        self.rate = 0.0
        self.last_reason = ""
        self._origin = origin
        self._artifact = artifact
        self._transport = transport
        self._options = options
        self._lock = threading.Lock()
        self._resolving = threading.Lock()
        self._address: _Address | None = None
        self._strikes = 0
        self._pauses = 0

    def open(self, start: int, end: int) -> tuple[Stream, int]:
        """Ask for bytes.

        Returns:
            The answer and the bytes of its body that come before `start`.

        Raises:
            SourceError: If the answer is not those bytes; the source has already drawn the
                consequences.
            TransportError: If there was no answer.
        """
        address = self._resolve()
        asked = Range(start, end, self._artifact.size_bytes, address.etag)
        stream, address = self._ask_for(asked, address)
        verdict = judge_content(
            stream.status,
            stream.headers,
            asked,
            from_hub=address.located.same_origin,
            now=time.time(),
        )
        if verdict.action is not Action.ACCEPT:
            stream.abort()
            stream.close()
            self._draw(verdict, address)
            raise SourceError(verdict)
        self._accept(stream, address, verdict)
        return stream, verdict.skip_bytes

    def _ask_for(self, asked: Range, address: _Address) -> tuple[Stream, _Address]:
        """Send a request for bytes; an address that sends it on is replaced for all."""
        for _ in range(_HOPS):
            url = address.located.url
            stream = self._transport.request("GET", url, asked.headers | self._token_header(url))
            target = next_hop(stream.status, stream.headers, url)
            if target is None:
                break
            stream.abort()
            stream.close()
            same_origin = origin_of(target) == origin_of(self._origin.endpoint)
            moved = _Address(Located(target, same_origin), address.etag)
            with self._lock:
                if self._address is address:
                    self._address = moved
            address = moved
        return stream, address

    def _accept(self, stream: Stream, address: _Address, verdict: Verdict) -> None:
        with self._lock:
            self.ranges = verdict.ranges
            if verdict.skip_bytes and self._active > 1:
                stream.abort()
                stream.close()
                raise SourceError(Verdict(Action.RETRY, "the server ignores ranges", Fault.SERVER))
            if self._address is address and address.etag is None:
                self._address = _Address(address.located, strong_etag(stream.headers))

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

    def _token_header(self, url: str) -> dict[str, str]:
        """Return the token for the hub's own scheme, host and port, and nothing elsewhere."""
        token = self._origin.token
        if token is None or origin_of(url) != origin_of(self._origin.endpoint):
            return {}
        return {"Authorization": f"Bearer {token}"}

    def _resolve(self) -> _Address:
        with self._resolving:
            if self.dropped is not None:
                raise SourceError(self.dropped)
            address = self._address
            if address is None:
                address = self._address = _Address(self._locate(), None)
            return address

    def _locate(self) -> Located:
        origin = self._origin
        url = origin.file_url or resolve_url(origin.endpoint, self._artifact)
        for _ in range(_HOPS):
            found = self._ask(url)
            if isinstance(found, Located):
                return found
            if isinstance(found, Verdict):
                self._apply(found)
                raise SourceError(found)
            url = found.url
        verdict = Verdict(Action.DROP, "too many redirects", Fault.SERVER)
        self._apply(verdict)
        raise SourceError(verdict)

    def _ask(self, url: str) -> Verdict | Located | Moved:
        headers = self._token_header(url)
        stream = self._transport.request("HEAD", url, headers)
        stream.close()
        if stream.status in {405, 501}:  # a mirror that knows no HEAD
            stream = self._transport.request("GET", url, headers)
            stream.abort()
            stream.close()
        return judge_resolve(
            stream.status,
            stream.headers,
            url=url,
            endpoint=self._origin.endpoint,
            artifact=self._artifact,
            now=time.time(),
        )

    def _draw(self, verdict: Verdict, address: _Address) -> None:
        """Draw the consequences of an answer that gave no bytes."""
        with self._lock:
            if verdict.action is Action.RESOLVE:
                if self._address is not address:
                    return  # another connection has already seen to it
                self._address = None
                self._strikes += 1
                if self._strikes < _STRIKES:
                    return
                verdict = replace(verdict, action=Action.DROP)
            self._apply(verdict)

    def _apply(self, verdict: Verdict) -> None:
        self.last_reason = verdict.reason
        if verdict.action is Action.DROP:
            self.dropped = self.dropped or verdict
        elif verdict.action is Action.WAIT:
            self._pauses += 1
            seconds = verdict.wait_seconds
            if seconds is None:
                seconds = 4 * backoff(self._pauses, self._options)
            if seconds > self._options.longest_wait_seconds:
                reason = f"{verdict.reason}; it wants {seconds:.0f} s of rest"
                self.dropped = Verdict(Action.DROP, reason, verdict.fault)
            self.resumes_at = time.monotonic() + seconds

    def drop(self, reason: str, fault: Fault) -> None:
        """Do not ask this origin again in this run."""
        self.dropped = self.dropped or Verdict(Action.DROP, reason, fault)

    def praise(self, size_bytes: int, seconds: float) -> None:
        """Take note of bytes that came: earlier failures are forgiven."""
        with self._lock:
            self._strikes = self._pauses = 0
            if seconds > 0:
                rate = size_bytes / seconds
                self.rate = rate if self.rate == 0 else 0.7 * self.rate + 0.3 * rate

    def note_failure(self, reason: str) -> None:
        """Take note of a request without an answer: others are preferred until bytes come."""
        self.last_reason = reason
        self.rate *= 0.5


def backoff(failures: int, options: DownloadOptions) -> float:
    """Return the seconds to pause after so many failures in a row: doubling, with jitter."""
    doubled = options.first_backoff_seconds * 2.0 ** min(failures - 1, 16)
    longest = min(options.longest_backoff_seconds, doubled)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  spreads clients, protects nothing


def choose(sources: list[Source], now: float, avoid: str | None = None) -> Source | None:
    """Return the origin to ask next: untried ones in turn, then mostly the fastest.

    Args:
        sources: All of the file's.
        now: The engine's clock.
        avoid: Tag of an origin to pass over if there is another.
    """
    fit = [source for source in sources if source.dropped is None and source.resumes_at <= now]
    others = [source for source in fit if source.tag != avoid]
    fit = others or fit
    if len(fit) < 2:
        return fit[0] if fit else None
    untried = [source for source in fit if source.rate == 0]
    if untried and random.random() < 0.5:  # noqa: S311
        return random.choice(untried)  # noqa: S311
    if random.random() < 0.05:  # noqa: S311  speeds change: look at the others now and then
        return random.choice(fit)  # noqa: S311
    return max(fit, key=lambda source: source.rate)
