"""Which file of the catalogue could a leftover be?

Nothing here is proof: a digest in a name, a length and a tensor layout only choose what
`sample.prove` then compares with the hub, and the SHA-256 of the whole decides in the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from setup_manager.catalog import Artifact, CatalogFile
from setup_manager.gguf import GgufError, Header, check_early, read_header
from setup_manager.recover.leftover import Leftover, shown

# The new chat template of July 2026 made the text files longer by 1,440 to 2,144 bytes, and some
# not at all; the tensors behind the header stayed as they were.
_REUPLOAD_DIFFERENCE_BYTES = 64 << 10
_FIRST_BYTES = 4096


class Evidence(IntEnum):
    """Why a leftover may be a certain file; higher is stronger."""

    OTHER_UPLOAD = 1
    NAME = 2
    SIZE = 3
    LAYOUT = 4
    DIGEST = 5


@dataclass(frozen=True, slots=True)
class Match:
    """A file that a leftover may be.

    Attributes:
        evidence: Why.
        shift_bytes: How much further back the leftover's bytes lie in the file; not 0 only for
            another upload of the same tensors.
        first_byte: Bytes of the leftover before this one are of no use.
    """

    evidence: Evidence
    shift_bytes: int = 0
    first_byte: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """What can be told of a leftover without the network.

    Attributes:
        name: The name the file has or will have, ``""`` if unknown.
        sha256: The digest that its name holds, or None.
        size_bytes: Length of the finished file as records or header tell it, or None.
        length_bytes: Length of what is here; the finished file is no shorter.
        header: Its GGUF header, or None where that is not here or not sound.
        why_no_gguf: Why it cannot be a GGUF file, or None if it may be one.
    """

    name: str
    sha256: str | None
    size_bytes: int | None
    length_bytes: int
    header: Header | None
    why_no_gguf: str | None = None

    @property
    def description(self) -> str:
        """Name what it is as well as its header can: ``"Gemma 4 E4B It, Q4_K_M"``."""
        if self.header is None:
            return shown(Path(self.name)) if self.name else "a file of unknown name"
        title = self.header.text("general.name") or self.name or self.header.architecture
        return ", ".join(part for part in (title, self.header.quantization) if part)

    def may_be_named(self, path: str) -> bool:
        """Say whether its name is that of a file; llama.cpp puts the repository in front."""
        wanted = path.rsplit("/", 1)[-1].lower()
        return self.name.lower() == wanted or self.name.lower().endswith(f"_{wanted}")


def read_identity(leftover: Leftover) -> Identity:
    """Read what a leftover is from its name, its tool's records and its header.

    Raises:
        OSError: If it cannot be read.
    """
    header, problem = _header(leftover.path)
    size = leftover.claims.size_bytes if leftover.claims else None
    if size is None and header is not None:
        size = header.file_size_bytes
    return Identity(
        name=leftover.trace.file_name,
        sha256=leftover.trace.sha256,
        size_bytes=size,
        length_bytes=leftover.size_bytes,
        header=header,
        why_no_gguf=problem,
    )


def _header(path: Path) -> tuple[Header | None, str | None]:
    with path.open("rb") as file:
        first = file.read(_FIRST_BYTES)
        if not first.strip(b"\0"):
            return None, None  # the part with the header has not come yet
        problem = check_early(first)
        if problem is not None:
            return None, problem.reason
        file.seek(0)
        try:
            return read_header(file), None
        except GgufError:
            return None, None


def cannot_be(leftover: Leftover, file: Artifact | CatalogFile) -> bool:
    """Say without reading it that a leftover is of no use for a file."""
    if leftover.trace.sha256 is not None and leftover.trace.sha256 == file.sha256:
        return False
    claimed = leftover.claims.size_bytes if leftover.claims else None
    length = claimed or (leftover.size_bytes if leftover.trace.finished else 0)
    if file.size_bytes is None or length == 0:
        return False
    return length > file.size_bytes + _REUPLOAD_DIFFERENCE_BYTES


def match(identity: Identity, file: Artifact | CatalogFile) -> Match | None:
    """Say why a leftover may be a file, or None if it cannot be that file."""
    if identity.why_no_gguf is not None:
        return None
    if identity.sha256 is not None and identity.sha256 == file.sha256:
        return Match(Evidence.DIGEST)
    same_digest_possible = identity.sha256 is None or file.sha256 is None
    if same_digest_possible and (evidence := _evidence(identity, file)) is not None:
        return Match(evidence)
    return _other_upload(identity, file.size_bytes)


def _evidence(identity: Identity, file: Artifact | CatalogFile) -> Evidence | None:
    size = file.size_bytes
    if size is None:
        return Evidence.NAME if identity.may_be_named(file.path) else None
    if identity.size_bytes is not None:
        # It may be longer: two writers to one part have made it so. What is beyond is ignored.
        if identity.size_bytes != size:
            return None
        return Evidence.LAYOUT if identity.header is not None else Evidence.SIZE
    if identity.length_bytes == size:
        return Evidence.SIZE
    if identity.length_bytes < size and identity.may_be_named(file.path):
        return Evidence.NAME
    return None


def _other_upload(identity: Identity, size_bytes: int | None) -> Match | None:
    """Take an older or newer upload of the same tensors for what it can still give."""
    if identity.header is None or identity.size_bytes is None or size_bytes is None:
        return None
    shift = size_bytes - identity.size_bytes
    if abs(shift) > _REUPLOAD_DIFFERENCE_BYTES or shift % identity.header.alignment:
        return None
    # Without a shift the samples at the chat template find the header that differs.
    first_byte = identity.header.data_offset if shift else 0
    return Match(Evidence.OTHER_UPLOAD, shift, first_byte)


def candidates(
    identity: Identity, files: Iterable[CatalogFile]
) -> tuple[tuple[Match, CatalogFile], ...]:
    """List the files of a catalogue that a leftover may be, on the strongest evidence there is.

    Current files come before superseded ones, those of the right name before others.
    """
    matches = [(found, file) for file in files if (found := match(identity, file)) is not None]
    strongest = max((found.evidence for found, _ in matches), default=None)
    best = [pair for pair in matches if pair[0].evidence == strongest]
    best.sort(key=lambda pair: (pair[1].superseded, not identity.may_be_named(pair[1].path)))
    return tuple(best)
