"""The network around a transfer: proxies, certificates, time limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """The network surroundings; nothing here is read from the environment below the shell.

    Attributes:
        proxies: Proxy URL by scheme (``http``, ``https``, ``all``); may hold a password.
        no_proxy: Hosts that are reached directly, as in NO_PROXY.
        ca_bundle: File or folder of certificates to trust instead of the default ones.
        connect_seconds: Time limit of one connection attempt.
        stall_seconds: Longest silence of a connection before it is given up.
        family_seconds: Head start of one address family before the other is tried too.
        user_agent: What the tool calls itself.
    """

    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    no_proxy: str = ""
    ca_bundle: Path | None = None
    connect_seconds: float = 10.0
    stall_seconds: float = 20.0
    family_seconds: float = 0.25
    user_agent: str = "gemma-setup"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> NetworkOptions:
        """Read proxies and certificates from the variables that curl and requests know.

        Lower case beats upper case, and an upper-case HTTP_PROXY is ignored where the process
        answers web requests (REQUEST_METHOD set), since a client could have set it: curl's and
        Python's rule.
        """
        return cls(
            proxies=_proxies(environ),
            no_proxy=environ.get("no_proxy") or environ.get("NO_PROXY") or "",
            ca_bundle=_ca_bundle(environ),
        )


def _proxies(environ: Mapping[str, str]) -> dict[str, str]:
    proxies = {}
    for scheme in ("http", "https", "all"):
        upper = environ.get(f"{scheme}_proxy".upper())
        if scheme == "http" and "REQUEST_METHOD" in environ:
            upper = None
        value = environ.get(f"{scheme}_proxy") or upper
        if value:
            proxies[scheme] = value if "://" in value else f"http://{value}"
    return proxies


def _ca_bundle(environ: Mapping[str, str]) -> Path | None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        if environ.get(name):
            return Path(environ[name])
    return None
