"""Reading a catalogue file, and explaining what is wrong with a bad one.

The form is written down in ``catalog.schema.json`` beside this module; a test holds the two
together. The loader says the path of the first wrong value in the words of the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from setup_manager.catalog.artifact import Role
from setup_manager.catalog.quantizations import quantization_row
from setup_manager.catalog.variant import Architecture, Catalog, CatalogFile, Experts, Variant
from setup_manager.errors import UsageError

SCHEMA_VERSION = 1
_T = TypeVar("_T")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_MAX_CATALOG_BYTES = 8 * 1024 * 1024


class _WrongValueError(ValueError):
    """A wrong value and where it stands."""


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
        text = _read(path)
        return _catalog(json.loads(text), source)
    except OSError as error:
        raise _bad_catalog(source, f"cannot be read: {error.strerror or error}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad_catalog(source, f"is not JSON: {error}") from error
    except _WrongValueError as problem:
        raise _bad_catalog(source, str(problem)) from problem


def _read(path: Path | None) -> str:
    if path is None:
        return resources.files(__package__).joinpath("catalog.json").read_text("utf-8")
    with path.open("rb") as file:
        content = file.read(_MAX_CATALOG_BYTES + 1)
    if len(content) > _MAX_CATALOG_BYTES:
        raise _WrongValueError(f"is larger than {_MAX_CATALOG_BYTES} bytes")
    return content.decode("utf-8")


def _bad_catalog(source: str, problem: str) -> UsageError:
    return UsageError(
        "The catalogue cannot be used.",
        code="bad-catalog",
        context=[f"catalogue: {source}", problem],
        hint="Mend the file, or leave out --catalog and GEMMA_SETUP_CATALOG to use the "
        "catalogue of the package; its form is in setup_manager/catalog/catalog.schema.json.",
    )


class _Node:
    """A JSON object that knows where it stands and hands out checked values."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise _WrongValueError(f"{where or 'the document'} must be an object")
        self.value: Mapping[str, Any] = value
        self.where = where

    def path(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def take(self, key: str) -> Any:
        if key not in self.value:
            raise _WrongValueError(f"{self.path(key)} is missing")
        return self.value[key]

    def child(self, key: str) -> _Node:
        return _Node(self.take(key), self.path(key))

    def text(self, key: str, pattern: re.Pattern[str] | None = None) -> str:
        value = self.take(key)
        if not isinstance(value, str) or (pattern is not None and not pattern.fullmatch(value)):
            form = f" of the form {pattern.pattern}" if pattern else ""
            raise _WrongValueError(f"{self.path(key)} must be a string{form}, not {value!r}")
        return value

    def integer(self, key: str, minimum: int = 1) -> int:
        value = self.take(key)
        if type(value) is not int or not minimum <= value < 2**63:
            raise _WrongValueError(
                f"{self.path(key)} must be a whole number of at least {minimum}, not {value!r}"
            )
        return value

    def flag(self, key: str) -> bool:
        value = self.take(key)
        if not isinstance(value, bool):
            raise _WrongValueError(f"{self.path(key)} must be true or false, not {value!r}")
        return value

    def sequence(self, key: str) -> list[Any]:
        value = self.take(key)
        if not isinstance(value, list) or not value:
            raise _WrongValueError(f"{self.path(key)} must be a list that is not empty")
        return value

    def optional(self, key: str, read: Callable[[str], _T]) -> _T | None:
        return None if self.take(key) is None else read(key)


def _catalog(document: object, source: str) -> Catalog:
    root = _Node(document, "")
    if root.take("schema") != SCHEMA_VERSION:
        raise _WrongValueError(f"schema must be {SCHEMA_VERSION}, not {root.take('schema')!r}")
    variants = {
        key: _variant(key, root.child("variants").child(key))
        for key in root.child("variants").value
    }
    if not variants:
        raise _WrongValueError("variants must not be empty")
    entries = enumerate(root.sequence("files"))
    files = tuple(_file(_Node(entry, f"files[{index}]"), variants) for index, entry in entries)
    for variant in variants.values():
        _check_default(variant, files)
    return Catalog(source=source, variants=variants, files=files)


def _variant(key: str, node: _Node) -> Variant:
    modalities = node.sequence("modalities")
    if not all(isinstance(modality, str) for modality in modalities):
        raise _WrongValueError(f"{node.path('modalities')} must be a list of strings")
    return Variant(
        key=key,
        name=node.text("name"),
        parameters=node.text("parameters"),
        modalities=tuple(modalities),
        architecture=_architecture(node.child("architecture")),
        default_quantization=node.text("default_quantization"),
        licence=node.text("licence"),
        quality=node.integer("quality"),
    )


def _architecture(node: _Node) -> Architecture:
    layers = node.integer("layers")
    widths = node.sequence("feed_forward_lengths")
    if len(widths) != layers or not all(type(width) is int and width > 0 for width in widths):
        raise _WrongValueError(
            f"{node.path('feed_forward_lengths')} must be {layers} positive numbers"
        )
    return Architecture(
        layers=layers,
        hidden_size=node.integer("hidden_size"),
        heads=node.integer("heads"),
        kv_heads_local=node.integer("kv_heads_local"),
        kv_heads_global=node.integer("kv_heads_global"),
        head_dim_local=node.integer("head_dim_local"),
        head_dim_global=node.integer("head_dim_global"),
        kv_layers_local=node.integer("kv_layers_local", 0),
        kv_layers_global=node.integer("kv_layers_global", 0),
        sliding_window=node.integer("sliding_window"),
        global_every=node.integer("global_every"),
        shared_kv_layers=node.integer("shared_kv_layers", 0),
        feed_forward_lengths=tuple(widths),
        vocabulary_size=node.integer("vocabulary_size"),
        per_layer_embedding_length=node.integer("per_layer_embedding_length", 0),
        values_equal_keys_global=node.flag("values_equal_keys_global"),
        experts=node.optional("experts", lambda key: _experts(node.child(key))),
        context_length=node.integer("context_length"),
    )


def _experts(node: _Node) -> Experts:
    return Experts(
        count=node.integer("count"),
        used=node.integer("used"),
        feed_forward_length=node.integer("feed_forward_length"),
    )


def _file(node: _Node, variants: Mapping[str, Variant]) -> CatalogFile:
    variant = node.text("variant")
    if variant not in variants:
        raise _WrongValueError(
            f"{node.path('variant')} names {variant!r}, which is not in variants"
        )
    role = node.text("role")
    if role not in set(Role):
        raise _WrongValueError(
            f"{node.path('role')} must be one of {', '.join(Role)}, not {role!r}"
        )
    quantization = node.text("quantization")
    if role == Role.WEIGHTS and quantization_row(quantization) is None:
        raise _WrongValueError(
            f"{node.path('quantization')} is {quantization!r}, which the table of quantizations "
            "does not have"
        )
    return CatalogFile(
        variant=variant,
        quantization=quantization,
        qat=node.flag("qat"),
        role=Role(role),
        repository=node.text("repository", _REPOSITORY),
        path=node.text("path"),
        commit=node.optional("commit", lambda key: node.text(key, _COMMIT)),
        size_bytes=node.optional("size_bytes", node.integer),
        sha256=node.optional("sha256", lambda key: node.text(key, _SHA256)),
        superseded=node.flag("superseded"),
    )


def _check_default(variant: Variant, files: tuple[CatalogFile, ...]) -> None:
    if not any(
        file.variant == variant.key
        and file.role is Role.WEIGHTS
        and file.quantization == variant.default_quantization
        and not file.superseded
        for file in files
    ):
        raise _WrongValueError(
            f"variants.{variant.key}.default_quantization is {variant.default_quantization!r}, "
            "which no file of it has"
        )
