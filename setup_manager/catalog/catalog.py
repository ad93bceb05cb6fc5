"""The catalogue, and choosing files from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from setup_manager.catalog.artifact import Model, Role
from setup_manager.catalog.naming import read_name
from setup_manager.catalog.reference import HubReference, VariantReference, parse_model
from setup_manager.catalog.variant import CatalogFile, Variant
from setup_manager.errors import UsageError


@dataclass(frozen=True, slots=True)
class Selection:
    """The catalogue's files for a variant and quantization, pinned or not.

    Attributes:
        variant: The variant.
        weights: Its weights.
        projector: The projector that goes with them, where asked for.
        drafter: The drafter that goes with them, where asked for.
    """

    variant: Variant
    weights: CatalogFile
    projector: CatalogFile | None = None
    drafter: CatalogFile | None = None

    @property
    def name(self) -> str:
        """Canonical MODEL argument."""
        return f"{self.variant.key}:{self.weights.quantization}"

    @property
    def files(self) -> tuple[CatalogFile, ...]:
        """All files, weights first."""
        return (self.weights, *(f for f in (self.projector, self.drafter) if f is not None))

    @property
    def pinned(self) -> bool:
        """Whether nothing needs to be asked of the hub."""
        return all(file.pinned for file in self.files)

    def model(self) -> Model:
        """Make the model of a pinned selection.

        Raises:
            ValueError: If a file is not pinned.
        """
        return Model(
            name=self.name,
            variant=self.variant.key,
            quantization=self.weights.quantization,
            qat=self.weights.qat,
            weights=(self.weights.artifact(),),
            projector=self.projector.artifact() if self.projector else None,
            drafter=self.drafter.artifact() if self.drafter else None,
        )


@dataclass(frozen=True, slots=True)
class Catalog:
    """All variants and files.

    Attributes:
        source: Where it was read from, for messages.
        variants: By key, smallest first.
        files: Every known file.
    """

    source: str
    variants: dict[str, Variant]
    files: tuple[CatalogFile, ...]

    def parse(self, text: str) -> VariantReference | HubReference:
        """Read a MODEL argument; whether it exists is another question.

        Raises:
            UsageError: If it has none of the forms, or names a variant that does not exist.
        """
        return parse_model(text, self.variants)

    def weights(self, variant: str) -> tuple[CatalogFile, ...]:
        """List a variant's current weights, one file a quantization, pinned ones first."""
        chosen: dict[str, CatalogFile] = {}
        for file in _current(self, variant, Role.WEIGHTS):
            chosen.setdefault(file.quantization, file)
        return tuple(chosen.values())

    def select(
        self,
        reference: VariantReference,
        *,
        with_projector: bool = False,
        with_drafter: bool = False,
    ) -> Selection:
        """Choose the files that a variant reference means.

        Raises:
            UsageError: If the variant has no such quantization, projector or drafter.
        """
        variant = self.variants[reference.variant]
        weights = _weights(self, variant, reference.quantization)
        return Selection(
            variant=variant,
            weights=weights,
            projector=_companion(self, weights, Role.PROJECTOR) if with_projector else None,
            drafter=_companion(self, weights, Role.DRAFTER) if with_drafter else None,
        )

    def recognise(self, reference: HubReference) -> Selection | None:
        """Find what the catalogue knows of a repository's file, for its variant and size."""
        for file in self.files:
            if file.repository.lower() == reference.repository.lower() and not file.superseded:
                if reference.path is not None:
                    if file.path == reference.path:
                        return Selection(self.variants[file.variant], file)
                elif _labels_match(file, reference.quantization):
                    return Selection(self.variants[file.variant], file)
        return None


def _labels_match(file: CatalogFile, quantization: str | None) -> bool:
    if quantization is None:
        return file.pinned
    label = read_name(file.repository, file.path).label or file.quantization
    names = {label.upper(), label.upper().removeprefix("QAT-"), file.quantization.upper()}
    return quantization.upper() in names


def _current(catalog: Catalog, variant_key: str, role: Role) -> list[CatalogFile]:
    files = [
        file
        for file in catalog.files
        if file.variant == variant_key and file.role is role and not file.superseded
    ]
    return sorted(files, key=lambda file: not file.pinned)


def _weights(catalog: Catalog, variant: Variant, quantization: str | None) -> CatalogFile:
    files = catalog.weights(variant.key)
    wanted = (quantization or variant.default_quantization).lower()
    if wanted == "qat":
        return _best_qat(files, variant)
    for file in files:
        if file.quantization.lower() == wanted:
            return file
    raise _no_quantization(variant, quantization or wanted, [f.quantization for f in files])


def _best_qat(files: Iterable[CatalogFile], variant: Variant) -> CatalogFile:
    trained = [file for file in files if file.qat]
    if not trained:
        raise _no_quantization(variant, "qat", [file.quantization for file in files])
    return min(trained, key=lambda file: file.quantization != variant.default_quantization)


def _no_quantization(variant: Variant, wanted: str, known: list[str]) -> UsageError:
    lower = {label.lower(): label for label in known}
    close = get_close_matches(wanted.lower(), lower, n=1, cutoff=0.4)
    meant = f"Did you mean {variant.key}:{lower[close[0]]}? " if close else ""
    return UsageError(
        f"The catalogue has no quantization {wanted!r} of {variant.name}.",
        code="unknown-quantization",
        context=[f"{variant.key} comes as: {', '.join(sorted(known))}"],
        hint=f"{meant}`gemma-setup list` shows them all; files outside the catalogue are "
        "written org/repo:QUANT.",
    )


def _companion(catalog: Catalog, weights: CatalogFile, role: Role) -> CatalogFile:
    """Choose the projector or drafter: same repository, then same training, pinned before not."""
    files = _current(catalog, weights.variant, role)
    if not files:
        raise UsageError(
            f"The catalogue has no {role} for {weights.variant}.",
            code=f"no-{role}",
            hint=f"Leave out --with-{role}.",
        )
    return min(
        files,
        key=lambda file: (
            not file.pinned,
            file.repository != weights.repository,
            file.qat != weights.qat,
        ),
    )
