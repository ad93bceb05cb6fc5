"""The hub's protocol as tables: an answer's head in, what to do out. No sockets, no clock.

Two questions are answered here. *Resolving* asks the hub where a file's bytes are and checks
that it speaks of the same content; *fetching* asks for a range of them. Sources: RFC 9110
(ranges, conditional requests, Retry-After), the IETF draft on RateLimit headers, and the
behaviour of huggingface.co.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum, StrEnum
from urllib.parse import quote, urljoin, urlsplit

from setup_manager.catalog import Artifact

_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RATE_LIMIT = re.compile(r"(?:^|[;,\s])t=(\d{1,6})")
_TRANSIENT = frozenset({408, 409, 423, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 530})


class Action(Enum):
    """What to do after an answer."""

    ACCEPT = "use its bytes"
    RETRY = "ask again after a pause"
    WAIT = "ask again when the server says so"
    RESOLVE = "ask the hub again where the bytes are"
    DROP = "do not ask this origin again"


class Fault(StrEnum):
    """Why an origin cannot give a file; decides which error the user sees."""

    ACCESS = "access"
    GATED = "gated"
    REPOSITORY = "repository"
    MISSING = "missing"
    IDENTITY = "identity"
    CONTENT = "content"
    PORTAL = "portal"
    PROXY = "proxy"
    CERTIFICATE = "certificate"
    INSECURE = "insecure"
    OFFLINE = "offline"
    ADDRESS = "address"
    SERVER = "server"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means.

    Attributes:
        action: What to do.
        reason: Why, for people; holds no URL.
        fault: What is wrong when it is final.
        wait_seconds: How long to wait when the server said so.
        skip_bytes: Bytes of the body before the first that was asked for.
        ranges: False if the server ignores ranges.
    """

    action: Action
    reason: str = ""
    fault: Fault = Fault.NETWORK
    wait_seconds: float | None = None
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
    """A redirect that stays with the hub, such as for a renamed repository."""

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


def shown(url: str) -> str:
    """Return a URL as it may be shown: no user, password, query or fragment."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def strong_etag(headers: Mapping[str, str]) -> str | None:
    """Return the ETag if it may be used in If-Range (RFC 9110, 13.1.5: strong ones only)."""
    etag = headers.get("etag", "").strip()
    return etag if len(etag) > 2 and etag[0] == etag[-1] == '"' else None


def _linked_digest(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("x-linked-etag", "").strip().removeprefix("W/").strip('"').lower()
    return etag if _DIGEST.fullmatch(etag) else None


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds a server asks to wait, from Retry-After or RateLimit, or None.

    Args:
        headers: With lower-case names.
        now: Seconds since the epoch, to turn a date into a duration.
    """
    value = headers.get("retry-after", "").strip()
    if value.isdigit() and len(value) < 10:
        return float(value)
    if value:
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - now)
        except ValueError:
            pass
    match = _RATE_LIMIT.search(headers.get("ratelimit", ""))
    return float(match[1]) if match else None


def _common(status: int, headers: Mapping[str, str], now: float) -> Verdict | None:
    """Judge what means the same wherever it is answered."""
    wait = retry_after(headers, now)
    if status == 429:
        return Verdict(Action.WAIT, "too many requests (429)", Fault.SERVER, wait)
    if status in _TRANSIENT:
        action = Action.WAIT if wait is not None else Action.RETRY
        return Verdict(action, f"the server answered {status}", Fault.SERVER, wait)
    if status == 407:
        return Verdict(Action.DROP, "the proxy wants a user and a password", Fault.PROXY)
    if status == 511:
        return Verdict(Action.DROP, "this network wants a login first", Fault.PORTAL)
    return None


def _is_page(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").split(";")[0].strip().lower() in {
        "text/html",
        "application/xhtml+xml",
    }


def _denied(status: int, headers: Mapping[str, str]) -> Verdict:
    """Judge 401, 403, 404 and 410 of a hub by its X-Error-Code."""
    code = headers.get("x-error-code", "")
    message = headers.get("x-error-message", "")[:200]
    table = {
        "GatedRepo": (Fault.GATED, "the licence was not accepted with this account"),
        "RepoNotFound": (Fault.REPOSITORY, "no such repository, or it is private"),
        "RevisionNotFound": (Fault.MISSING, "the repository has no such revision"),
        "EntryNotFound": (Fault.MISSING, "the repository has no such file"),
    }
    if code in table:
        fault, reason = table[code]
    elif status in {404, 410}:
        fault, reason = Fault.MISSING, f"the server answered {status}"
    elif status == 401:
        fault, reason = Fault.REPOSITORY, "no such repository, or it is private (401)"
    else:
        fault, reason = Fault.ACCESS, f"the server answered {status}"
    return Verdict(Action.DROP, f"{reason}: {message}" if message else reason, fault)


def check_identity(headers: Mapping[str, str], artifact: Artifact) -> Verdict | None:
    """Cross-check what a hub says of a file against what it must be; None if nothing differs."""
    pairs = (
        ("digest", _linked_digest(headers), artifact.sha256),
        ("size", headers.get("x-linked-size"), str(artifact.size_bytes)),
        ("commit", headers.get("x-repo-commit"), artifact.commit),
    )
    for name, said, expected in pairs:
        if said is not None and said != expected:
            reason = f"the server names another {name}: expected {expected}, it says {said}"
            return Verdict(Action.DROP, reason, Fault.IDENTITY)
    return None


def judge_resolve(
    status: int,
    headers: Mapping[str, str],
    *,
    url: str,
    endpoint: str,
    artifact: Artifact,
    now: float,
) -> Verdict | Located | Moved:
    """Judge a hub's answer to a resolve request that was not followed.

    Args:
        status: Of the answer.
        headers: Of the answer, names in lower case.
        url: That was asked.
        endpoint: Base URL of the hub.
        artifact: What the file must be.
        now: Seconds since the epoch.
    """
    common = _common(status, headers, now)
    if common is not None:
        return common
    if status in {301, 302, 303, 307, 308}:
        return _redirected(headers, url=url, endpoint=endpoint, artifact=artifact)
    if status == 200:
        return _direct(headers, url=url, endpoint=endpoint, artifact=artifact)
    if status in {401, 403, 404, 410, 451}:
        return _denied(status, headers)
    return Verdict(Action.DROP, f"the server answered {status}", Fault.SERVER)


def _redirected(
    headers: Mapping[str, str], *, url: str, endpoint: str, artifact: Artifact
) -> Verdict | Located | Moved:
    location = headers.get("location", "")
    if not location:
        return Verdict(Action.RETRY, "a redirect without an address", Fault.SERVER)
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
        return _other_content(headers, f"it is {length} bytes long, not {artifact.size_bytes}")
    return Located(url, origin_of(url) == origin_of(endpoint))


def _other_content(headers: Mapping[str, str], what: str) -> Verdict:
    if _is_page(headers):
        reason = "a web page came instead of the file: a login page of this network?"
        return Verdict(Action.DROP, reason, Fault.PORTAL)
    return Verdict(Action.RESOLVE, f"other content came: {what}", Fault.CONTENT)


def next_hop(status: int, headers: Mapping[str, str], url: str) -> str | None:
    """Return where an answer sends a request for bytes on to, if that is safe to follow."""
    if status not in {301, 302, 303, 307, 308} or not headers.get("location"):
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
    """

    start: int
    end: int
    size_bytes: int
    etag: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers."""
        headers = {"Range": f"bytes={self.start}-{self.end - 1}"}
        if self.etag is not None:
            headers["If-Range"] = self.etag
        return headers


def judge_content(
    status: int, headers: Mapping[str, str], asked: Range, *, from_hub: bool, now: float
) -> Verdict:
    """Judge the answer to a request for bytes.

    Args:
        status: Of the answer.
        headers: Of the answer, names in lower case.
        asked: The request.
        from_hub: Whether the hub itself answered; then 401, 403 and 404 mean what they say.
        now: Seconds since the epoch.
    """
    common = _common(status, headers, now)
    if common is not None:
        return common
    if status in {401, 403, 404, 410}:
        if from_hub:
            return _denied(status, headers)
        reason = f"the address is not valid any more ({status})"
        return Verdict(Action.RESOLVE, reason, Fault.SERVER)
    if status in {301, 302, 303, 307, 308}:
        return Verdict(Action.RESOLVE, "the address moved", Fault.SERVER)
    if status == 416:
        return Verdict(Action.RESOLVE, "the server has no such range (416)", Fault.CONTENT)
    if status not in {200, 206}:
        return Verdict(Action.DROP, f"the server answered {status}", Fault.SERVER)
    return _judge_body(status, headers, asked)


def _judge_body(status: int, headers: Mapping[str, str], asked: Range) -> Verdict:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        return Verdict(Action.RESOLVE, f"an encoded answer came ({encoding})", Fault.SERVER)
    etag = strong_etag(headers)
    if asked.etag is not None and etag is not None and etag != asked.etag:
        return Verdict(Action.RESOLVE, "the content changed at the source", Fault.CONTENT)
    return _judge_whole(headers, asked) if status == 200 else _judge_part(headers, asked)


def _judge_whole(headers: Mapping[str, str], asked: Range) -> Verdict:
    """Judge a 200: the whole file from its first byte, never to be put at the range's place."""
    length = headers.get("content-length")
    if length is not None and length.isdigit() and int(length) != asked.size_bytes:
        return _other_content(headers, f"it is {length} bytes long, not {asked.size_bytes}")
    return Verdict(Action.ACCEPT, skip_bytes=asked.start, ranges=False)


def _judge_part(headers: Mapping[str, str], asked: Range) -> Verdict:
    match = _RANGE.fullmatch(headers.get("content-range", "").strip())
    if match is None:
        return Verdict(Action.RESOLVE, "a part came without saying which", Fault.SERVER)
    start, total = int(match[1]), match[3]
    if total not in {"*", str(asked.size_bytes)}:
        return _other_content(headers, f"it is {total} bytes long, not {asked.size_bytes}")
    if start != asked.start:
        reason = f"another part came: from byte {start}, not {asked.start}"
        return Verdict(Action.RESOLVE, reason, Fault.SERVER)
    return Verdict(Action.ACCEPT)
