"""Asking a hub what a repository holds, and whether the hub is there.

Only questions go this way, one request each; the bytes come by the download engine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from email.utils import parsedate_to_datetime
from typing import Annotated, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from msgspec import Meta

from setup_manager.catalog import HubReference, Model
from setup_manager.codec import MAX_DOCUMENT_BYTES, Bytes, CodecError, from_plain, parse
from setup_manager.errors import UsageError
from setup_manager.net.choosing import RemoteFile, Snapshot, choose_files
from setup_manager.net.faults import (
    Action,
    Asked,
    Fault,
    RequestError,
    Verdict,
)
from setup_manager.net.options import NetworkOptions
from setup_manager.net.origin import MOST_HOPS, HubAccess, end_early
from setup_manager.net.protocol import judge_answer
from setup_manager.net.transport import Stream, Transport

_T = TypeVar("_T")
_PAUSES_SECONDS = (0.5, 2.0)
_PATIENCE_SECONDS = 5.0
_ANSWER_SECONDS = 120.0
_TRANSIENT = frozenset({Fault.SERVER, Fault.NETWORK, Fault.UNREACHABLE, Fault.PROXY})


@dataclass(frozen=True, slots=True)
class Pulse:
    """A hub that answered.

    Attributes:
        seconds: How long the answer took.
        clock_skew_seconds: How far this machine's clock is ahead of the hub's; None if the hub
            did not say. Its header counts whole seconds (RFC 9110, 6.6.1).
    """

    seconds: float
    clock_skew_seconds: float | None = None


class Hub:
    """A hub, or a mirror of one, that answers questions about repositories.

    No socket is opened before the first question.

    Args:
        access: How it is reached.
        network: Proxies, certificates and offline mode.
        seconds: Time limit of a connection, and of every pause in an answer.
        known_repositories: Names to suggest for a mistyped one.
        sleep: Waits between attempts, in seconds.
    """

    def __init__(
        self,
        access: HubAccess,
        network: NetworkOptions | None = None,
        *,
        seconds: float = 10.0,
        known_repositories: tuple[str, ...] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._origin = access.origins[0]
        network = network or NetworkOptions()
        self._network = replace(network, connect_seconds=seconds, stall_seconds=seconds)
        self._known_repositories = known_repositories
        self._sleep = sleep

    def __repr__(self) -> str:
        """Show the endpoint only: a token must never reach a log."""
        return f"Hub({self.endpoint!r})"

    @property
    def endpoint(self) -> str:
        """Its base URL, as it may be shown."""
        return self._origin.asked().endpoint

    def look_up(self, repository: str, revision: str = "main") -> Snapshot:
        """Ask what a revision is and holds, in one request.

        Args:
            repository: ``org/name``; the hub forgives another letter case.
            revision: A branch, tag or commit.

        Raises:
            UsageError: If that cannot be the name of a repository, or the endpoint no hub's.
            AccessDeniedError: If the repository or revision cannot be had.
            DownloadFailedError: If the hub cannot be asked.
        """
        _check_name(repository)
        asked = self._origin.asked(repository, revision)
        path = f"/api/models/{quote(repository)}/revision/{quote(revision, safe='')}?blobs=true"
        with Transport(self._network) as transport:
            try:
                return _snapshot(self._ask(_ModelInfo, path, transport))
            except RequestError as error:
                close = self._close(error.verdict.fault, asked, transport)
                raise error.verdict.error(replace(asked, close=close)) from error

    def model(
        self,
        reference: HubReference,
        *,
        with_projector: bool = False,
        with_drafter: bool = False,
    ) -> Model:
        """Ask which files a MODEL argument means, at which commit, of which digest.

        Args:
            reference: A repository and quantization, or one file; a shard stands for all of them.
            with_projector: Take the projector of the repository too.
            with_drafter: Take its MTP drafter too.

        Raises:
            AccessDeniedError: If the repository, revision or file cannot be had.
            UsageError: If there is no such quantization, projector or drafter.
            VerificationFailedError: If the hub gives no digest, or shards are missing.
            DownloadFailedError: If the hub cannot be asked.
        """
        revision = reference.revision
        snapshot = self.look_up(reference.repository, revision)
        return choose_files(
            reference, snapshot, with_projector=with_projector, with_drafter=with_drafter
        )

    def probe(self, seconds: float = 4.0, now: Callable[[], float] = time.time) -> Pulse:
        """Ask for the headers of its front page, without a token.

        Args:
            seconds: Time limit for everything together.
            now: The clock that is compared, in seconds since 1970.

        Raises:
            UsageError: If the endpoint is no address.
            DownloadFailedError: If it does not answer as a hub may.
        """
        network = replace(self._network, connect_seconds=seconds, stall_seconds=seconds)
        started = time.monotonic()
        try:
            headers = _within(seconds, lambda: _front_page(network, self._origin.endpoint))
        except RequestError as error:
            raise error.verdict.error(self._origin.asked()) from error
        taken = time.monotonic() - started
        return Pulse(taken, _clock_skew(headers, now() - taken / 2))

    def _ask(self, kind: type[_T], path: str, transport: Transport) -> _T:
        """Ask, again after a transient failure that came quickly."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        pauses = iter(_PAUSES_SECONDS)
        while True:
            try:
                return self._ask_once(kind, path, transport)
            except RequestError as error:
                pause = next(pauses, None)
                again = error.verdict.action is Action.RETRY and error.verdict.fault in _TRANSIENT
                if pause is None or not again or time.monotonic() > deadline:
                    raise
            self._sleep(pause)

    def _ask_once(self, kind: type[_T], path: str, transport: Transport) -> _T:
        url = f"{self._origin.endpoint.rstrip('/')}{path}"
        for _ in range(MOST_HOPS):
            token = self._origin.token_for(url)
            stream = transport.request("GET", url, {"Accept": "application/json", **token})
            judged = judge_answer(
                stream.status, stream.headers, url=url, authorized=bool(token), now=time.time()
            )
            if judged is None:
                return _read(kind, stream)
            end_early(stream)
            if isinstance(judged, Verdict):
                raise RequestError(judged)
            url = judged.url
        raise RequestError(Verdict(Action.DROP, "too many redirects", Fault.SERVER))

    def _close(self, fault: Fault, asked: Asked, transport: Transport) -> tuple[str, ...]:
        """Name what exists and is close to what was asked for."""
        if fault is Fault.REPOSITORY:
            return tuple(get_close_matches(asked.repository, self._known_repositories, n=2))
        if fault is Fault.REVISION:
            return tuple(self._revisions(asked.repository, transport))[:12]
        return ()

    def _revisions(self, repository: str, transport: Transport) -> Iterator[str]:
        """Ask for the branches and tags, as a help only: no answer is an answer too."""
        with suppress(RequestError):
            refs = self._ask_once(_Refs, f"/api/models/{quote(repository)}/refs", transport)
            yield from (ref.name for ref in (*refs.branches, *refs.tags))


def _front_page(network: NetworkOptions, url: str) -> Mapping[str, str]:
    with Transport(network) as transport:
        stream = transport.request("HEAD", url, {})
        stream.close()
    location = stream.headers.get("location")
    host = urlsplit(urljoin(url, location)).hostname if location else None
    if stream.status == 511 or (host and host != urlsplit(url).hostname):
        reason = f"it redirects to {host}" if host else "this network requires a login"
        raise RequestError(Verdict(Action.DROP, reason, Fault.PORTAL))
    return stream.headers


def _within(seconds: float, call: Callable[[], Mapping[str, str]]) -> Mapping[str, str]:
    """Call in a thread that is left behind when time is up."""
    found: list[Mapping[str, str]] = []
    failures: list[RequestError] = []

    def run() -> None:
        try:
            found.append(call())
        except RequestError as error:
            failures.append(error)

    asking = threading.Thread(target=run, name="hub-probe", daemon=True)
    asking.start()
    asking.join(seconds)
    if found:
        return found[0]
    late = Verdict(Action.RETRY, f"no answer in {seconds:g} s", Fault.UNREACHABLE)
    raise failures[0] if failures else RequestError(late)


def _clock_skew(headers: Mapping[str, str], now: float) -> float | None:
    try:
        return round(now - parsedate_to_datetime(headers.get("date", "")).timestamp(), 1)
    except (ValueError, TypeError, OverflowError):
        return None


# Names


def _check_name(repository: str) -> None:
    """Refuse what cannot be a repository, by huggingface_hub's own rules.

    Raises:
        UsageError: If it cannot.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UsageError(
            f"{repository!r} cannot be a repository.",
            code="bad-model",
            hint="Write it as org/name; `gemma-setup list` shows the ones for Gemma 4.",
        ) from error


# Answers


@dataclass(frozen=True, slots=True)
class _Lfs:
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class _Sibling:
    rfilename: str
    size: Bytes | None = None
    blobId: str | None = None  # noqa: N815  the hub's own names, as in huggingface_hub's RepoSibling
    lfs: _Lfs | None = None


@dataclass(frozen=True, slots=True)
class _ModelInfo:
    """What is read of ``/api/models/…/revision/…?blobs=true``."""

    id: str
    sha: Annotated[str, Meta(pattern="^[0-9a-f]{40}$")]
    siblings: tuple[_Sibling, ...] = ()


@dataclass(frozen=True, slots=True)
class _Ref:
    name: str


@dataclass(frozen=True, slots=True)
class _Refs:
    """What is read of ``/api/models/…/refs``."""

    branches: tuple[_Ref, ...] = ()
    tags: tuple[_Ref, ...] = ()


def _read(kind: type[_T], stream: Stream) -> _T:
    """Read a JSON answer into a type, within a size and a time."""
    body, block = bytearray(), memoryview(bytearray(256 * 1024))
    deadline = time.monotonic() + _ANSWER_SECONDS
    try:
        while count := stream.read_into(block):
            body += block[:count]
            if len(body) > MAX_DOCUMENT_BYTES or time.monotonic() > deadline:
                raise _foreign("its answer is too long")
    finally:
        stream.close()
    length = stream.headers.get("content-length", "")
    if length.isdigit() and len(body) < int(length):
        raise RequestError(Verdict(Action.RETRY, "the connection was closed early"))
    try:
        return from_plain(kind, parse(bytes(body)))
    except CodecError as error:
        raise _foreign(f"its answer is invalid: {error}") from None


def _foreign(reason: str) -> RequestError:
    return RequestError(Verdict(Action.DROP, reason, Fault.FOREIGN))


def _snapshot(info: _ModelInfo) -> Snapshot:
    files = (
        RemoteFile(
            path=sibling.rfilename,
            size_bytes=sibling.size or 0,
            sha256=sibling.lfs.sha256 if sibling.lfs else None,
            git_sha1=sibling.blobId,
        )
        for sibling in info.siblings
    )
    return Snapshot(info.id, info.sha, tuple(sorted(files, key=lambda file: file.path)))
