"""Headers of GGUF files, from this disk where they are here, else by ranged requests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from setup_manager.catalog import Artifact
from setup_manager.errors import VerificationFailedError
from setup_manager.gguf import GgufError, Header, NeedMoreBytes, read_header
from setup_manager.session.session import Session
from setup_manager.units import MIB

if TYPE_CHECKING:
    from setup_manager.download import RangeReader

# The header of a real Gemma 4 is 15 to 20 MB long, nearly all of it vocabulary.
_FIRST_BYTES = 1 * MIB
_STEP_BYTES = 8 * MIB


def local_headers(paths: Sequence[Path]) -> tuple[Header, ...] | None:
    """Read the headers of files on this disk; None if one cannot be read."""
    headers = []
    for path in paths:
        try:
            with path.open("rb") as file:
                headers.append(read_header(file))
        except (OSError, GgufError):
            return None
    return tuple(headers)


def remote_headers(session: Session, artifacts: Sequence[Artifact]) -> tuple[Header, ...]:
    """Read the headers of files on the hub.

    Raises:
        VerificationFailedError: If a file is no GGUF.
        DownloadFailedError: If the hub cannot be read.
    """
    with session.downloader.reader(session.origins) as reader:
        return tuple(_remote_header(reader, artifact) for artifact in artifacts)


def _remote_header(reader: RangeReader, artifact: Artifact) -> Header:
    content = b""
    wanted = _FIRST_BYTES
    while True:
        wanted = min(wanted, artifact.size_bytes)
        content += reader.read(artifact, len(content), wanted - len(content))
        try:
            return read_header(content)
        except NeedMoreBytes as more:
            if len(content) >= artifact.size_bytes:
                raise _no_gguf(artifact, "it ends inside its header") from more
            wanted = max(more.needed_bytes, len(content) + _STEP_BYTES)
        except GgufError as error:
            raise _no_gguf(artifact, str(error)) from error


def _no_gguf(artifact: Artifact, problem: str) -> VerificationFailedError:
    return VerificationFailedError(
        f"{artifact.name} is not a GGUF file.",
        code="not-a-gguf",
        context=[f"{artifact.repository}/{artifact.path}", problem],
        hint="Choose another file or repository; `gemma-setup list` shows the ones for Gemma 4.",
    )
