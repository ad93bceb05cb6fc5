"""Which proxy a URL goes through: the rules of NO_PROXY, as curl and requests read it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from setup_manager.net.options import NetworkOptions


def proxy_for(url: str, network: NetworkOptions) -> str | None:
    """Return the proxy for a URL, or None for a direct connection."""
    parts = urlsplit(url)
    proxy = network.proxies.get(parts.scheme) or network.proxies.get("all")
    if proxy is None or _bypassed(parts.hostname or "", parts.port, network.no_proxy):
        return None
    return proxy


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
