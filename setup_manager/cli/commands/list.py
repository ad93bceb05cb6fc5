"""`gemma-setup list`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from setup_manager.cli.command import gemma_command
from setup_manager.cli.options import Option
from setup_manager.cli.outcome import Outcome
from setup_manager.cli.shell import Shell

if TYPE_CHECKING:
    from setup_manager.catalog import Catalog, CatalogFile, Variant
    from setup_manager.library import InstalledModel


@gemma_command(
    "list",
    Option("--installed", is_flag=True, help="Installed models: files, registrations, last test."),
    "catalog",
    examples=("gemma-setup list", "gemma-setup list --installed", "gemma-setup list --json"),
)
def command(shell: Shell, *, installed: bool) -> Outcome:
    """Show the catalogue, or with --installed what is on this machine."""
    if installed:
        return _installed(shell)
    from setup_manager.cli.render.list_text import catalog_text

    catalog = shell.session.catalog
    return Outcome(_catalog_document(catalog), catalog_text(catalog, shell.terminal))


def _installed(shell: Shell) -> Outcome:
    from setup_manager.cli.render.list_text import installed_text

    models = shell.session.inventory.models()
    data = {"installed": [_installed_document(model) for model in models]}
    return Outcome(data, installed_text(models, shell.terminal))


def _catalog_document(catalog: Catalog) -> dict[str, Any]:
    return {
        "source": catalog.source,
        "variants": [
            {
                "variant": variant.key,
                "name": variant.name,
                "parameters": variant.parameters,
                "modalities": list(variant.modalities),
                "context": variant.architecture.context_length,
                "default_quantization": variant.default_quantization,
                "files": [_file_document(file) for file in _files(catalog, variant)],
            }
            for variant in catalog.variants.values()
        ],
    }


def _file_document(file: CatalogFile) -> dict[str, Any]:
    document = asdict(file)
    del document["variant"], document["superseded"]
    return {**document, "pinned": file.pinned}


def _files(catalog: Catalog, variant: Variant) -> list[CatalogFile]:
    return [file for file in catalog.files if file.variant == variant.key and not file.superseded]


def _installed_document(model: InstalledModel) -> dict[str, Any]:
    return {
        "model": model.name,
        "complete": model.complete,
        "installed_at": model.installed_at,
        "files": [
            {
                "path": str(file.path),
                "bytes": file.artifact.size_bytes,
                "sha256": file.artifact.sha256,
                "commit": file.artifact.commit,
                "role": file.artifact.role,
                "present": file.present,
                "arrived_bytes": file.arrived_bytes,
            }
            for file in model.files
        ],
        "registrations": [
            {"runtime": entry.runtime, "name": entry.name} for entry in model.registrations
        ],
        "last_smoke": model.last_smoke,
    }
