"""Where the Ollama server is: OLLAMA_HOST in all the forms that Ollama itself takes."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

DEFAULT_PORT = "11434"
_SCHEME_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class Address:
    """A server to connect to.

    Attributes:
        scheme: ``"http"`` or ``"https"``.
        host: Name or IP address, without brackets.
        port: Port number.
        path: Path under which the server is, with its leading slash, ``""`` without.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def endpoint(self) -> str:
        """Base URL without a trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def local(self) -> bool:
        """Whether it is this machine, so that its store may be in reach."""
        if self.host.lower() == "localhost":
            return True
        address = _ip(self.host)
        return address is not None and address.is_loopback


def parse_host(text: str) -> Address:
    """Read OLLAMA_HOST; nothing in it is an error, as for Ollama.

    Without a port 11434 is meant, but 80 or 443 after a scheme. An address to listen on
    (``0.0.0.0``, ``::``) becomes the loopback address to connect to. Source: ``Host`` and
    ``ConnectableHost`` in Ollama's envconfig/config.go (0.33).
    """
    scheme, default_port, rest = _scheme(text.strip().strip("\"'"))
    hostport, _, path = rest.partition("/")
    host, port = _host_and_port(hostport, default_port)
    return Address(scheme, _connectable(host), port, f"/{path.rstrip('/')}" if path else "")


def same_server(one: str, other: str) -> bool:
    """Whether two endpoints are one server: a loopback address has several names."""
    return _server(one) == _server(other)


def _server(endpoint: str) -> tuple[str, int, str]:
    address = parse_host(endpoint)
    return "" if address.local else address.host.lower(), address.port, address.path


def _scheme(text: str) -> tuple[str, str, str]:
    scheme, found, rest = text.partition("://")
    if found:
        return scheme or "http", _SCHEME_PORTS.get(scheme, DEFAULT_PORT), rest
    if text == "ollama.com":
        return "https", "443", "ollama.com:443"
    return "http", DEFAULT_PORT, text


def _host_and_port(hostport: str, default_port: str) -> tuple[str, int]:
    host, colon, port = hostport.rpartition(":")
    bracketed = hostport.startswith("[")
    splits = bool(colon) and (host.endswith("]") if bracketed else ":" not in host)
    if not splits:
        host, port = hostport, default_port
    host = host.strip("[]") or "127.0.0.1"
    in_range = port.isascii() and port.isdecimal() and int(port) <= 65535
    return host, int(port if in_range else default_port)


def _connectable(host: str) -> str:
    address = _ip(host)
    if address is None or not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
