"""Choosing the files of a variant from the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from setup_manager.catalog.artifact import Model, Role
from setup_manager.catalog.reference import VariantReference
from setup_manager.catalog.variant import Catalog, CatalogFile, Variant
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


def select_files(
    catalog: Catalog,
    reference: VariantReference,
    *,
    with_projector: bool = False,
    with_drafter: bool = False,
) -> Selection:
    """Choose the files that a variant reference means.

    Raises:
        UsageError: If the variant has no such quantization, projector or drafter.
    """
    variant = catalog.variants[reference.variant]
    weights = _weights(catalog, variant, reference.quantization)
    return Selection(
        variant=variant,
        weights=weights,
        projector=_companion(catalog, weights, Role.PROJECTOR) if with_projector else None,
        drafter=_companion(catalog, weights, Role.DRAFTER) if with_drafter else None,
    )


def weight_files(catalog: Catalog, variant_key: str) -> tuple[CatalogFile, ...]:
    """List the current weights of a variant, one file for each quantization, pinned ones first."""
    chosen: dict[str, CatalogFile] = {}
    for file in _current(catalog, variant_key, Role.WEIGHTS):
        chosen.setdefault(file.quantization, file)
    return tuple(chosen.values())


def _current(catalog: Catalog, variant_key: str, role: Role) -> list[CatalogFile]:
    files = [
        file
        for file in catalog.files
        if file.variant == variant_key and file.role is role and not file.superseded
    ]
    return sorted(files, key=lambda file: not file.pinned)


def _weights(catalog: Catalog, variant: Variant, quantization: str | None) -> CatalogFile:
    files = weight_files(catalog, variant.key)
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
