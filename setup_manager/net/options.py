"""The network around a transfer: proxies, certificates, time limits, and who decided them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from setup_manager.net.faults import Action, Fault, RequestError, Verdict, shown

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXY_SCHEMES = frozenset({"http", "https"})
_SOCKS_SCHEMES = frozenset({"socks4", "socks4a", "socks5", "socks5h"})
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """The network surroundings; nothing here is read from the environment below the shell.

    Attributes:
        proxies: Proxy URL by scheme (``http``, ``https``, ``all``); may hold a password.
        no_proxy: Hosts that are reached directly, as in NO_PROXY.
        ca_bundle: File or folder of certificates to trust instead of the default ones.
        variables: The environment variables that decided: by the scheme of a proxy, and by
            ``ca_bundle``.
        offline: Open no socket.
        connect_seconds: Time limit of one connection attempt, its DNS look-up included.
        stall_seconds: Longest silence of a connection before it is given up.
        family_seconds: Head start of one address family before the other is tried too.
        user_agent: What the tool calls itself.
    """

    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    no_proxy: str = ""
    ca_bundle: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    offline: bool = False
    connect_seconds: float = 10.0
    stall_seconds: float = 20.0
    family_seconds: float = 0.25
    user_agent: str = "gemma-setup"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> NetworkOptions:
        """Read proxies and certificates from the variables that curl and requests know.

        Lower case beats upper case, and an upper-case HTTP_PROXY is ignored where the process
        answers web requests (REQUEST_METHOD set), since a client could have set it: curl's and
        Python's rule. HF_HUB_OFFLINE, or its older name, opens no socket.
        """
        variables = dict(_proxy_variables(environ))
        proxies = {scheme: _with_scheme(environ[name]) for scheme, name in variables.items()}
        bundle = next((name for name in _BUNDLES if environ.get(name)), None)
        if bundle is not None:
            variables["ca_bundle"] = bundle
        offline = environ.get("HF_HUB_OFFLINE") or environ.get("TRANSFORMERS_OFFLINE")
        return cls(
            proxies=proxies,
            no_proxy=environ.get("no_proxy") or environ.get("NO_PROXY") or "",
            ca_bundle=Path(environ[bundle]) if bundle is not None else None,
            variables=variables,
            offline=is_true(offline),
        )

    def proxy_for(self, url: str) -> Proxy | None:
        """Return the proxy for a URL, or None for a direct connection."""
        parts = urlsplit(url)
        scheme = parts.scheme if self.proxies.get(parts.scheme) else "all"
        address = self.proxies.get(scheme)
        if not address or _bypassed(parts.hostname or "", parts.port, self.no_proxy):
            return None
        return Proxy(address, self.variables.get(scheme, ""))


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that requests go through.

    Attributes:
        address: Its URL; may hold a password.
        variable: The environment variable that names it, or ``""``.
    """

    address: str = field(repr=False)
    variable: str = ""

    def __str__(self) -> str:
        """Name it without its password."""
        named = f" ({self.variable})" if self.variable else ""
        return f"the proxy {shown(self.address)}{named}"

    def usable_address(self) -> str:
        """Return the address as the HTTP library takes it.

        ``socks://``, as desktops export it, is SOCKS 5, and names are looked up at the proxy.

        Raises:
            RequestError: If it is no address of a proxy, or of a kind that is not supported here.
        """
        try:
            parts = urlsplit(self.address)
            good = bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good:
            raise self.failed("is not a valid address")
        scheme = parts.scheme.lower()
        scheme = "socks5h" if scheme == "socks" else scheme
        if scheme in _PROXY_SCHEMES or (scheme in _SOCKS_SCHEMES and find_spec("socks")):
            return f"{scheme}://{self.address.partition('://')[2]}"
        if scheme in _SOCKS_SCHEMES:
            raise self.failed("is a SOCKS proxy, which needs the package PySocks")
        raise self.failed("is of a kind that is not supported")

    def failed(self, what: str, *, action: Action = Action.DROP) -> RequestError:
        """Make the error for a proxy that did something."""
        return RequestError(Verdict(action, f"{self} {what}", Fault.PROXY, variable=self.variable))


def is_true(value: str | None) -> bool:
    """Read a switch as huggingface_hub does."""
    return (value or "").upper() in _TRUE


def _proxy_variables(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Find which variable names the proxy for each scheme."""
    found = {}
    for scheme in ("http", "https", "all"):
        names = [f"{scheme}_proxy", f"{scheme}_proxy".upper()]
        if scheme == "http" and "REQUEST_METHOD" in environ:
            names.pop()
        name = next((name for name in names if environ.get(name)), None)
        if name is not None:
            found[scheme] = name
    return found


def _with_scheme(address: str) -> str:
    return address if "://" in address else f"http://{address}"


def _bypassed(host: str, port: int | None, no_proxy: str) -> bool:
    return any(
        _matches(entry.strip().lower(), host.lower(), port)
        for entry in no_proxy.split(",")
        if entry.strip()
    )


def _matches(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return _in_network(host, entry)
    name, _, wanted_port = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
    if wanted_port and wanted_port != str(port):
        return False
    name = name.strip("[]").removeprefix("*").removeprefix(".")
    return host == name or host.endswith(f".{name}")


def _in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
