"""Fixtures of the download tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.download.rig import DATA, PATH, REPOSITORY, Rig
from tests.support.exchange import Fault
from tests.support.loopback import LoopbackHub

MakeRig = Callable[..., Rig]


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[MakeRig]:
    """Make a rig: `make_rig(faults, data=…, hub_options=…, **fields of Rig)`."""
    with ExitStack() as stack:

        def make(
            faults: Sequence[Fault] = (),
            *,
            data: bytes = DATA,
            path: str = PATH,
            hub_options: dict[str, Any] | None = None,
            **fields: Any,
        ) -> Rig:
            repositories = {REPOSITORY: {path: data}}
            hub = stack.enter_context(
                LoopbackHub(repositories, faults=faults, **(hub_options or {}))
            )
            artifact = hub.artifact(REPOSITORY, path)
            return Rig(tmp_path / "cache", hub, artifact, **fields)

        yield make
