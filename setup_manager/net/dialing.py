"""Connecting to a host that has several addresses, some of which may not answer.

Addresses of both families are tried in turn with a short head start each ("Happy Eyeballs",
RFC 8305), so that a host with broken IPv6 costs a quarter of a second and not a time limit.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import suppress
from itertools import chain, zip_longest

Address = tuple[
    socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]


def interleaved(addresses: list[Address]) -> list[Address]:
    """Order addresses so that families alternate, beginning with the resolver's first choice."""
    if not addresses:
        return []
    first = addresses[0][0]
    mine = [address for address in addresses if address[0] == first]
    others = [address for address in addresses if address[0] != first]
    pairs = chain.from_iterable(zip_longest(mine, others))
    return [address for address in pairs if address is not None]


def dial(host: str, port: int, seconds: float, head_start_seconds: float) -> socket.socket:
    """Connect to whichever address of a host answers first.

    Args:
        host: Name or address.
        port: Port.
        seconds: Time limit over all attempts.
        head_start_seconds: How long one attempt is alone before the next begins beside it.

    Raises:
        socket.gaierror: If the name has no address.
        TimeoutError: If none answered in time.
        OSError: If all refused; the last refusal.
    """
    deadline = time.monotonic() + seconds
    waiting = interleaved(_look_up(host.strip("[]"), port, seconds))
    failure: OSError = TimeoutError("no address answered in time")
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise failure if not selector.get_map() else TimeoutError("timed out")
                if waiting:
                    failure = _begin(selector, waiting.pop(0)) or failure
                pause = min(left, head_start_seconds) if waiting else left
                winner, refusal = _first_answer(selector, pause)
                if winner is not None:
                    return winner
                failure = refusal or failure
            raise failure
        finally:
            for key in list(selector.get_map().values()):
                selector.unregister(key.fileobj)
                key.data.close()


def _look_up(host: str, port: int, seconds: float) -> list[Address]:
    """Ask for a name's addresses; a name server that does not answer is left behind."""
    found: list[Address] = []
    failures: list[Exception] = []

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend((family, address) for family, _, _, _, address in answers)
        except (OSError, UnicodeError) as error:
            failures.append(error)

    asking = threading.Thread(target=ask, name="name-lookup", daemon=True)
    asking.start()
    asking.join(seconds)
    if failures:
        raise failures[0]
    if asking.is_alive():
        raise socket.gaierror(socket.EAI_AGAIN, "no name server answered in time")
    return found


def _begin(selector: selectors.BaseSelector, address: Address) -> OSError | None:
    connection = None
    try:
        connection = socket.socket(address[0], socket.SOCK_STREAM)
        connection.setblocking(False)  # noqa: FBT003
        with suppress(BlockingIOError):
            connection.connect(address[1])
        selector.register(connection, selectors.EVENT_WRITE, connection)
    except OSError as error:
        if connection is not None:
            connection.close()
        return error
    return None


def _first_answer(
    selector: selectors.BaseSelector, seconds: float
) -> tuple[socket.socket | None, OSError | None]:
    if not selector.get_map():
        return None, None
    refusal = None
    for key, _ in selector.select(seconds):
        connection: socket.socket = key.data
        selector.unregister(connection)
        number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number == 0:
            connection.setblocking(True)  # noqa: FBT003
            return connection, None
        connection.close()
        refusal = OSError(number, "the connection was refused")
    return None, refusal
