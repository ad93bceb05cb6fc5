"""Reading a catalogue file, and explaining what is wrong with a bad one.

The form is written down in ``catalog.schema.json`` beside this module; a test holds the two
together. The loader says the path of the first wrong value in the words of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from setup_manager.catalog.artifact import Role
from setup_manager.catalog.catalog import Catalog
from setup_manager.catalog.quantizations import Quantization
from setup_manager.catalog.variant import CatalogFile, Variant
from setup_manager.codec import CodecError, from_plain, load
from setup_manager.errors import UsageError

_MAX_CATALOG_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Document:
    """A catalogue file, its variants not yet read: their keys are theirs to name in an error."""

    schema: Literal[1]
    variants: Annotated[dict[str, Any], Meta(min_length=1)]
    files: Annotated[tuple[CatalogFile, ...], Meta(min_length=1)]


def load_catalog(path: Path | None = None) -> Catalog:
    """Read a catalogue.

    Args:
        path: A catalogue file, or None for the one shipped with the package.

    Returns:
        The catalogue, all of it checked.

    Raises:
        UsageError: If the file cannot be read or its content is not a catalogue.
    """
    source = str(path) if path else "the catalogue of this package"
    try:
        return _catalog(load(_Document, _read(path)), source)
    except OSError as error:
        raise _bad_catalog(source, f"cannot be read: {error.strerror or error}") from error
    except CodecError as error:
        raise _bad_catalog(source, f"{error.path} {error.problem}".strip()) from error


def _read(path: Path | None) -> bytes:
    if path is None:
        return resources.files(__package__).joinpath("catalog.json").read_bytes()
    with path.open("rb") as file:
        content = file.read(_MAX_CATALOG_BYTES + 1)
    if len(content) > _MAX_CATALOG_BYTES:
        raise CodecError("", f"is larger than {_MAX_CATALOG_BYTES} bytes")
    return content


def _bad_catalog(source: str, problem: str) -> UsageError:
    return UsageError(
        "The catalogue cannot be used.",
        code="bad-catalog",
        context=[f"catalogue: {source}", problem],
        hint="Correct the file (schema: setup_manager/catalog/catalog.schema.json), or leave "
        "out --catalog and GEMMA_SETUP_CATALOG to use the built-in catalogue.",
    )


def _catalog(document: _Document, source: str) -> Catalog:
    variants = {key: _variant(key, entry) for key, entry in document.variants.items()}
    for index, file in enumerate(document.files):
        _check_file(f"files[{index}]", file, variants)
    for variant in variants.values():
        _check_default(variant, document.files)
    return Catalog(source=source, variants=variants, files=document.files)


def _variant(key: str, entry: object) -> Variant:
    try:
        return replace(from_plain(Variant, entry), key=key)
    except CodecError as error:
        path = ".".join(filter(None, ("variants", key, error.path)))
        raise CodecError(path, error.problem) from error


def _check_file(where: str, file: CatalogFile, variants: Mapping[str, Variant]) -> None:
    if file.variant not in variants:
        raise CodecError(f"{where}.variant", f"names {file.variant!r}, which is not in variants")
    if file.role is Role.WEIGHTS and Quantization.of(file.quantization) is None:
        raise CodecError(
            f"{where}.quantization",
            f"is {file.quantization!r}, which the table of quantizations does not have",
        )


def _check_default(variant: Variant, files: tuple[CatalogFile, ...]) -> None:
    if not any(
        file.variant == variant.key
        and file.role is Role.WEIGHTS
        and file.quantization == variant.default_quantization
        and not file.superseded
        for file in files
    ):
        raise CodecError(
            f"variants.{variant.key}.default_quantization",
            f"is {variant.default_quantization!r}, which no file of it has",
        )
