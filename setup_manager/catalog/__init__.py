"""Which models there are: variants, quantizations, and files pinned by commit, size and SHA-256.

May import: gguf, codec, errors, units, fs.
Invariant: an `Artifact` names one content; nothing of the network is trusted more.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.catalog.architecture import Architecture
    from setup_manager.catalog.artifact import Artifact, Model, Role
    from setup_manager.catalog.catalog import Catalog, Selection
    from setup_manager.catalog.load import load_catalog
    from setup_manager.catalog.naming import read_name
    from setup_manager.catalog.quantizations import Quantization
    from setup_manager.catalog.reference import HubReference
    from setup_manager.catalog.variant import CatalogFile, Variant

__all__ = [
    "Architecture",
    "Artifact",
    "Catalog",
    "CatalogFile",
    "HubReference",
    "Model",
    "Quantization",
    "Role",
    "Selection",
    "Variant",
    "load_catalog",
    "read_name",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        architecture="Architecture",
        artifact="Artifact Model Role",
        catalog="Catalog Selection",
        load="load_catalog",
        naming="read_name",
        quantizations="Quantization",
        reference="HubReference",
        variant="CatalogFile Variant",
    )
