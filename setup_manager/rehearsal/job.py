"""The rehearsal: the whole job on a tiny real model, from a loopback hub over a bad line.

Everything but the hub and the model is what `install` uses. All of it happens in a temporary
folder, which goes when the rehearsal ends, however it ends.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from setup_manager.app import install
from setup_manager.errors import SetupError
from setup_manager.rehearsal.hub import RehearsalHub
from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, catalog_path, model_path
from setup_manager.session import Session, open_session

# What of the user's own a rehearsal must not use: the hub, a folder, a proxy, a certificate.
_LEFT_OUT = re.compile(
    r"HF_.*|HUGGING.*|GEMMA_SETUP_.*|.*_PROXY|.*_CA_BUNDLE|SSL_CERT_FILE", re.IGNORECASE
)
# Shorter than for a real hub, so that the stall of the bad line is noticed while people watch.
_STALL_SECONDS = 2.0
_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class RehearsalResult:
    """How a rehearsal went.

    Attributes:
        install: How far the installation came.
        error: What stopped it, or None.
        mishaps: What the line did, in order.
        served_bytes: What the hub sent in all.
        file_bytes: Length of the model.
    """

    install: install.Progress
    error: SetupError | None
    mishaps: tuple[str, ...]
    served_bytes: int
    file_bytes: int

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `rehearse`."""
        return {
            **self.install.document(),
            "mishaps": list(self.mishaps),
            "served_bytes": self.served_bytes,
            "file_bytes": self.file_bytes,
        }


def rehearse(session: Session, runtime: str) -> RehearsalResult:
    """Do the whole job, and leave nothing behind.

    Args:
        session: The user's own; its folders are not touched.
        runtime: What is to run the model, or ``"auto"``.

    Raises:
        SetupError: If the temporary folder cannot be made.
    """
    content = model_path().read_bytes()
    request = install.Request(model=VARIANT, context=4096, runtime=runtime)
    with (
        _temporary_folder(session.paths.temporary.path) as folder,
        RehearsalHub(REPOSITORY, FILE_NAME, content) as hub,
    ):
        came, error = _install(_session_in(folder, session, hub.endpoint), request)
        mishaps = tuple(hub.mishaps)
        return RehearsalResult(came, error, mishaps, hub.served_bytes, len(content))


def _install(
    session: Session, request: install.Request
) -> tuple[install.Progress, SetupError | None]:
    try:
        return install.run(session, install.plan(session, request)), None
    except SetupError as error:
        if not isinstance(error.partial, install.Progress):
            raise
        return error.partial, error


@contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(
            prefix="gemma-setup-rehearsal-", dir=parent, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise SetupError(
            "No temporary folder can be made.",
            code="no-temporary-folder",
            context=[f"{parent}: {error.strerror or error}"],
            hint="Set TMPDIR to a folder that is writable.",
        ) from error
    with folder as name:
        yield Path(name)


def _session_in(folder: Path, session: Session, endpoint: str) -> Session:
    """Make a session in which every folder is temporary and the hub is the rehearsal's."""
    kept = {k: v for k, v in session.environment.items() if not _LEFT_OUT.fullmatch(k)}
    rehearsing = open_session(
        {
            **kept,
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(folder),
            "GEMMA_SETUP_HOME": str(folder),
            "GEMMA_SETUP_CATALOG": str(catalog_path()),
        },
        downloading=replace(session.downloading, chunk_bytes=_CHUNK_BYTES),
        recovering=False,
        observer=session.observer,
        cancel=session.cancel,
        program=session.program,
    )
    rehearsing.network = replace(rehearsing.network, stall_seconds=_STALL_SECONDS)
    return rehearsing
