"""A real installation over a bad line, and reports of it and of the real catalogue."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from setup_manager.app import install
from setup_manager.catalog.load import load_catalog
from setup_manager.machine.facts import Container, Disk, Machine, MemoryUser
from setup_manager.rehearsal.model import (
    FILE_NAME,
    REPOSITORY,
    VARIANT,
    catalog_path,
    model_path,
)
from setup_manager.report.content import Content
from setup_manager.report.facts import ReportRequest, gather
from setup_manager.session.session import Session
from setup_manager.units import GIB
from tests.fit.machines import cpu_machine
from tests.support.faults import BadLine
from tests.support.loopback import LoopbackHub
from tests.support.sessions import session_at

CREATED_AT = "2026-05-04T03:02:01+00:00"
MODEL = "rehearsal:F16"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session in whose home the rehearsal model was installed: downloaded, started, asked."""
    pytest.importorskip("xllamacpp", reason="the embedded engine is not installed")
    home = tmp_path_factory.mktemp("report") / "alice"
    with LoopbackHub({REPOSITORY: {FILE_NAME: model_path()}}, faults=[BadLine()]) as hub:
        session = session_at(home, hub.endpoint)
        session.catalog = load_catalog(catalog_path())
        request = install.Request(model=VARIANT, context=4096, runtime="embedded")
        install.run(session, install.plan(session, request))
    return session


@pytest.fixture(scope="session")
def content(installed: Session) -> Content:
    """What a report tells of that installation."""
    return gather(installed, ReportRequest(created_at=CREATED_AT))


@pytest.fixture
def planned(tmp_path: Path) -> Callable[..., Content]:
    """Gather what a report tells of a model that is not installed, on a made-up machine."""

    def gathered(machine: Machine | None = None, **request: object) -> Content:
        session = session_at(tmp_path)
        session.catalog = load_catalog()
        session.machine = machine or private_machine()
        return gather(session, ReportRequest(**request))  # type: ignore[arg-type]

    return gathered


def private_machine(available_gib: float = 6.0) -> Machine:
    """A machine that tells of its owner: programs, folders, devices."""
    machine = cpu_machine(
        available_gib,
        16.0,
        users=(MemoryUser("secret-editor", 5 * GIB, 3), MemoryUser("diary", 2 * GIB, 1)),
    )
    disk = Disk("/home/alice/models", 10**11, 10**12, "ext4", device="alices-usb-stick")
    return replace(machine, disks=(disk,), container=Container(proxies=("ALICE_PROXY",)))
