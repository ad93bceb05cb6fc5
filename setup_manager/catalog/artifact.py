"""Artifact: one file of one repository at one commit, with the size and digest it must have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from setup_manager.errors import VerificationFailedError
from setup_manager.fs import wrong_path

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Role(StrEnum):
    """What a file is for."""

    WEIGHTS = "weights"
    PROJECTOR = "projector"
    DRAFTER = "drafter"


@dataclass(frozen=True, slots=True)
class Artifact:
    """The identity of a file; what a download is held to.

    A digest is valid only together with its commit: repositories upload files again under the
    same name.

    Attributes:
        repository: ``org/name`` on the hub.
        path: Path inside the repository, with ``/``.
        commit: Full commit, 40 hexadecimal digits.
        size_bytes: Exact length.
        sha256: Lower-case hexadecimal SHA-256 of the content.
        role: What the file is for.
    """

    repository: str
    path: str
    commit: str
    size_bytes: int
    sha256: str
    role: Role = Role.WEIGHTS

    @property
    def name(self) -> str:
        """Last component of the path."""
        return self.path.rsplit("/", 1)[-1]

    @staticmethod
    def is_commit(text: str) -> bool:
        """Tell whether a text is a full commit."""
        return _COMMIT.fullmatch(text) is not None

    def check(self) -> None:
        """Make sure that only harmless names become paths on this disk.

        Raises:
            VerificationFailedError: If repository, commit, digest or path could lead out of its
                folder, or cannot be a name.
        """
        what = {
            "repository": _wrong_repository(self.repository),
            "commit": None if self.is_commit(self.commit) else "is not 40 hexadecimal digits",
            "sha256": None if _SHA256.fullmatch(self.sha256) else "is not 64 hexadecimal digits",
            "path": wrong_path(self.path),
        }
        for field, problem in what.items():
            if problem is not None:
                raise VerificationFailedError(
                    f"The {field} of a file cannot be used: it {problem}.",
                    code="unsafe-name",
                    context=[f"repository {self.repository!r}", f"path {self.path!r}"],
                    hint="Take another repository, or report this one to its owner; nothing was "
                    "written.",
                )


def _wrong_repository(name: str) -> str | None:
    if not _REPOSITORY.fullmatch(name) or len(name) > 200:
        return "is not of the form org/name"
    # "--" stands for "/" in the cache's folder names; the hub forbids both pairs in names.
    return "contains '--' or '..'" if "--" in name or ".." in name else None


@dataclass(frozen=True, slots=True)
class Model:
    """What a MODEL argument means: the files that are fetched together.

    Attributes:
        name: Canonical spelling, e.g. ``"e4b:UD-Q4_K_XL"`` or ``"org/repo:Q4_K_M"``.
        variant: Variant key such as ``"e4b"``, or None for a repository outside the catalogue.
        quantization: Label of the quantization, e.g. ``"UD-Q4_K_XL"``.
        qat: Whether the weights were trained for this quantization.
        weights: The weight files in shard order; more than one for a split GGUF.
        projector: The projector that was asked for, or None.
        drafter: The MTP drafter that was asked for, or None.
    """

    name: str
    variant: str | None
    quantization: str
    qat: bool
    weights: tuple[Artifact, ...]
    projector: Artifact | None = None
    drafter: Artifact | None = None

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """All files, weights first."""
        return self.weights + tuple(a for a in (self.projector, self.drafter) if a is not None)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(artifact.size_bytes for artifact in self.artifacts)
