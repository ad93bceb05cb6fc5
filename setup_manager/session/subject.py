"""What a MODEL argument means: its variant, what its weights are made of, and its files.

The catalogue answers without a network wherever it can; what it does not know is read from the
file's own header. The files themselves are asked for only
when they are to be fetched: from the catalogue where they are pinned, from the hub where not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from setup_manager.catalog import (
    Architecture,
    CatalogFile,
    HubReference,
    Model,
    Selection,
    Variant,
)
from setup_manager.errors import UsageError
from setup_manager.fit import (
    Load,
    Settings,
    Weights,
)
from setup_manager.gguf import Header
from setup_manager.machine import Machine
from setup_manager.session.headers import local_headers, remote_headers
from setup_manager.session.session import Session


@dataclass(frozen=True, kw_only=True)
class Companions:
    """Which files are wanted beside the weights.

    Attributes:
        with_projector: The projector, for images.
        with_drafter: The MTP drafter, for speed.
    """

    with_projector: bool = False
    with_drafter: bool = False


class Subject:
    """A model that a command is about.

    Args:
        session: What to work with.
        text: The MODEL argument.
        wanted: Which files beside the weights.
        latest: Ask the hub for the newest upload instead of the pinned one.

    Raises:
        UsageError: If it is no model, or no such variant or quantization.
    """

    def __init__(
        self,
        session: Session,
        text: str,
        wanted: Companions | None = None,
        *,
        latest: bool = False,
    ) -> None:
        self._session = session
        self._wanted = wanted or Companions()
        self._latest = latest
        self._reference = session.catalog.parse(text)
        self._selection = self._select()

    @cached_property
    def variant(self) -> Variant | None:
        """The variant; None for a file of another architecture.

        What the catalogue does not know is read from the file's own header on the hub.

        Raises:
            SetupError: If the hub has to be asked and cannot be.
        """
        return self._selection.variant if self._selection else self._variant_of_header()

    @cached_property
    def weights(self) -> Weights:
        """What its weights are made of: by its own header where that is known.

        Raises:
            UsageError: If it is of another architecture.
            SetupError: If the hub has to be asked and cannot be.
        """
        if self.variant is None:
            raise unknown_architecture(self.name)
        weights = self._catalogued_weights()
        headers = self._headers
        if headers is None:
            if weights is None:
                raise unknown_architecture(self.name)
            return weights
        size = sum(artifact.size_bytes for artifact in self.model.weights)
        exact = Weights.of_headers(self.variant.architecture, self.quantization, headers, size)
        projector, drafter = self._companion_bytes(weights)
        return replace(exact, projector_file_bytes=projector, drafter_file_bytes=drafter)

    def load(self, settings: Settings, machine: Machine) -> Load:
        """Put it on a machine, started with settings.

        Raises:
            UsageError: If it is of another architecture, or the settings go beyond it.
            SetupError: If the hub has to be asked and cannot be.
        """
        if self.variant is None:
            raise unknown_architecture(self.name)
        return Load(self.variant.architecture, self.weights, settings, machine)

    def _catalogued_weights(self) -> Weights | None:
        if self._selection is None:
            return None
        return Weights.of_file(self._session.catalog, self._selection.weights)

    def _companion_bytes(self, catalogued: Weights | None) -> tuple[int, int]:
        """Lengths of projector and drafter: of the variant's, else of the files themselves."""
        if catalogued is not None:
            return catalogued.projector_file_bytes, catalogued.drafter_file_bytes
        projector, drafter = self.model.projector, self.model.drafter
        return (
            projector.size_bytes if projector else 0,
            drafter.size_bytes if drafter else 0,
        )

    @cached_property
    def _headers(self) -> tuple[Header, ...] | None:
        """Headers of the weights: of the files that are here, else of those on the hub.

        A variant of the catalogue is not worth asking the hub for: it must answer without one.
        """
        if self.pinned or self._selection is None:
            found = [self._session.layout.find(artifact) for artifact in self.model.weights]
            here = [path for path in found if path is not None]
            if len(here) == len(found) and (headers := local_headers(here)):
                return headers
        return remote_headers(self._session, self.model.weights) if not self._selection else None

    def _variant_of_header(self) -> Variant | None:
        headers = self._headers
        if not headers or headers[0].architecture != "gemma4":
            return None
        header = headers[0]
        return Variant(
            key=self.name,
            name=header.text("general.name") or self.name,
            parameters=header.text("general.size_label") or "",
            modalities=("text",),
            architecture=Architecture.of_header(header),
            default_quantization=self.model.quantization,
            licence=header.text("general.license") or "",
            quality=len(self._session.catalog.variants) + 1,
        )

    @property
    def variant_key(self) -> str | None:
        """Which variant of the catalogue it is, None for another; asks nobody."""
        return self._selection.variant.key if self._selection else None

    @property
    def file(self) -> CatalogFile | None:
        """Its weights as the catalogue has them."""
        return self._selection.weights if self._selection else None

    @property
    def qat(self) -> bool:
        """Whether its weights were trained for their quantization."""
        return self._selection.weights.qat if self._selection else self.model.qat

    @property
    def quantization(self) -> str:
        """Label of its quantization."""
        return self._selection.weights.quantization if self._selection else self.model.quantization

    @property
    def name(self) -> str:
        """Canonical MODEL argument; asks the hub only where the catalogue cannot tell."""
        return self.known_name or self.model.name

    @property
    def known_name(self) -> str | None:
        """The same where no hub has to be asked for it, else None."""
        return self._selection.name if self._from_catalog and self._selection else None

    @cached_property
    def model(self) -> Model:
        """Its files with their identity; asks the hub where they are not pinned.

        Raises:
            AccessDeniedError: If the repository cannot be had.
            DownloadFailedError: If the hub cannot be asked.
            UsageError: If there is no such file.
        """
        if self._from_catalog and self._selection is not None:
            if self._selection.pinned and not self._latest:
                return self._selection.model()
            return self._live_selection(self._selection)
        return self._live_repository()

    @property
    def pinned(self) -> bool:
        """Whether its files are those of the catalogue, held to its digests."""
        return (
            self._from_catalog
            and self._selection is not None
            and self._selection.pinned
            and not self._latest
        )

    @property
    def _from_catalog(self) -> bool:
        return not isinstance(self._reference, HubReference)

    def _select(self) -> Selection | None:
        catalog = self._session.catalog
        if isinstance(self._reference, HubReference):
            return catalog.recognise(self._reference)
        return catalog.select(
            self._reference,
            with_projector=self._wanted.with_projector,
            with_drafter=self._wanted.with_drafter,
        )

    def _live_selection(self, selection: Selection) -> Model:
        """Ask the hub for the newest upload of the files that the catalogue names."""
        found = {file.role: self._newest(file) for file in selection.files}
        model = found[selection.weights.role]
        artifacts = {
            role: replace(other.weights[0], role=role)
            for role, other in found.items()
            if role is not selection.weights.role
        }
        return Model(
            name=selection.name,
            variant=selection.variant.key,
            quantization=selection.weights.quantization,
            qat=selection.weights.qat,
            weights=model.weights,
            projector=artifacts.get(selection.projector.role) if selection.projector else None,
            drafter=artifacts.get(selection.drafter.role) if selection.drafter else None,
        )

    def _newest(self, file: CatalogFile) -> Model:
        return self._resolve(HubReference(file.repository, path=file.path), Companions())

    def _live_repository(self) -> Model:
        if not isinstance(self._reference, HubReference):
            raise TypeError("a variant is resolved by the catalogue")
        model = self._resolve(self._reference, self._wanted)
        return replace(model, variant=self._selection.variant.key) if self._selection else model

    def _resolve(self, reference: HubReference, wanted: Companions) -> Model:
        return self._session.metadata.model(
            reference, with_projector=wanted.with_projector, with_drafter=wanted.with_drafter
        )


def unknown_architecture(name: str) -> UsageError:
    """Make the error for a model that is no Gemma 4."""
    return UsageError(
        f"{name} is not a Gemma 4 model, so its memory cannot be computed.",
        code="unknown-architecture",
        context=["memory and speed follow from the constants of the architecture"],
        hint="`gemma-setup download` works anyway; `gemma-setup list` shows the "
        "models that can be planned.",
    )
