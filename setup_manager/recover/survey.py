"""What `recover` reports: each leftover, who left it, and what will be done with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from setup_manager.catalog import Artifact, Catalog, CatalogFile
from setup_manager.library import ModelFolder
from setup_manager.recover.identify import Evidence, Identity, candidates, read_identity
from setup_manager.recover.leftover import Leftover, shown
from setup_manager.recover.offer import Offer, best_first, weigh
from setup_manager.units import format_size

_ARCHITECTURES = ("gemma4", "gemma4-assistant")


class Action(StrEnum):
    """What is done with a leftover."""

    ADOPT = "adopt"
    FINISH = "finish"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Finding:
    """One leftover and what becomes of it.

    Attributes:
        leftover: What was found.
        action: What will be done: take a whole file, finish a part, or nothing.
        reason: Why, for people.
        description: What it is.
        offer: What it gives, None where it is left alone.
    """

    leftover: Leftover
    action: Action
    reason: str
    description: str = ""
    offer: Offer | None = None

    @property
    def usable_bytes(self) -> int:
        """Bytes that need not be fetched."""
        return self.offer.usable_bytes if self.offer else 0

    @property
    def state(self) -> str:
        """``"complete"`` or ``"partial"``."""
        if self.offer is not None:
            return "complete" if self.offer.complete else "partial"
        return "complete" if self.leftover.trace.finished else "partial"

    def to_document(self) -> dict[str, object]:
        """Make the entry of ``data.found``."""
        artifact = self.offer.artifact if self.offer else None
        return {
            "path": _as_text(self.leftover.path),
            "left_by": self.leftover.trace.left_by.replace("`", ""),
            "state": self.state,
            "usable_bytes": self.usable_bytes,
            "action": self.action.value,
            "reason": self.reason,
            "description": self.description,
            "size_bytes": self.leftover.size_bytes,
            "repository": artifact.repository if artifact else None,
            "file": artifact.path if artifact else None,
        }


def survey_leftovers(
    leftovers: Iterable[Leftover],
    catalog: Catalog,
    resolve: Callable[[CatalogFile], Artifact | None],
    busy: Mapping[Path, str],
    *,
    layout: ModelFolder | None = None,
    named: frozenset[Path] = frozenset(),
) -> tuple[Finding, ...]:
    """Say of each leftover what it is and what will be done with it.

    Args:
        leftovers: What `find_leftovers` found.
        catalog: The files that count.
        resolve: Makes the artifact of a file of the catalogue, asking the hub where it is not
            pinned; None where it cannot.
        busy: Why some have to be left alone, from `find_busy`.
        layout: Where installed files are: those are passed over, and leftovers of them left alone.
        named: Files that the user named: reported even where they are nothing of ours.

    Returns:
        A finding each; files that are no Gemma 4 are passed over.
    """
    findings = []
    named = frozenset(Path(os.path.realpath(path)) for path in named)  # as leftovers have it
    for leftover in leftovers:
        finding = _finding(leftover, catalog, resolve, busy)
        if finding is not None and layout is not None:
            finding = _unless_installed(finding, layout)
        if finding is not None:
            findings.append(finding)
        elif leftover.path in named:
            findings.append(Finding(leftover, Action.LEAVE, "not a file of the catalogue"))
    return tuple(findings)


def _as_text(path: Path) -> str:
    """Write a path as it is; where it is no Unicode, as it is shown."""
    text = str(path)
    return text if text.isascii() or text.encode(errors="ignore").decode() == text else shown(path)


def by_artifact(findings: Iterable[Finding]) -> dict[Artifact, tuple[Offer, ...]]:
    """Gather what can be used for each file, the best first, as `TakeOver.use` takes it."""
    offers: dict[Artifact, list[Offer]] = {}
    for finding in findings:
        if finding.offer is not None and finding.action is not Action.LEAVE:
            offers.setdefault(finding.offer.artifact, []).append(finding.offer)
    return {artifact: best_first(of_file) for artifact, of_file in offers.items()}


def _unless_installed(finding: Finding, layout: ModelFolder) -> Finding | None:
    """Leave a leftover alone whose file is here; None if it is that very file."""
    if finding.offer is None:
        return finding
    visible = layout.places(finding.offer.artifact).visible
    try:
        if visible.stat().st_size != finding.offer.artifact.size_bytes:
            return finding
        if visible.samefile(finding.leftover.path):
            return None
    except OSError:
        return finding
    reason = f"{finding.offer.artifact.name} is already here: {visible}"
    return replace(finding, action=Action.LEAVE, reason=reason)


def pinned_only(file: CatalogFile) -> Artifact | None:
    """Make the artifact of a pinned file; the resolver that needs no network."""
    return file.artifact() if file.pinned else None


def _finding(
    leftover: Leftover,
    catalog: Catalog,
    resolve: Callable[[CatalogFile], Artifact | None],
    busy: Mapping[Path, str],
) -> Finding | None:
    try:
        identity = read_identity(leftover)
        likely = candidates(identity, catalog.files)
        if not likely and not _is_gemma(identity):
            return None
        if leftover.path in busy:
            return Finding(leftover, Action.LEAVE, busy[leftover.path], identity.description)
        offers = _offers(leftover, identity, [file for _, file in likely], catalog, resolve)
    except OSError as problem:
        return Finding(leftover, Action.LEAVE, f"cannot be read: {problem.strerror}")
    if not offers:
        return Finding(leftover, Action.LEAVE, _why_left(likely), identity.description)
    best = max(offers, key=lambda offer: (offer.match.evidence, offer.usable_bytes))
    return _chosen(best)


def _offers(
    leftover: Leftover,
    identity: Identity,
    files: Iterable[CatalogFile],
    catalog: Catalog,
    resolve: Callable[[CatalogFile], Artifact | None],
) -> list[Offer]:
    current = dict.fromkeys(_current(file, catalog) for file in files)
    artifacts = [artifact for file in current if file and (artifact := resolve(file))]
    offers = [weigh(leftover, artifact, identity=identity) for artifact in artifacts]
    return [offer for offer in offers if offer is not None]


def _current(file: CatalogFile, catalog: Catalog) -> CatalogFile | None:
    """Return the file as the repository has it today."""
    if not file.superseded:
        return file
    return next(
        (
            other
            for other in catalog.files
            if not other.superseded
            and (other.repository, other.path) == (file.repository, file.path)
        ),
        None,
    )


def _is_gemma(identity: Identity) -> bool:
    return identity.header is not None and identity.header.architecture in _ARCHITECTURES


def _why_left(likely: tuple[tuple[object, CatalogFile], ...]) -> str:
    if not likely:
        return "a Gemma 4 file that the catalogue does not list"
    if all(file.superseded for _, file in likely):
        return "an upload from before July 2026, which has another chat template"
    return "no complete chunk in it can be used"


def _other_upload(offer: Offer) -> Finding:
    what = "looks like another upload of the same tensors, as before July 2026"
    identity = offer.identity
    if identity.size_bytes is not None and identity.length_bytes >= identity.size_bytes:
        # A whole model is nobody's leftover; `download` uses it when its successor is wanted.
        usable = format_size(offer.usable_bytes)
        reason = f"{what}, and complete: downloading its successor would reuse {usable} of it"
        return Finding(offer.leftover, Action.LEAVE, reason, identity.description, offer)
    reason = f"{what}: {offer.sentence}; the header is downloaded again"
    return Finding(offer.leftover, Action.FINISH, reason, identity.description, offer)


def _chosen(offer: Offer) -> Finding:
    if offer.match.evidence is Evidence.OTHER_UPLOAD:
        return _other_upload(offer)
    if offer.complete:
        reason = (
            f"all {format_size(offer.artifact.size_bytes)} are here; the SHA-256 will be checked"
        )
        return Finding(offer.leftover, Action.ADOPT, reason, offer.artifact.name, offer)
    return Finding(offer.leftover, Action.FINISH, offer.sentence, offer.artifact.name, offer)
