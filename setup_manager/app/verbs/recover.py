"""Using what other tools left: found, compared with the hub, taken over, finished."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup_manager.app.contract import Document
from setup_manager.app.transfer import plan_transfer, transfer
from setup_manager.catalog import Artifact, CatalogFile, Model, Role
from setup_manager.errors import SetupError
from setup_manager.recover import (
    Finding,
    Offer,
    Outcome,
    TakeOver,
    by_artifact,
    find_busy,
    find_leftovers,
    offers_for,
    survey_leftovers,
    usual_folders,
)
from setup_manager.session import Session


@dataclass(frozen=True, kw_only=True)
class Request:
    """Where leftovers are looked for.

    Attributes:
        paths: Folders and files; the usual folders if there are none.
        move: Remove the leftovers that were taken over.
    """

    paths: tuple[Path, ...] = ()
    move: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What was found and what will be done with it.

    Attributes:
        findings: One for each leftover of a Gemma 4 file.
        problems: Folders that could not be looked at.
        move: Whether leftovers that were taken over are removed.
    """

    findings: tuple[Finding, ...]
    problems: tuple[str, ...]
    move: bool = False

    @property
    def offers(self) -> dict[Artifact, tuple[Offer, ...]]:
        """What can be used, by the file that it helps."""
        return by_artifact(self.findings)

    def document(self) -> dict[str, Any]:
        """Return what of ``data`` is known before anything is done."""
        return {
            "found": [finding.to_document() for finding in self.findings],
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True)
class Recovered(Document):
    """A file that was finished or adopted, and is verified.

    Attributes:
        path: Where a user finds it.
        bytes: Length.
        sha256: Of its content.
        commit: Where its repository has it.
        adopted_bytes: Bytes copied from leftovers.
        sampled_bytes: Bytes fetched to compare them.
        fetched_bytes: Bytes that came over the network beside these.
    """

    path: Path
    bytes: int
    sha256: str
    commit: str
    adopted_bytes: int
    sampled_bytes: int
    fetched_bytes: int


@dataclass(frozen=True, slots=True)
class Result:
    """What was taken over.

    Attributes:
        plan: What was found.
        files: What was finished or adopted.
    """

    plan: Plan
    files: tuple[Recovered, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `recover`."""
        return {**self.plan.document(), "files": [file.document() for file in self.files]}


def plan(session: Session, request: Request) -> Plan:
    """Look for leftovers, in the usual folders or where it is told."""
    found = find_leftovers(request.paths or _usual_folders(session))
    findings = survey_leftovers(
        found.leftovers,
        session.catalog,
        _resolver(session),
        find_busy(found.leftovers),
        layout=session.layout,
        named=frozenset(request.paths),
    )
    return Plan(findings, found.problems, request.move)


def run(session: Session, plan: Plan) -> Result:
    """Adopt what is whole, and fetch what is missing of the rest.

    Raises:
        SetupError: As the download engine says.
    """
    # Weights first: a projector or drafter belongs to weights that are here.
    offers = sorted(plan.offers.items(), key=lambda item: item[0].role is not Role.WEIGHTS)
    with _taking_over(session, move=plan.move) as take_over:
        files = [_recover(session, take_over, artifact, found) for artifact, found in offers]
    return Result(plan, tuple(files))


def _recover(
    session: Session, take_over: TakeOver, artifact: Artifact, offers: Iterable[Offer]
) -> Recovered:
    model = _model_of(session, artifact)
    outcome = Outcome()

    def adopt() -> None:
        nonlocal outcome
        outcome = take_over.use(offers)
        for note in outcome.notes:
            session.observer.note(f"  {note}")

    planned = plan_transfer(session, model)
    planned.check_room()
    _, (file,) = transfer(session, model, planned, adopt)
    return Recovered(
        path=file.path,
        bytes=artifact.size_bytes,
        sha256=artifact.sha256,
        commit=artifact.commit,
        adopted_bytes=outcome.adopted_bytes,
        sampled_bytes=outcome.sampled_bytes,
        fetched_bytes=file.fetched_bytes,
    )


def _model_of(session: Session, artifact: Artifact) -> Model:
    """Name the model that a file of the catalogue belongs to, as `download` would."""
    for file in session.catalog.files:
        if (file.repository, file.path) == (artifact.repository, artifact.path):
            weights = file if file.role is Role.WEIGHTS else _weights_beside(session, file)
            return Model(
                name=f"{weights.variant}:{weights.quantization}",
                variant=weights.variant,
                quantization=weights.quantization,
                qat=weights.qat,
                weights=(artifact,) if file.role is Role.WEIGHTS else (),
                projector=artifact if file.role is Role.PROJECTOR else None,
                drafter=artifact if file.role is Role.DRAFTER else None,
            )
    raise ValueError(f"{artifact.path} is not in the catalogue")


def _weights_beside(session: Session, companion: CatalogFile) -> CatalogFile:
    """Find the weights that a projector or drafter belongs to: those here, else the default's."""
    weights = session.catalog.weights(companion.variant)
    recorded = {model.name for model in session.inventory.models() if model.complete}
    default = session.catalog.variants[companion.variant].default_quantization
    return max(
        weights,
        key=lambda file: (
            f"{file.variant}:{file.quantization}" in recorded,
            file.quantization == default,
        ),
    )


def use_leftovers(session: Session, model: Model) -> int:
    """Take over what other tools left of a model's files, before the rest is fetched.

    A leftover that cannot be used is no failure: the download goes on without it.

    Returns:
        Bytes that need not be fetched.
    """
    found = find_leftovers(_usual_folders(session))
    if not found.leftovers:
        return 0
    busy = find_busy(found.leftovers)
    offers = {artifact: offers_for(artifact, found.leftovers, busy) for artifact in model.artifacts}
    if not any(offers.values()):
        return 0
    spared = 0
    with _taking_over(session, move=False) as take_over:
        for artifact, of_file in offers.items():
            if session.layout.find(artifact) is None and of_file:
                spared += _use(session, take_over, artifact, of_file)
    return spared


def _use(session: Session, take_over: TakeOver, artifact: Artifact, offers: Iterable[Offer]) -> int:
    try:
        outcome = take_over.use(offers)
    except SetupError as error:
        if error.exit_code in _STOPS:
            raise
        session.observer.note(f"  not used: {error.message}")
        return 0
    if outcome.verified is not None:
        return artifact.size_bytes
    return outcome.adopted_bytes


_STOPS = frozenset({10, 18, 130})  # a full disk, another process, Ctrl-C: going on is wrong


@contextmanager
def _taking_over(session: Session, *, move: bool) -> Iterator[TakeOver]:
    downloader = session.downloader
    with downloader.reader(session.origins) as reader:
        yield TakeOver(
            downloader,
            reader,
            move=move,
            tell=lambda sentence: session.observer.note(f"  {sentence}"),
        )


def _usual_folders(session: Session) -> tuple[Path, ...]:
    cache = session.environment.get("LLAMA_CACHE", "")
    return usual_folders(
        session.home,
        session.paths.hub_cache.path,
        session.paths.ollama_models.path,
        llama_cache=Path(cache) if cache else None,
    )


def _resolver(session: Session) -> Callable[[CatalogFile], Artifact | None]:
    """Make artifacts of catalogue files; those that are not pinned are asked of the hub once."""
    asked: dict[CatalogFile, Artifact | None] = {}

    def resolve(file: CatalogFile) -> Artifact | None:
        if file.pinned:
            return file.artifact()
        if file not in asked:
            asked[file] = _ask_hub(session, file)
        return asked[file]

    return resolve


def _ask_hub(session: Session, file: CatalogFile) -> Artifact | None:
    from setup_manager.catalog import HubReference

    reference = HubReference(file.repository, path=file.path)
    try:
        weights = session.metadata.model(reference).weights
    except SetupError:
        return None
    return next((artifact for artifact in weights if artifact.path == file.path), None)
