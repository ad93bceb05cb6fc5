"""HTTP by requests: one request, one answer, no redirects, nothing from the environment.

A prepared request goes straight to an adapter. That leaves out everything a session would add
on its own: credentials from ~/.netrc, proxies and certificates from variables, cookies, and
redirects that carry a token to another host. Messages never quote a library's exception, since
those hold URLs with signatures and proxies with passwords.
"""

from __future__ import annotations

import errno
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPResponse
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import connection as urllib3_connection
from urllib3 import connectionpool, exceptions, poolmanager

from setup_manager.net.dialing import dial
from setup_manager.net.faults import Action, Fault, RequestError, Verdict
from setup_manager.net.options import NetworkOptions, Proxy

_E = TypeVar("_E", bound=BaseException)
READ_SECONDS = 0.1
"""A read ends about this fast, so that progress shows and limits stay smooth."""


class Stream:
    """An answer whose body is still to be read; read without copies."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = {
            name.lower(): value for name, value in response.headers.items()
        }
        self._raw = response.raw
        self._body: Any = getattr(self._raw, "_fp", None) or self._raw
        self._broken: RequestError | None = None
        # http.client reads straight into a kept buffer; urllib3's own readinto makes a bytes
        # object first, which costs up to 45 % in page faults. Its buffered reader gives what one
        # recv brought; with a body in chunks only its readinto knows where they end.
        plain = hasattr(self._body, "fp") and not getattr(self._body, "chunked", True)
        self._read_once: Callable[[memoryview], int] = (
            self._read_plain if plain else self._body.readinto
        )

    def read_into(self, view: memoryview) -> int:
        """Fill `view` or read up to the end, or for `READ_SECONDS`; returns the bytes read.

        What came before a break is returned; the break is raised by the next call.

        Raises:
            RequestError: If the connection broke or fell silent.
        """
        if self._broken is not None:
            raise self._broken
        filled, until = 0, time.monotonic() + READ_SECONDS
        try:
            while filled < len(view):
                count = self._read_once(view[filled:])
                filled += count
                if not count or time.monotonic() > until:
                    break
        except Exception as error:  # noqa: BLE001  a socket closed by abort() raises anything
            self._broken = _broken(error)
            if not filled:
                raise self._broken from None
        return filled

    def _read_plain(self, view: memoryview) -> int:
        """Read what one recv brings, and keep http.client's count of what is left."""
        body = self._body
        if body.fp is None:
            return 0
        left = body.length
        count = int(body.fp.readinto1(view if left is None else view[:left]))
        if left is not None:
            body.length = left - count
            if body.length == 0:
                body.readinto(view[:0])  # lets http.client end the answer
        return count

    def read_some(self, limit_bytes: int) -> bytes:
        """Read what comes next, without waiting for more; nothing at the end.

        Raises:
            RequestError: If the connection broke or fell silent.
        """
        body = self._body
        try:
            block = bytes(body.read1(limit_bytes))
            if body.length == 0:
                body.readinto(bytearray())  # lets http.client end the answer
        except Exception as error:  # noqa: BLE001  a socket closed by abort() raises anything
            raise _broken(error) from None
        if not block and body.length:
            raise RequestError(Verdict(Action.RETRY, "the connection was closed early"))
        return block

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
        with suppress(Exception):
            closed = getattr(self._body, "isclosed", None)
            if closed is not None and closed():
                self._raw.release_conn()
            else:
                self._raw.close()

    def abort(self) -> None:
        """Break the connection off; another thread's read returns at once."""
        # A duplicate of the descriptor: shutting down an SSLSocket itself would drop the TLS state
        # under the reader, and the connection may have let go of its socket already.
        with suppress(Exception):
            found = self._body.fp.raw._sock
            with socket.fromfd(found.fileno(), found.family, found.type) as twin:
                twin.shutdown(socket.SHUT_RDWR)


class Upload(Protocol):
    """A body that is read while it is sent; its length becomes Content-Length."""

    def __len__(self) -> int:
        """Return its length in bytes."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        """Read it in blocks."""
        ...

    def read(self, size: int = -1, /) -> bytes:
        """Read at most so many bytes; nothing at the end."""
        ...


class Transport:
    """Requests over kept connections, with the network options of one run."""

    def __init__(self, network: NetworkOptions) -> None:
        self._network = network
        self._adapter = _Adapter(network)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        /,
        *,
        body: bytes | Upload | None = None,
        stall_seconds: float | None = None,
    ) -> Stream:
        """Send one request and return its answer, whatever its status.

        Args:
            method: ``"GET"``, …
            url: An http or https address.
            headers: Beside those that every request has.
            body: What to send.
            stall_seconds: Longest silence, if another than the options say.

        Raises:
            RequestError: If there is no answer.
        """
        network = self._network
        if network.offline:
            reason = "offline mode is on (HF_HUB_OFFLINE)"
            raise RequestError(Verdict(Action.DROP, reason, Fault.OFFLINE))
        if not _is_address(url):
            raise RequestError(Verdict(Action.DROP, "the address is not valid", Fault.ADDRESS))
        proxy = network.proxy_for(url)
        through = proxy.usable_address() if proxy else None
        sent = {"User-Agent": network.user_agent, "Accept-Encoding": "identity", "Accept": "*/*"}
        try:
            prepared = requests.Request(
                method,
                url,
                headers={**sent, **headers},
                data=body,
            ).prepare()
            response = self._adapter.send(
                prepared,
                stream=True,
                timeout=(network.connect_seconds, stall_seconds or network.stall_seconds),
                proxies={urlsplit(url).scheme.lower(): through} if through else {},
            )
        except (requests.RequestException, exceptions.HTTPError, OSError, ValueError) as error:
            raise self._translated(error, proxy) from None
        if proxy is not None and response.status_code == 407:
            response.close()
            raise proxy.failed("requires a user name and a password (407)")
        return Stream(response)

    def close(self) -> None:
        """Close all idle connections."""
        self._adapter.close()

    def _translated(self, error: BaseException, proxy: Proxy | None) -> RequestError:
        """Find out what a library's exception means; its words are never looked at."""
        causes = _causes(error)
        ours = _first(causes, RequestError)
        if ours is not None:
            return ours
        if _first(causes, ssl.SSLCertVerificationError):
            return self._untrusted()
        tunnel = _first(causes, _TunnelRefusedError)
        if proxy is not None and tunnel is not None:
            return _refused_tunnel(proxy, tunnel.status)
        reason = _break_reason(causes)
        if proxy is not None and _first(causes, *_NOT_CONNECTED):
            return proxy.failed(f"does not answer: {reason}", action=Action.RETRY)
        if _first(causes, requests.exceptions.InvalidURL, UnicodeError):
            return RequestError(Verdict(Action.DROP, "the address is not valid", Fault.ADDRESS))
        return RequestError(Verdict(Action.RETRY, reason, Fault.UNREACHABLE))

    def _untrusted(self) -> RequestError:
        bundle, variable = self._network.ca_bundle, self._network.variables.get("ca_bundle", "")
        by = f" by {bundle} ({variable or 'the CA bundle'})" if bundle else ""
        reason = f"the server's certificate is not trusted{by}"
        return RequestError(Verdict(Action.DROP, reason, Fault.CERTIFICATE, variable=variable))


class _TunnelRefusedError(OSError):
    """A proxy that answered CONNECT, but not with 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"CONNECT was answered with {status}")
        self.status = status


_NOT_CONNECTED = (
    exceptions.NewConnectionError,
    exceptions.ConnectTimeoutError,
    exceptions.ProxyError,
)
_GATEWAY = frozenset({500, 502, 503, 504})


def _refused_tunnel(proxy: Proxy, status: int) -> RequestError:
    if status == 407:
        return proxy.failed("requires a user name and a password (407)")
    action = Action.RETRY if status in _GATEWAY else Action.DROP
    return proxy.failed(f"refuses to connect to the server ({status})", action=action)


def _is_address(url: str) -> bool:
    """Whether a URL is one that can be asked."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _causes(error: BaseException) -> list[BaseException]:
    """Unwrap what requests and urllib3 wrapped."""
    found: list[BaseException] = []
    queue: list[object] = [error]
    while queue:
        item = queue.pop(0)
        if isinstance(item, BaseException) and item not in found:
            found.append(item)
            queue += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
    return found


def _first(causes: list[BaseException], *kinds: type[_E]) -> _E | None:
    return next((cause for cause in causes if isinstance(cause, kinds)), None)


def _broken(error: BaseException) -> RequestError:
    return RequestError(Verdict(Action.RETRY, _break_reason(_causes(error)), Fault.NETWORK))


def _break_reason(causes: list[BaseException]) -> str:
    if _first(causes, socket.gaierror, exceptions.NameResolutionError):
        return "the host name was not found (DNS)"
    number = next((c.errno for c in causes if isinstance(c, OSError) and c.errno), None)
    if number == errno.ECONNREFUSED:
        return "the connection was refused"
    if number in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return "no route to the host"
    if _first(causes, TimeoutError, exceptions.TimeoutError):
        return "no answer in time"
    if _first(causes, ssl.SSLError):
        return "the TLS connection broke"
    return "the connection broke"


class _Dialing:
    """Mixed into urllib3's connections: connect by `dial`."""

    family_seconds = 0.25
    host: str
    port: Any
    timeout: Any
    sock: Any
    _dns_host: str
    _tunnel_host: Any
    _tunnel_port: Any
    _tunnel_headers: Any

    def _new_conn(self) -> socket.socket:
        seconds = self.timeout if isinstance(self.timeout, int | float) else 10.0
        try:
            connection = dial(self._dns_host, self.port or 80, seconds, self.family_seconds)
        except socket.gaierror as error:
            raise exceptions.NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        except TimeoutError as error:
            raise exceptions.ConnectTimeoutError(self, "timed out") from error
        except OSError as error:
            raise exceptions.NewConnectionError(self, "refused") from error  # type: ignore[arg-type]
        connection.settimeout(seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _tunnel(self) -> None:
        """Ask a proxy for a tunnel as http.client does, and keep the status of its answer.

        There it is a part of a message only.
        """
        host = f"[{self._tunnel_host}]" if ":" in self._tunnel_host else self._tunnel_host
        lines = [f"CONNECT {host}:{self._tunnel_port} HTTP/1.0"]
        lines += [f"{name}: {value}" for name, value in self._tunnel_headers.items()]
        self.sock.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1"))
        answer = HTTPResponse(self.sock, method="CONNECT")
        try:
            answer.begin()
        finally:
            answer.close()
        if answer.status != 200:
            raise _TunnelRefusedError(answer.status)


class _PlainConnection(_Dialing, urllib3_connection.HTTPConnection):
    pass


class _SecureConnection(_Dialing, urllib3_connection.HTTPSConnection):
    pass


class _PlainPool(connectionpool.HTTPConnectionPool):
    ConnectionCls: Any = _PlainConnection


class _SecurePool(connectionpool.HTTPSConnectionPool):
    ConnectionCls: Any = _SecureConnection


class _Adapter(HTTPAdapter):
    """An adapter with one TLS context for all connections, made when it is first needed."""

    def __init__(self, network: NetworkOptions) -> None:
        self._network = network
        self._context: ssl.SSLContext | None = None
        self._context_lock = threading.Lock()
        super().__init__(pool_connections=8, pool_maxsize=32)

    def init_poolmanager(self, *args: Any, **keywords: Any) -> None:
        super().init_poolmanager(*args, **keywords)
        _use_dialing(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **keywords: Any) -> Any:
        if proxy.startswith("https:"):
            keywords["proxy_ssl_context"] = self._tls()
        manager = super().proxy_manager_for(proxy, **keywords)
        if not proxy.startswith("socks"):
            _use_dialing(manager)
        return manager

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https":
            return host, {"ssl_context": self._tls()}
        return host, pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave it to the context: it always verifies."""

    def _tls(self) -> ssl.SSLContext:
        with self._context_lock:
            if self._context is None:
                self._context = _tls_context(self._network)
            return self._context


def _use_dialing(manager: Any) -> None:
    assert isinstance(manager, poolmanager.PoolManager)  # noqa: S101
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}


def _tls_context(network: NetworkOptions) -> ssl.SSLContext:
    """Trust the given bundle alone, or else the system's store and that of requests."""
    bundle = network.ca_bundle
    if bundle is None:
        context = ssl.create_default_context()
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
        return context
    try:
        if bundle.is_dir():
            return ssl.create_default_context(capath=str(bundle))
        return ssl.create_default_context(cafile=str(bundle))
    except (OSError, ssl.SSLError) as error:
        variable = network.variables.get("ca_bundle", "")
        named = f" ({variable})" if variable else ""
        reason = f"the certificates in {bundle}{named} cannot be read"
        verdict = Verdict(Action.DROP, reason, Fault.CERTIFICATE, variable=variable)
        raise RequestError(verdict) from error
