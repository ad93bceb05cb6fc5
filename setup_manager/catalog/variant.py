"""Variants: the sizes Gemma 4 comes in; and the files that the catalogue has of them.

The field names are those of the catalogue's file, the bounds those that it is held to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from setup_manager.catalog.architecture import Architecture, Positive
from setup_manager.catalog.artifact import Artifact, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One size of the family.

    Attributes:
        key: What is typed: ``"e2b"``, ``"e4b"``, …; the key of its entry.
        name: As published, e.g. ``"Gemma 4 26B-A4B"``.
        parameters: As published, e.g. ``"25.2B total, 3.8B active"``.
        modalities: Kinds of input, e.g. ``("text", "image")``.
        architecture: Its constants.
        default_quantization: Label taken when none is given.
        licence: SPDX identifier.
        quality: Rank among the variants on published evaluations, 1 is the best answer.
    """

    key: str = ""
    name: str
    parameters: str
    modalities: Annotated[tuple[str, ...], Meta(min_length=1)]
    architecture: Architecture
    default_quantization: str
    licence: str
    quality: Positive


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """A file the catalogue knows of; pinned when commit, size and digest are all known.

    Attributes:
        variant: Key of the variant it belongs to.
        quantization: Label, e.g. ``"Q4_K_M"``; for QAT weights ``"QAT-Q4_0"`` and the like;
            ``""`` where a projector's or drafter's is unknown.
        qat: Whether the weights were trained for this quantization.
        role: What the file is for.
        repository: ``org/name`` on the hub.
        path: Path inside the repository; the first shard of a split file.
        commit: Full commit, or None.
        size_bytes: Exact length, or None.
        sha256: Digest, or None.
        superseded: Whether the repository has replaced this upload; kept to recognise old files.
    """

    variant: str
    quantization: str
    qat: bool
    role: Role
    repository: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")]
    path: str
    commit: Annotated[str, Meta(pattern="^[0-9a-f]{40}$")] | None
    size_bytes: Positive | None
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None
    superseded: bool = False

    @property
    def pinned(self) -> bool:
        """Whether the file can be fetched without asking the hub what it is."""
        return None not in (self.commit, self.size_bytes, self.sha256)

    def artifact(self) -> Artifact:
        """Make the artifact of a pinned file.

        Raises:
            ValueError: If the file is not pinned.
        """
        if self.commit is None or self.size_bytes is None or self.sha256 is None:
            raise ValueError(f"{self.repository}/{self.path} is not pinned")
        return Artifact(
            repository=self.repository,
            path=self.path,
            commit=self.commit,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            role=self.role,
        )
