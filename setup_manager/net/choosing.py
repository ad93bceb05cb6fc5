"""Choosing the files of a repository that is in no catalogue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from setup_manager.catalog import Artifact, HubReference, Model, Quantization, Role, read_name
from setup_manager.errors import AccessDeniedError, UsageError, VerificationFailedError

_PROJECTOR_ORDER = ("F16", "BF16", "Q8_0", None, "F32")
_DRAFTER_ORDER = ("Q8_0", "Q4_0", None, "F16", "BF16")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a commit.

    Attributes:
        path: Path inside the repository.
        size_bytes: Length.
        sha256: Digest of the content, None for a small file that git holds itself.
        git_sha1: Git's name for the blob.
    """

    path: str
    size_bytes: int
    sha256: str | None
    git_sha1: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository at one commit.

    Attributes:
        repository: ``org/name`` as the hub spells it.
        commit: 40 hexadecimal digits.
        files: By path.
    """

    repository: str
    commit: str
    files: tuple[RemoteFile, ...]


@dataclass(frozen=True, slots=True)
class _Weights:
    """The files of one quantization, in shard order."""

    label: str
    files: tuple[RemoteFile, ...]

    @property
    def path(self) -> str:
        return self.files[0].path


def choose_files(
    reference: HubReference,
    snapshot: Snapshot,
    *,
    with_projector: bool = False,
    with_drafter: bool = False,
) -> Model:
    """Choose the files that a MODEL argument means, pinned to the snapshot's commit.

    Args:
        reference: A repository and quantization, or one file; a shard stands for all of them.
        snapshot: What the repository holds.
        with_projector: Take the projector of the repository too.
        with_drafter: Take its MTP drafter too.

    Raises:
        AccessDeniedError: If there is no such file.
        UsageError: If there is no such quantization, projector or drafter.
        VerificationFailedError: If the hub gives no digest, or shards are missing.
    """
    repository, files = snapshot.repository, snapshot.files
    # From here on as the hub spells it: the folder on disk is named after it.
    reference = replace(reference, repository=repository)
    weights = _complete(_choose_weights(reference, files), repository)
    companions = {
        role: _companion(repository, files, weights.path, role)
        for role, wanted in ((Role.PROJECTOR, with_projector), (Role.DRAFTER, with_drafter))
        if wanted
    }

    def pin(file: RemoteFile, role: Role) -> Artifact:
        return _pinned(repository, snapshot.commit, file, role)

    return Model(
        name=_canonical_name(reference, weights),
        variant=None,
        quantization=weights.label,
        qat=read_name(repository, weights.path).qat,
        weights=tuple(
            pin(file, read_name(repository, file.path).role or Role.WEIGHTS)
            for file in weights.files
        ),
        projector=pin(companions[Role.PROJECTOR], Role.PROJECTOR) if with_projector else None,
        drafter=pin(companions[Role.DRAFTER], Role.DRAFTER) if with_drafter else None,
    )


def _canonical_name(reference: HubReference, weights: _Weights) -> str:
    if reference.path is None:
        return f"{reference.repository}:{weights.label}"
    at = "" if reference.revision == "main" else f"@{reference.revision}"
    return f"{reference.repository}/{weights.path}{at}"


def _choose_weights(reference: HubReference, files: Sequence[RemoteFile]) -> _Weights:
    if reference.path is not None:
        return _one_file(reference, reference.path, files)
    groups = _grouped(
        reference.repository, (f for f in files if read_name("", f.path).role is Role.WEIGHTS)
    )
    if not groups:
        raise UsageError(
            f"{reference.repository} has no GGUF model.",
            code="no-gguf",
            context=[f"it contains: {_some([file.path for file in files])}"],
            hint="Look for a repository whose name ends with GGUF; `gemma-setup list` shows those "
            "of Gemma 4.",
        )
    if reference.quantization is None:
        return min(groups, key=_default_rank)
    return _matching(reference, groups)


def _grouped(repository: str, files: Iterable[RemoteFile]) -> list[_Weights]:
    """Put the shards of a model together."""
    groups: dict[tuple[str, int], list[RemoteFile]] = defaultdict(list)
    for file in files:
        shard = read_name("", file.path).shard
        groups[(shard.prefix, shard.count) if shard else (file.path, 1)].append(file)
    return [
        _Weights(
            read_name(repository, group[0].path).label or "unknown",
            tuple(sorted(group, key=lambda file: file.path)),
        )
        for group in groups.values()
    ]


def _matching(reference: HubReference, groups: Sequence[_Weights]) -> _Weights:
    """Find the quantization by its label, then by looser spellings of it."""
    wanted = (reference.quantization or "").upper()
    spellings: tuple[Callable[[_Weights], bool], ...] = (
        lambda group: group.label == wanted,
        lambda group: group.label.removeprefix("QAT-") == wanted,
        lambda group: group.label.removeprefix("QAT-").removeprefix("UD-") == wanted,
        lambda group: wanted == "QAT" and group.label.startswith("QAT-"),
    )
    for is_meant in spellings:
        if found := [group for group in groups if is_meant(group)]:
            if wanted != "QAT" and len(found) > 1:
                raise _ambiguous(reference, found)
            return min(found, key=_default_rank)
    raise _no_quantization(reference, wanted, groups)


def _default_rank(group: _Weights) -> tuple[bool, bool, int, str]:
    """Order what is taken when no quantization is named: trained before not, as the table has it.

    A label that is not in the table comes last.
    """
    label = group.label.removeprefix("QAT-")
    row = Quantization.of(label)
    return label == group.label, row is None, row.rank if row else 0, group.path


def _complete(weights: _Weights, repository: str) -> _Weights:
    """Make sure that every shard is there."""
    shards = [read_name("", file.path).shard for file in weights.files]
    count = shards[0].count if shards[0] else 1
    if [shard.index for shard in shards if shard] in ([], list(range(1, count + 1))):
        return weights
    raise VerificationFailedError(
        f"Shards of {repository}:{weights.label} are missing.",
        code="missing-shard",
        context=[f"the repository has {len(shards)} of {count}", *(f.path for f in weights.files)],
        hint="Choose another quantization, or try again later: the upload may be incomplete.",
    )


def _one_file(reference: HubReference, path: str, files: Sequence[RemoteFile]) -> _Weights:
    for group in _grouped(reference.repository, files):
        if any(file.path == path for file in group.files):
            return group
    ggufs = [file.path for file in files if file.path.lower().endswith(".gguf")]
    close = get_close_matches(path, ggufs, n=1, cutoff=0.5)
    meant = f"Did you mean {reference.repository}/{close[0]}? " if close else ""
    raise AccessDeniedError(
        f"{reference.repository} has no file {path}.",
        code="no-file",
        context=[f"at {reference.revision} it has: {_some(ggufs)}"],
        hint=f"{meant}Name one of its files; names are case-sensitive.",
    )


def _no_quantization(
    reference: HubReference, wanted: str, groups: Sequence[_Weights]
) -> UsageError:
    labels = sorted({group.label for group in groups})
    close = get_close_matches(wanted, labels, n=1, cutoff=0.4)
    meant = f"Did you mean {reference.repository}:{close[0]}?" if close else ""
    return UsageError(
        f"{reference.repository} has no quantization {reference.quantization!r}.",
        code="unknown-quantization",
        context=[f"it has: {', '.join(labels)}"],
        hint=meant or f"Choose one of these, as {reference.repository}:{labels[0]}.",
    )


def _ambiguous(reference: HubReference, found: Sequence[_Weights]) -> UsageError:
    return UsageError(
        f"{reference.repository}:{reference.quantization} can mean {len(found)} models.",
        code="ambiguous-model",
        context=[group.path for group in found],
        hint=f"Name the file: {reference.repository}/{found[0].path}",
    )


def _companion(
    repository: str, files: Sequence[RemoteFile], weights_path: str, role: Role
) -> RemoteFile:
    """Choose the projector or drafter: one from the weights' folder or above it, the deepest."""
    order: tuple[str | None, ...]
    order = _PROJECTOR_ORDER if role is Role.PROJECTOR else _DRAFTER_ORDER
    folder = _folder(weights_path)
    near = [
        file
        for file in files
        if read_name(repository, file.path).role is role and folder.startswith(_folder(file.path))
    ]
    if not near:
        raise UsageError(
            f"{repository} has no {role} for this model.",
            code=f"no-{role}",
            hint=f"Leave out --with-{role}.",
        )

    def rank(file: RemoteFile) -> tuple[int, int, str]:
        label = read_name(repository, file.path).quantization
        place = order.index(label) if label in order else len(order)
        return -len(_folder(file.path)), place, file.path

    return min(near, key=rank)


def _folder(path: str) -> str:
    """Return the folder of a path with a slash at its end, or nothing."""
    return path[: path.rfind("/") + 1]


def _pinned(repository: str, commit: str, file: RemoteFile, role: Role) -> Artifact:
    if file.sha256 is None:
        raise VerificationFailedError(
            f"The hub has no SHA-256 for {file.path}.",
            code="no-digest",
            context=[f"repository {repository} at {commit}"],
            hint="Choose another file or repository: without a digest it cannot be verified.",
        )
    return Artifact(repository, file.path, commit, file.size_bytes, file.sha256, role)


def _some(names: Sequence[str], limit: int = 12) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more if names else "nothing"
