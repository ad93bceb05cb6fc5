"""What a download is told: about the network around it, about patience and about manners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from setup_manager.units import KIB, MIB


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


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """How a download behaves.

    Attributes:
        connections: Fixed number of connections, or None to adapt between 1 and `most`.
        most: Upper limit of connections when they adapt.
        rate_bytes_per_second: Limit over all connections together, or None.
        wait: Wait for another process at the same file; otherwise end with `BusyError`.
        chunk_bytes: Unit of assignment, journal and check value; None picks it by size.
        read_bytes: Largest single read from a connection.
        flush_bytes: New bytes after which they are synced and journaled.
        flush_seconds: Time after which they are, even when they are few.
        patience_seconds: How long a file may make no progress at all before it fails.
        first_backoff_seconds: Pause after the first failure of a connection; doubles.
        longest_backoff_seconds: Where the doubling ends.
        longest_wait_seconds: Longest pause a server may ask for.
        slow_seconds: How long a connection is watched before it may be called slow.
        sample_seconds: How often the number of connections is judged.
        progress_seconds: Least time between two progress events.
        checks_dir: Where check values of installed files are kept, or None for nowhere.
        polite: Low I/O and CPU priority.
        reserve_bytes: Disk space that must remain free.
        extra_bytes: Space that the runtime's own copy will take on the same file system.
        offline: No socket at all; only what is here already counts.
    """

    connections: int | None = None
    most: int = 16
    rate_bytes_per_second: int | None = None
    wait: bool = True
    chunk_bytes: int | None = None
    read_bytes: int = 512 * KIB
    flush_bytes: int = 8 * MIB
    flush_seconds: float = 2.0
    patience_seconds: float = 150.0
    first_backoff_seconds: float = 0.5
    longest_backoff_seconds: float = 15.0
    longest_wait_seconds: float = 900.0
    slow_seconds: float = 8.0
    sample_seconds: float = 1.0
    progress_seconds: float = 0.25
    checks_dir: Path | None = None
    polite: bool = False
    reserve_bytes: int = 64 * MIB
    extra_bytes: int = 0
    offline: bool = False
