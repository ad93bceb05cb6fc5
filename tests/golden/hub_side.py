"""The hub that the recorded runs talk to. Everything taken from the package is imported here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, model_path
from tests.cli.hub import catalog_file, environment_for
from tests.rehearsal.random_weights import write_random
from tests.support.exchange import Fault
from tests.support.faults import always, nth, reset_after, trickle
from tests.support.loopback import Access, LoopbackHub

__all__ = ["FILE_NAME", "HUBS", "REPOSITORY", "VARIANT", "model_bytes", "serving"]


@dataclass(frozen=True, slots=True)
class Hub:
    """How a hub differs from one that serves the rehearsal model well.

    Attributes:
        faults: Makes what goes wrong on the line; made anew for every hub, since they count.
        catalog: Changes to the catalogue's one file.
        access: Who may read the repository.
        content: Makes the content in place of the model, given a scratch folder.
    """

    faults: Callable[[], Sequence[Fault]] = tuple
    catalog: tuple[tuple[str, str | int], ...] = ()
    access: Access = Access.PUBLIC
    content: Callable[[Path], bytes] | None = None


def model_bytes() -> bytes:
    """Read the rehearsal model."""
    return model_path().read_bytes()


def _gibberish(folder: Path) -> bytes:
    path = folder / "random.gguf"
    write_random(model_path(), path, seed=1)
    return path.read_bytes()


HUBS = {
    "good": Hub(),
    "wrong digest": Hub(catalog=(("sha256", "0" * 64),)),
    "huge": Hub(catalog=(("size_bytes", 10**13),)),
    "gated": Hub(access=Access.GATED),
    "private": Hub(access=Access.PRIVATE),
    "zip": Hub(content=lambda _: b"PK\x03\x04" + bytes(2_000_000)),
    "log-in page": Hub(content=lambda _: b"<!DOCTYPE html><html>Welcome to our hotel" * 40_000),
    "gibberish": Hub(content=_gibberish),
    "slow": Hub(faults=lambda: [always(trickle(50_000))]),
    "one reset": Hub(faults=lambda: [nth(1, reset_after(100_000))]),
}


@contextmanager
def serving(name: str, folder: Path) -> Iterator[dict[str, str]]:
    """Run a hub of `HUBS`; yield the environment that points the program at it."""
    hub = HUBS[name]
    content = hub.content(folder) if hub.content else model_bytes()
    repositories = {REPOSITORY: {FILE_NAME: content}}
    access = {REPOSITORY: hub.access}
    with LoopbackHub(repositories, faults=hub.faults(), access=access) as served:
        catalog = catalog_file(folder, served, **dict(hub.catalog))
        yield dict(environment_for(served, catalog))
