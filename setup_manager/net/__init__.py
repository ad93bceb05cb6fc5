"""The one transport: connections, the protocol table, what the hub says, and what failures mean.

May import: catalog and the rooms below.
Invariant: a token goes to its own endpoint alone.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.net.local import BadAnswerError, LocalClient, NoAnswerError
    from setup_manager.net.metadata import HubMetadata
    from setup_manager.net.options import NetworkOptions
    from setup_manager.net.protocol import (
        Action,
        Fault,
        Located,
        Moved,
        Range,
        Verdict,
        judge_content,
        judge_resolve,
        next_hop,
        origin_of,
        resolve_url,
        shown,
        strong_etag,
    )
    from setup_manager.net.reachability import HubReachability, probe_hub
    from setup_manager.net.resolve import resolve_repository_model
    from setup_manager.net.token import find_token, is_offline
    from setup_manager.net.transport import (
        HttpTransport,
        NoTransport,
        Stream,
        Transport,
        TransportError,
    )

__all__ = [
    "Action",
    "BadAnswerError",
    "Fault",
    "HttpTransport",
    "HubMetadata",
    "HubReachability",
    "LocalClient",
    "Located",
    "Moved",
    "NetworkOptions",
    "NoAnswerError",
    "NoTransport",
    "Range",
    "Stream",
    "Transport",
    "TransportError",
    "Verdict",
    "find_token",
    "is_offline",
    "judge_content",
    "judge_resolve",
    "next_hop",
    "origin_of",
    "probe_hub",
    "resolve_repository_model",
    "resolve_url",
    "shown",
    "strong_etag",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        local="BadAnswerError LocalClient NoAnswerError",
        metadata="HubMetadata",
        options="NetworkOptions",
        protocol="Action Fault Located Moved Range Verdict judge_content judge_resolve next_hop origin_of resolve_url shown strong_etag",
        reachability="HubReachability probe_hub",
        resolve="resolve_repository_model",
        token="find_token is_offline",
        transport="HttpTransport NoTransport Stream Transport TransportError",
    )
