"""Which models there are: variants, quantizations, and files pinned by commit, size and SHA-256.

May import: gguf, errors, units, fs.
Invariant: an `Artifact` names one content; nothing of the network is trusted more.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.catalog.artifact import Artifact, Model, Role
    from setup_manager.catalog.header import architecture_from_header
    from setup_manager.catalog.identity import COMMIT, check_names
    from setup_manager.catalog.load import load_catalog
    from setup_manager.catalog.naming import is_qat, label_of, quantization_of, role_of, shard_of
    from setup_manager.catalog.quantizations import Quantization, quantization_row
    from setup_manager.catalog.reference import (
        FileReference,
        RepositoryReference,
        VariantReference,
        parse_model,
    )
    from setup_manager.catalog.select import Selection, select_files, weight_files
    from setup_manager.catalog.variant import Architecture, Catalog, CatalogFile, Experts, Variant

__all__ = [
    "COMMIT",
    "Architecture",
    "Artifact",
    "Catalog",
    "CatalogFile",
    "Experts",
    "FileReference",
    "Model",
    "Quantization",
    "RepositoryReference",
    "Role",
    "Selection",
    "Variant",
    "VariantReference",
    "architecture_from_header",
    "check_names",
    "is_qat",
    "label_of",
    "load_catalog",
    "parse_model",
    "quantization_of",
    "quantization_row",
    "role_of",
    "select_files",
    "shard_of",
    "weight_files",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        artifact="Artifact Model Role",
        header="architecture_from_header",
        identity="COMMIT check_names",
        load="load_catalog",
        naming="is_qat label_of quantization_of role_of shard_of",
        quantizations="Quantization quantization_row",
        reference="FileReference RepositoryReference VariantReference parse_model",
        select="Selection select_files weight_files",
        variant="Architecture Catalog CatalogFile Experts Variant",
    )
