"""The one transport: requests and answers, what they mean, and who may see a token.

Everything that goes over HTTP goes through here: questions to a hub, the bytes of files, servers on
this machine. May import: catalog and the rooms below.
Invariants: a token goes to its own scheme, host and port alone; a failure is a `Fault`, never the
words of a message; nothing that is shown holds a password.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.net.faults import Action, BadAnswerError, Fault, RequestError, Verdict
    from setup_manager.net.hub import Hub
    from setup_manager.net.local import LocalClient
    from setup_manager.net.options import NetworkOptions
    from setup_manager.net.origin import HubAccess, Origin
    from setup_manager.net.transport import Stream, Transport

__all__ = [
    "Action",
    "BadAnswerError",
    "Fault",
    "Hub",
    "HubAccess",
    "LocalClient",
    "NetworkOptions",
    "Origin",
    "RequestError",
    "Stream",
    "Transport",
    "Verdict",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        faults="Action BadAnswerError Fault RequestError Verdict",
        hub="Hub",
        local="LocalClient",
        options="NetworkOptions",
        origin="HubAccess Origin",
        transport="Stream Transport",
    )
