"""The hub's protocol as tables: an answer's head in, what to do out. No sockets, no clock.

Three questions are answered here. *Asking* about a repository; *resolving*, where a file's bytes
are, which checks that the hub speaks of the same content; *fetching* a range of them.
Sources: RFC 9110 (ranges, conditional requests, Retry-After), the IETF draft on RateLimit headers,
and the behaviour of huggingface.co.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urljoin, urlsplit

from setup_manager.catalog import Artifact
from setup_manager.net.faults import Action, Fault, Verdict

_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LEFT = re.compile(r"[;\s]r=(\d{1,9})")
_RESET = re.compile(r"[;\s]t=(\d{1,6})(?:[;\s]|$)")
_TRANSIENT = frozenset({408, 409, 423, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 530})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Accepted:
    """An answer whose body holds the bytes that were asked for.

    Attributes:
        skip_bytes: Bytes of the body before the first that was asked for.
        ranges: False if the server ignores ranges.
    """

    skip_bytes: int = 0
    ranges: bool = True


@dataclass(frozen=True, slots=True)
class Located:
    """The hub's answer to where a file's bytes are.

    Attributes:
        url: Where to fetch from; may be signed, so it is neither stored nor shown.
        same_origin: Whether the token may go there.
    """

    url: str
    same_origin: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """A redirect of a question, such as for a renamed repository."""

    url: str


def resolve_url(endpoint: str, artifact: Artifact) -> str:
    """Return the URL that a hub resolves a pinned file at."""
    path = quote(artifact.path, safe="/")
    return f"{endpoint.rstrip('/')}/{artifact.repository}/resolve/{artifact.commit}/{path}"


def origin_of(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: what a token belongs to."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or (443 if scheme == "https" else 80)


def strong_etag(headers: Mapping[str, str]) -> str | None:
    """Return the ETag if it may be used in If-Range (RFC 9110, 13.1.5: strong ones only)."""
    etag = headers.get("etag", "").strip()
    return etag if len(etag) > 2 and etag[0] == etag[-1] == '"' else None


def _linked_digest(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("x-linked-etag", "").strip().removeprefix("W/").strip('"').lower()
    return etag if _DIGEST.fullmatch(etag) else None


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds a server asks to wait, or None.

    Retry-After (RFC 9110, 10.2.3) says when to ask again; RateLimit
    (draft-ietf-httpapi-ratelimit-headers) says when a quota that is used up (``r=0``) starts anew.
    Where both are given the later moment counts: before it one of the two would refuse.

    Args:
        headers: With lower-case names.
        now: Seconds since the epoch, to turn a date into a duration.
    """
    waits = [*_retry_after_field(headers.get("retry-after", "").strip(), now)]
    for quota in headers.get("ratelimit", "").split(","):
        left, reset = _LEFT.search(f";{quota}"), _RESET.search(f";{quota}")
        if reset and (left is None or int(left[1]) == 0):
            waits.append(float(reset[1]))
    return max(waits, default=None)


def _retry_after_field(value: str, now: float) -> Iterator[float]:
    if value.isascii() and value.isdigit() and len(value) < 10:
        yield float(value)
    elif value:
        with suppress(ValueError, TypeError, OverflowError):
            yield max(0.0, parsedate_to_datetime(value).timestamp() - now)


def _common(status: int, headers: Mapping[str, str], now: float) -> Verdict | None:
    """Judge what means the same wherever it is answered."""
    wait = retry_after(headers, now)
    if status == 429:
        return Verdict(Action.WAIT, "too many requests (429)", Fault.QUOTA, wait)
    if status in _TRANSIENT:
        action = Action.WAIT if wait is not None else Action.RETRY
        return Verdict(action, f"the server answered {status}", Fault.SERVER, wait)
    if status == 407:
        return Verdict(Action.DROP, "the proxy requires a user name and a password", Fault.PROXY)
    if status == 511:
        return Verdict(Action.DROP, "this network requires a login", Fault.PORTAL)
    return None


def _is_page(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").split(";")[0].strip().lower() in {
        "text/html",
        "application/xhtml+xml",
    }


_CODES = {
    "GatedRepo": (Fault.GATED, "the licence was not accepted with this account"),
    "RepoNotFound": (Fault.REPOSITORY, "no such repository, or it is private"),
    "RevisionNotFound": (Fault.REVISION, "the repository has no such revision"),
    "EntryNotFound": (Fault.MISSING, "the repository has no such file"),
}
_DENIED = frozenset({401, 403, 404, 410, 451})


def _denied(status: int, headers: Mapping[str, str], *, authorized: bool) -> Verdict:
    """Judge the refusal of a hub by its X-Error-Code.

    Without a code, the hub answers 401 to a token that it does not know, and to those who ask
    without one for what is missing or private.

    Args:
        status: Of the answer.
        headers: Of the answer, names in lower case.
        authorized: Whether a token was sent.
    """
    code = headers.get("x-error-code", "")
    message = headers.get("x-error-message", "")[:200]
    if code in _CODES:
        fault, reason = _CODES[code]
    elif status in {404, 410}:
        fault, reason = Fault.MISSING, f"the server answered {status}"
    elif status == 401 and authorized:
        fault, reason = Fault.TOKEN, "the token is not valid; it may have expired"
    elif status == 401:
        fault, reason = Fault.REPOSITORY, "no such repository, or it is private (401)"
    else:
        fault, reason = Fault.ACCESS, f"the server answered {status}"
    return Verdict(Action.DROP, f"{reason}: {message}" if message else reason, fault)


def judge_answer(
    status: int, headers: Mapping[str, str], *, url: str, authorized: bool, now: float
) -> Verdict | Moved | None:
    """Judge a hub's answer to a question about a repository; None if its body is the answer.

    Args:
        status: Of the answer.
        headers: Of the answer, names in lower case.
        url: That was asked.
        authorized: Whether a token was sent.
        now: Seconds since the epoch.
    """
    common = _common(status, headers, now)
    if common is not None:
        return common
    if status in _REDIRECTS:
        return _moved_answer(headers, url)
    if status in _DENIED:
        verdict = _denied(status, headers, authorized=authorized)
        missing = verdict.fault is Fault.MISSING
        return replace(verdict, fault=Fault.REPOSITORY) if missing else verdict
    if status != 200:
        return Verdict(Action.DROP, f"the server answered {status}", Fault.SERVER)
    if _is_page(headers):
        return Verdict(Action.DROP, "a web page: a login page of this network?", Fault.PORTAL)
    return None


def _moved_answer(headers: Mapping[str, str], url: str) -> Verdict | Moved:
    """Follow a hub to a repository's right name, or to the hub's own."""
    location = headers.get("location", "")
    target = _safe_target(url, location) if location else None
    if target is None:
        return Verdict(Action.DROP, "a redirect to an unsafe address", Fault.INSECURE)
    return Moved(target)


def check_identity(headers: Mapping[str, str], artifact: Artifact) -> Verdict | None:
    """Cross-check what a hub says of a file against what it must be; None if nothing differs."""
    pairs = (
        ("digest", _linked_digest(headers), artifact.sha256),
        ("size", headers.get("x-linked-size"), str(artifact.size_bytes)),
        ("commit", headers.get("x-repo-commit"), artifact.commit),
    )
    for name, said, expected in pairs:
        if said is not None and said != expected:
            reason = f"the server reports another {name}: expected {expected}, got {said}"
            return Verdict(Action.DROP, reason, Fault.IDENTITY)
    return None


def judge_resolve(
    status: int,
    headers: Mapping[str, str],
    *,
    url: str,
    endpoint: str,
    artifact: Artifact,
    authorized: bool,
    now: float,
) -> Verdict | Located | Moved:
    """Judge a hub's answer to a resolve request that was not followed.

    Args:
        status: Of the answer.
        headers: Of the answer, names in lower case.
        url: That was asked.
        endpoint: Base URL of the hub.
        artifact: What the file must be.
        authorized: Whether a token was sent.
        now: Seconds since the epoch.
    """
    common = _common(status, headers, now)
    if common is not None:
        return common
    if status in _REDIRECTS:
        return _redirected(headers, url=url, endpoint=endpoint, artifact=artifact)
    if status == 200:
        return _direct(headers, url=url, endpoint=endpoint, artifact=artifact)
    if status in _DENIED:
        return _denied(status, headers, authorized=authorized)
    return Verdict(Action.DROP, f"the server answered {status}", Fault.SERVER)


def _redirected(
    headers: Mapping[str, str], *, url: str, endpoint: str, artifact: Artifact
) -> Verdict | Located | Moved:
    location = headers.get("location", "")
    if not location:
        return Verdict(Action.RETRY, "a redirect without a target", Fault.SERVER)
    target = _safe_target(url, location)
    if target is None:
        return Verdict(Action.DROP, "a redirect from https to an unsafe address", Fault.INSECURE)
    wrong = check_identity(headers, artifact)
    if wrong is not None:
        return wrong
    same = origin_of(target) == origin_of(endpoint)
    if same and "x-linked-etag" not in headers:
        return Moved(target)
    return Located(target, same)


def _direct(
    headers: Mapping[str, str], *, url: str, endpoint: str, artifact: Artifact
) -> Verdict | Located:
    wrong = check_identity(headers, artifact)
    if wrong is not None:
        return wrong
    length = headers.get("content-length")
    if length is not None and length.isdigit() and int(length) != artifact.size_bytes:
        other = _other_content(headers, f"it is {length} bytes long, not {artifact.size_bytes}")
        # The hub itself sends no pages: asking again would bring the same.
        return replace(other, action=Action.DROP) if other.fault is Fault.PORTAL else other
    return Located(url, origin_of(url) == origin_of(endpoint))


def _other_content(headers: Mapping[str, str], what: str) -> Verdict:
    if _is_page(headers):
        reason = "a web page instead of the file: a login page of this network?"
        return Verdict(Action.RESOLVE, reason, Fault.PORTAL)
    return Verdict(Action.RESOLVE, f"unexpected content: {what}", Fault.CONTENT)


def next_hop(status: int, headers: Mapping[str, str], url: str) -> str | None:
    """Return where an answer sends a request for bytes on to, if that is safe to follow."""
    if status not in _REDIRECTS or not headers.get("location"):
        return None
    return _safe_target(url, headers["location"])


def _safe_target(url: str, location: str) -> str | None:
    """Return the address of a redirect; None if it leaves https or HTTP."""
    try:
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme.lower()
    except ValueError:
        return None
    if scheme == "https" or (scheme == "http" and not url.lower().startswith("https:")):
        return target
    return None


@dataclass(frozen=True, slots=True)
class Range:
    """A request for bytes.

    Attributes:
        start: First byte.
        end: One past the last.
        size_bytes: Length that the whole file must have.
        etag: Strong validator sent in If-Range, or None.
        whole: Ask for the file from its first byte, of a server that is no good at ranges.
    """

    start: int
    end: int
    size_bytes: int
    etag: str | None = None
    whole: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers."""
        if self.whole:
            return {}
        headers = {"Range": f"bytes={self.start}-{self.end - 1}"}
        if self.etag is not None:
            headers["If-Range"] = self.etag
        return headers


def judge_content(
    status: int,
    headers: Mapping[str, str],
    asked: Range,
    *,
    from_hub: bool,
    authorized: bool,
    now: float,
) -> Verdict | Accepted:
    """Judge the answer to a request for bytes.

    Args:
        status: Of the answer.
        headers: Of the answer, names in lower case.
        asked: The request.
        from_hub: Whether the hub itself answered; then 401, 403 and 404 mean what they say.
        authorized: Whether a token was sent.
        now: Seconds since the epoch.
    """
    common = _common(status, headers, now)
    if common is not None:
        return common
    if status in _DENIED:
        if from_hub:
            return _denied(status, headers, authorized=authorized)
        reason = f"the address has expired ({status})"
        return Verdict(Action.RESOLVE, reason, Fault.SERVER)
    if status in _REDIRECTS:
        return Verdict(Action.RESOLVE, "the address moved", Fault.SERVER)
    if status == 416:
        return Verdict(Action.RESOLVE, "the server does not have that range (416)", Fault.CONTENT)
    if status not in {200, 206}:
        return Verdict(Action.DROP, f"the server answered {status}", Fault.SERVER)
    return _judge_body(status, headers, asked)


def _judge_body(status: int, headers: Mapping[str, str], asked: Range) -> Verdict | Accepted:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        return Verdict(Action.RESOLVE, f"a compressed answer ({encoding})", Fault.SERVER)
    etag = strong_etag(headers)
    if asked.etag is not None and etag is not None and etag != asked.etag:
        return Verdict(Action.RESOLVE, "the content changed at the source", Fault.CONTENT)
    return _judge_whole(headers, asked) if status == 200 else _judge_part(headers, asked)


def _judge_whole(headers: Mapping[str, str], asked: Range) -> Verdict | Accepted:
    """Judge a 200: the whole file from its first byte, never to be put at the range's place."""
    length = headers.get("content-length")
    if length is not None and length.isdigit() and int(length) != asked.size_bytes:
        return _other_content(headers, f"it is {length} bytes long, not {asked.size_bytes}")
    return Accepted(skip_bytes=asked.start, ranges=False)


def _judge_part(headers: Mapping[str, str], asked: Range) -> Verdict | Accepted:
    match = _RANGE.fullmatch(headers.get("content-range", "").strip())
    if match is None:
        # Asked without a range it may give the whole file, which needs no word of where it starts.
        action = Action.DROP if asked.whole else Action.AGAIN
        return Verdict(action, "a partial answer without a Content-Range", Fault.SERVER)
    start, total = int(match[1]), match[3]
    if total not in {"*", str(asked.size_bytes)}:
        return _other_content(headers, f"it is {total} bytes long, not {asked.size_bytes}")
    if start != asked.start:
        reason = f"the wrong part: from byte {start}, not {asked.start}"
        return Verdict(Action.RESOLVE, reason, Fault.SERVER)
    return Accepted()
