"""Ready-made faults for the loopback hub, and ways to say which requests they meet.

A fault is any function ``(Request, Answer) -> Answer``. The makers here return one that meets every
request; `nth`, `first`, `from_nth` and `sometimes` narrow it down, by default to requests for file
content. Counting ones are objects with a count of their own: make a new one for every hub.

>>> faults = [nth(2, reset_after(1000)), sometimes(0.1, seed=1, fault=status(503))]
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs, urlsplit

from tests.support.content import Content
from tests.support.exchange import (
    Answer,
    Fault,
    Kind,
    Request,
    content_answer,
    text_answer,
)
from tests.support.loopback import expired_answer

Match = Callable[[Request], bool]


def content_requests(request: Request) -> bool:
    """Match GET requests for the bytes of a file on the CDN."""
    return request.kind is Kind.CONTENT and request.method == "GET"


def resolve_requests(request: Request) -> bool:
    """Match requests for where a file is."""
    return request.kind is Kind.RESOLVE


def api_requests(request: Request) -> bool:
    """Match requests for metadata."""
    return request.kind is Kind.API


def for_path(path: str, match: Match = content_requests) -> Match:
    """Match requests that concern one file."""
    return lambda request: request.path == path and match(request)


class _Counted:
    """A fault that meets the matching requests whose number (from 1) is chosen."""

    def __init__(self, fault: Fault, match: Match, chosen: Callable[[int], bool]) -> None:
        self._fault = fault
        self._match = match
        self._chosen = chosen
        self._count = 0
        self._lock = threading.Lock()

    def __call__(self, request: Request, answer: Answer) -> Answer:
        if not self._match(request):
            return answer
        with self._lock:
            self._count += 1
            chosen = self._chosen(self._count)
        return self._fault(request, answer) if chosen else answer


def always(fault: Fault, match: Match = content_requests) -> Fault:
    """Meet every matching request."""
    return _Counted(fault, match, lambda _: True)


def nth(number: int, fault: Fault, match: Match = content_requests) -> Fault:
    """Meet only the matching request of this number, from 1."""
    return _Counted(fault, match, lambda count: count == number)


def first(number: int, fault: Fault, match: Match = content_requests) -> Fault:
    """Meet the first so many matching requests."""
    return _Counted(fault, match, lambda count: count <= number)


def from_nth(number: int, fault: Fault, match: Match = content_requests) -> Fault:
    """Meet every matching request from this number on, from 1."""
    return _Counted(fault, match, lambda count: count >= number)


def sometimes(
    probability: float, *, seed: int, fault: Fault, match: Match = content_requests
) -> Fault:
    """Meet matching requests with a probability; the seed fixes which ones by their number."""
    dice = random.Random(seed)
    return _Counted(fault, match, lambda _: dice.random() < probability)


def reset_after(body_bytes: int) -> Fault:
    """Reset the connection after so many bytes of the body, or at its middle if it is shorter."""
    return lambda _, answer: replace(
        answer, reset_after=_within(body_bytes, answer), fault="connection reset"
    )


def close_early(body_bytes: int) -> Fault:
    """Close cleanly after so many bytes of the body, or at its middle if it is shorter."""
    return lambda _, answer: replace(
        answer, close_after=_within(body_bytes, answer), fault="early close"
    )


def _within(body_bytes: int, answer: Answer) -> int:
    return body_bytes if body_bytes < answer.body_bytes else answer.body_bytes // 2


def stall_before_headers(seconds: float) -> Fault:
    """Say nothing for a while, then answer."""
    return lambda _, answer: replace(answer, delay_seconds=seconds, fault="stall before headers")


def stall_in_body(body_bytes: int, seconds: float) -> Fault:
    """Fall silent after so many bytes (or at the middle of a shorter body), then go on."""
    return lambda _, answer: replace(
        answer,
        stall_after=_within(body_bytes, answer),
        stall_seconds=seconds,
        fault="stall",
    )


def trickle(bytes_per_second: float) -> Fault:
    """Send the body slowly."""
    return lambda _, answer: replace(answer, bytes_per_second=bytes_per_second, fault="trickle")


def status(code: int, headers: Mapping[str, str] | None = None, text: str = "") -> Fault:
    """Answer with a status instead."""
    return lambda _request, _answer: replace(
        text_answer(code, text, headers=headers), fault=f"status {code}"
    )


def too_many_requests(seconds: int, *, style: str = "seconds") -> Fault:
    """Answer 429 and say how long to wait.

    Args:
        seconds: The wait.
        style: ``"seconds"`` or ``"date"`` (Retry-After; the date counts from now), ``"ratelimit"``
            (the hub's own headers), or ``"nothing"``.
    """
    headers = {
        "seconds": {"Retry-After": str(seconds)},
        "date": {"Retry-After": _date_in(seconds)},
        "ratelimit": {
            "RateLimit": f'"resolvers";r=0;t={seconds}',
            "RateLimit-Policy": '"fixed window";"resolvers";q=3000;w=300',
        },
        "nothing": {},
    }
    return status(429, headers[style])


def _date_in(seconds: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def refused(seconds: float) -> Fault:
    """Cut every connection to this server and refuse new ones for a while."""
    return lambda _, answer: replace(answer, refuse_seconds=seconds, fault="refused")


def range_ignored() -> Fault:
    """Answer 200 with everything although a range was asked for."""

    def fault(_: Request, answer: Answer) -> Answer:
        size = answer.content.size_bytes
        headers = _without(answer.headers, "Content-Range") | {"Content-Length": str(size)}
        return replace(
            answer, status=200, headers=headers, start=0, stop=size, fault="range ignored"
        )

    return fault


def range_moved(by_bytes: int) -> Fault:
    """Answer 206 from elsewhere, and say so in Content-Range."""

    def fault(_: Request, answer: Answer) -> Answer:
        size = answer.content.size_bytes
        start = max(0, min(answer.start + by_bytes, size - 1))
        stop = min(size, start + answer.body_bytes)
        headers = dict(answer.headers) | {
            "Content-Range": f"bytes {start}-{stop - 1}/{size}",
            "Content-Length": str(stop - start),
        }
        return replace(
            answer, status=206, headers=headers, start=start, stop=stop, fault="range moved"
        )

    return fault


def wrong_total(size_bytes: int) -> Fault:
    """State another length of the whole file in Content-Range."""

    def fault(_: Request, answer: Answer) -> Answer:
        value = f"bytes {answer.start}-{answer.stop - 1}/{size_bytes}"
        headers = dict(answer.headers) | {"Content-Range": value}
        return replace(answer, headers=headers, fault="wrong total")

    return fault


def encoded(encoding: str = "gzip") -> Fault:
    """Call the answer encoded, which nobody asked for."""
    return with_header("Content-Encoding", encoding)


def with_header(name: str, value: str | None) -> Fault:
    """Set a header field, or leave it out (None)."""

    def fault(_: Request, answer: Answer) -> Answer:
        headers = _without(answer.headers, name)
        if value is not None:
            headers[name] = value
        return replace(answer, headers=headers, fault=f"{name} falsified")

    return fault


def no_length() -> Fault:
    """Leave the length out; the end of the connection ends the body (RFC 9112, 6.3)."""

    def fault(_: Request, answer: Answer) -> Answer:
        headers = _without(answer.headers, "Content-Length") | {"Connection": "close"}
        return replace(answer, headers=headers, fault="no length")

    return fault


def _without(headers: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key.lower() != name.lower()}


def expired() -> Fault:
    """Answer as a CDN does to a signed URL that is no longer good."""
    return lambda _request, _answer: replace(expired_answer(), fault="expired URL")


class UrlsWearOut:
    """Every signed URL is good for so many requests and then expired for ever.

    Args:
        uses: Requests that a URL is good for.
    """

    def __init__(self, uses: int) -> None:
        self._uses = uses
        self._used: dict[str, int] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Request, answer: Answer) -> Answer:
        """Count a use of the URL; refuse it when it is worn out."""
        if not content_requests(request):
            return answer
        signature = parse_qs(urlsplit(request.target).query).get("Signature", [""])[0]
        with self._lock:
            self._used[signature] = self._used.get(signature, 0) + 1
            worn_out = self._used[signature] > self._uses
        return expired()(request, answer) if worn_out else answer


def redirected_to(url: str) -> Fault:
    """Redirect somewhere else: plain http, or a host that must not see the token."""
    return lambda _, answer: replace(
        text_answer(302, headers=_without(answer.headers, "Content-Length") | {"Location": url}),
        fault="redirected elsewhere",
    )


def html_page() -> Fault:
    """Answer 200 with a page, as a proxy or a hotel's login does."""
    page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Welcome</body></html>"
    answer = text_answer(200, page, content_type="text/html; charset=utf-8")
    return lambda _request, _answer: replace(answer, fault="HTML page")


def other_content(content: Content) -> Fault:
    """Serve another file under the same name, with its own entity tag and length."""
    return lambda request, _: replace(
        content_answer(request, content, f'"{content.sha256[:32]}"'), fault="other content"
    )


class FlippedBit:
    """One bit of the content comes wrong.

    Args:
        offset: Byte of the content, from 0.
        times: How many answers that hold the byte have it wrong; None for all of them.
        path: Only in this file of its repository; in every file if None.
    """

    def __init__(self, offset: int, times: int | None = None, path: str | None = None) -> None:
        self._offset = offset
        self._left = times
        self._path = path
        self._lock = threading.Lock()

    def __call__(self, request: Request, answer: Answer) -> Answer:
        """Flip the bit if the answer holds its byte and it is not yet used up."""
        concerns = content_requests(request) and self._path in {None, request.path}
        if not concerns or not answer.start <= self._offset < answer.stop:
            return answer
        with self._lock:
            if self._left == 0:
                return answer
            self._left = None if self._left is None else self._left - 1
        flipped = answer.flipped_offsets | {self._offset}
        return replace(answer, flipped_offsets=flipped, fault="flipped bit")


class BadLine:
    """The line of `rehearse`: it resets twice, stalls once and answers one 503.

    The first four requests for content meet one mishap each, however many connections there are.
    All four always come: after each of the first three the client has to ask again, and the stall,
    which a patient client may sit out, is the last.

    Args:
        reset_bytes: Where the connection is reset, within the body.
        stall_seconds: How long it is silent; longer than the client waits.
    """

    def __init__(self, reset_bytes: int = 64 * 1024, stall_seconds: float = 60.0) -> None:
        mishaps = (
            reset_after(reset_bytes),
            status(503),
            reset_after(reset_bytes),
            stall_in_body(reset_bytes, stall_seconds),
        )
        self._faults = tuple(nth(number, fault) for number, fault in enumerate(mishaps, 1))

    def __call__(self, request: Request, answer: Answer) -> Answer:
        """Play the next mishap that is left."""
        for fault in self._faults:
            answer = fault(request, answer)
        return answer
