"""Who is asked: hubs and mirrors, what decided them, whom a token belongs to, where a file is.

A file is resolved once for all connections and again when its signed address expires. The address
is held in memory only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from setup_manager.catalog import Artifact
from setup_manager.errors import AccessDeniedError
from setup_manager.net.faults import (
    DEFAULT_ENDPOINT,
    Action,
    Asked,
    Fault,
    RequestError,
    Verdict,
    shown,
)
from setup_manager.net.options import is_true
from setup_manager.net.protocol import (
    Accepted,
    Located,
    Moved,
    Range,
    judge_content,
    judge_resolve,
    next_hop,
    origin_of,
    resolve_url,
    strong_etag,
)

if TYPE_CHECKING:
    from setup_manager.net.transport import Stream, Transport

MOST_HOPS = 5


@dataclass(frozen=True, slots=True)
class Origin:
    """A hub or a mirror of one.

    Attributes:
        endpoint: Base URL, e.g. ``"https://huggingface.co"``.
        token: Bearer token for exactly this scheme, host and port, or None.
        file_url: Where the file is asked for, on a server that is no hub; None for the hub's form.
        variable: What decided the endpoint (an environment variable, an option), or ``""``.
    """

    endpoint: str
    token: str | None = field(default=None, repr=False)
    file_url: str | None = None
    variable: str = ""

    def __repr__(self) -> str:
        """Show the endpoint only: neither token nor password may reach a log."""
        return f"Origin({shown(self.endpoint)!r})"

    def token_for(self, url: str) -> dict[str, str]:
        """Return the header with the token for this origin's own addresses, none for others."""
        if self.token is None or origin_of(url) != origin_of(self.endpoint):
            return {}
        return {"Authorization": f"Bearer {self.token}"}

    def asked(self, repository: str = "", revision: str = "main", path: str = "") -> Asked:
        """Say what is asked of it, for an error."""
        return Asked(
            endpoint=shown(self.endpoint),
            variable=self.variable,
            repository=repository,
            revision=revision,
            path=path,
            has_token=self.token is not None,
        )

    def file(self, artifact: Artifact, transport: Transport) -> OriginFile:
        """Return a file as this origin has it; nothing is asked yet."""
        return OriginFile(self, artifact, transport)


@dataclass(frozen=True, slots=True)
class HubAccess:
    """How the hub is reached.

    Attributes:
        endpoint: Base URL.
        token: Bearer token for that endpoint alone, or None.
        mirrors: Base URLs of others that have the same files.
        variable: The environment variable that decided the endpoint, or ``""``.
    """

    endpoint: str = DEFAULT_ENDPOINT
    token: str | None = field(default=None, repr=False)
    mirrors: tuple[str, ...] = ()
    variable: str = ""

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str], hub_home: Path, mirrors: tuple[str, ...] = ()
    ) -> HubAccess:
        """Read HF_ENDPOINT and the token that `hf` would send.

        Args:
            environ: The environment variables.
            hub_home: What HF_HOME means.
            mirrors: Base URLs of others.

        Raises:
            AccessDeniedError: If what was found cannot be a token.
        """
        endpoint = environ.get("HF_ENDPOINT", "").strip().rstrip("/")
        return cls(
            endpoint=endpoint or DEFAULT_ENDPOINT,
            token=_find_token(environ, hub_home),
            mirrors=tuple(mirror.rstrip("/") for mirror in mirrors),
            variable="HF_ENDPOINT" if endpoint else "",
        )

    @property
    def origins(self) -> tuple[Origin, ...]:
        """The hub, then its mirrors; only the hub gets the token."""
        hub = Origin(self.endpoint, self.token, variable=self.variable)
        return (hub, *(Origin(mirror, variable="--mirror") for mirror in self.mirrors))


def _find_token(environ: Mapping[str, str], hub_home: Path) -> str | None:
    """Find the token that `hf` would send: HF_TOKEN, else the file that `hf auth login` wrote."""
    if is_true(environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN")):
        return None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := _clean_token(environ.get(name, ""), name):
            return token
    path = Path(environ.get("HF_TOKEN_PATH") or hub_home / "token").expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return _clean_token(text, str(path))


def _clean_token(text: str, source: str) -> str | None:
    token = "".join(text.split("\n")).strip()
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise AccessDeniedError(
            "The hub token cannot be used.",
            code="bad-token",
            context=[f"{source} contains characters that no token has"],
            hint="Set HF_TOKEN to a token (it starts with hf_), or run `hf auth login` again.",
        )
    return token or None


# Files


@dataclass(frozen=True, slots=True)
class _Address:
    located: Located
    etag: str | None


class OriginFile:
    """One file at one origin. Threads share it.

    Attributes:
        answered: Whether the origin ever gave an answer, whatever it was.
        times_resolved: How often it said where the bytes are.
    """

    def __init__(self, origin: Origin, artifact: Artifact, transport: Transport) -> None:
        self.answered = False
        self.times_resolved = 0
        self._origin = origin
        self._artifact = artifact
        self._transport = transport
        self._lock = threading.Lock()
        self._resolving = threading.Lock()
        self._address: _Address | None = None
        self._serves_ranges = False
        self._unsaid = 0

    def open(self, start: int, end: int) -> tuple[Stream, Accepted]:
        """Ask for bytes.

        Returns:
            The answer, and what comes before `start` in its body.

        Raises:
            RequestError: If the answer is not those bytes, or there is none. An address that
                gave no bytes is forgotten.
        """
        address = self._resolve()
        asked = Range(start, end, self._artifact.size_bytes, address.etag, whole=self._asks_for_all)
        stream, address = self._ask_for(asked, address)
        judged = judge_content(
            stream.status,
            stream.headers,
            asked,
            from_hub=address.located.same_origin,
            authorized=self._origin.token is not None and address.located.same_origin,
            now=time.time(),
        )
        if isinstance(judged, Verdict):
            end_early(stream)
            raise RequestError(self._consequence(judged, address))
        with self._lock:
            if judged.ranges:
                self._serves_ranges, self._unsaid = True, 0
            if self._address is address and address.etag is None:
                self._address = _Address(address.located, strong_etag(stream.headers))
        return stream, judged

    @property
    def _asks_for_all(self) -> bool:
        """Whether its answers do not say which part they are: more than once if some did."""
        return self._unsaid > self._serves_ranges

    def _consequence(self, verdict: Verdict, address: _Address) -> Verdict:
        with self._lock:
            if verdict.action is Action.AGAIN:
                self._unsaid += 1
            if verdict.action is Action.RESOLVE:
                if self._address is not address:  # another connection has already seen to it
                    return replace(verdict, action=Action.AGAIN)
                self._address = None
        return verdict

    def _ask_for(self, asked: Range, address: _Address) -> tuple[Stream, _Address]:
        """Send a request for bytes; an address that sends it on is replaced for all."""
        for _ in range(MOST_HOPS):
            url = address.located.url
            stream = self._send("GET", url, asked.headers)
            target = next_hop(stream.status, stream.headers, url)
            if target is None:
                break
            end_early(stream)
            moved = _Address(self._located(target), address.etag)
            with self._lock:
                if self._address is address:
                    self._address = moved
            address = moved
        return stream, address

    def _located(self, url: str) -> Located:
        return Located(url, origin_of(url) == origin_of(self._origin.endpoint))

    def _resolve(self) -> _Address:
        with self._resolving:
            address = self._address
            if address is None:
                address = self._address = _Address(self._locate(), None)
                self.times_resolved += 1
            return address

    @property
    def host(self) -> str:
        """Host that has the bytes, ``""`` while that is not known."""
        address = self._address
        return (urlsplit(address.located.url).hostname or "") if address else ""

    def _locate(self) -> Located:
        origin = self._origin
        url = origin.file_url or resolve_url(origin.endpoint, self._artifact)
        for _ in range(MOST_HOPS):
            found = self._ask_where(url)
            if isinstance(found, Located):
                return found
            if isinstance(found, Verdict):
                raise RequestError(found)
            url = found.url
        raise RequestError(Verdict(Action.DROP, "too many redirects", Fault.SERVER))

    def _ask_where(self, url: str) -> Verdict | Located | Moved:
        stream = self._send("HEAD", url, {})
        stream.close()
        if stream.status in {405, 501}:  # a mirror that knows no HEAD
            stream = self._send("GET", url, {})
            end_early(stream)
        return judge_resolve(
            stream.status,
            stream.headers,
            url=url,
            endpoint=self._origin.endpoint,
            artifact=self._artifact,
            authorized=bool(self._origin.token_for(url)),
            now=time.time(),
        )

    def _send(self, method: str, url: str, headers: dict[str, str]) -> Stream:
        try:
            stream = self._transport.request(method, url, headers | self._origin.token_for(url))
        except RequestError as error:
            host = urlsplit(url).hostname
            if not error.verdict.variable and host != urlsplit(self._origin.endpoint).hostname:
                reason = f"{host}: {error.verdict.reason}"
                raise RequestError(replace(error.verdict, reason=reason)) from None
            raise
        self.answered = True
        return stream


def end_early(stream: Stream) -> None:
    """Let go of an answer whose body is not wanted."""
    stream.abort()
    stream.close()
