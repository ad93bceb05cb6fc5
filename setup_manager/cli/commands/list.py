"""`gemma-setup list`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from setup_manager.cli.options import StorageOptions, gemma_command
from setup_manager.cli.result import Outcome
from setup_manager.cli.shell import Shell

if TYPE_CHECKING:
    from setup_manager.catalog import Catalog, CatalogFile, Variant
    from setup_manager.cli.terminal import Terminal
    from setup_manager.library import InstalledModel


@gemma_command(
    "list",
    StorageOptions,
    examples=("gemma-setup list", "gemma-setup list --installed", "gemma-setup list --json"),
)
@click.option("--installed", is_flag=True, help="What is here, where, registered where.")
def command(shell: Shell, storage: StorageOptions, *, installed: bool) -> Outcome:
    """Show the catalogue, or with --installed what is on this machine."""
    session = shell.open_session(storage)
    if installed:
        models = session.inventory.models()
        data = {"installed": [_installed_document(model) for model in models]}
        return Outcome(data, _installed_text(models, shell.terminal))
    catalog = session.catalog
    return Outcome(_catalog_document(catalog), _catalog_text(catalog, shell.terminal))


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


def _catalog_text(catalog: Catalog, terminal: Terminal) -> str:
    from setup_manager.catalog import weight_files
    from setup_manager.units import format_size

    lines = []
    for variant in catalog.variants.values():
        title = terminal.styled(f"{variant.key:<4} {variant.name}", "bold")
        lines.append(f"{title}  {variant.parameters}; {', '.join(variant.modalities)}")
        files = weight_files(catalog, variant.key)
        for file in sorted(files, key=lambda file: file.size_bytes or 1 << 60):
            size = format_size(file.size_bytes) if file.size_bytes else "?"
            marks = [
                "default" if file.quantization == variant.default_quantization else "",
                "" if file.pinned else "asked of the hub",
            ]
            note = ", ".join(filter(None, marks))
            name = f"{variant.key}:{file.quantization}"
            lines.append(f"       {name:<22} {size:>8}  {terminal.styled(note, 'dim')}".rstrip())
    lines.append("")
    lines.append("gemma-setup recommend tells which of these fit this machine.")
    return "\n".join(lines)


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
            }
            for file in model.files
        ],
        "registrations": [
            {"runtime": entry.runtime, "name": entry.name} for entry in model.registrations
        ],
        "last_smoke": model.last_smoke,
    }


def _installed_text(models: tuple[InstalledModel, ...], terminal: Terminal) -> str:
    if not models:
        return "Nothing is installed yet; `gemma-setup install` begins."
    return "\n".join(line for model in models for line in _installed_lines(model, terminal))


def _installed_lines(model: InstalledModel, terminal: Terminal) -> Iterator[str]:
    from setup_manager.units import format_size

    size = format_size(sum(file.artifact.size_bytes for file in model.files))
    yield f"{terminal.styled(model.name, 'bold')}  {size}"
    for file in model.files:
        mark = terminal.mark("ok" if file.present else "fail")
        yield f"  {mark} {file.path}{'' if file.present else '  (gone or changed)'}"
    for entry in model.registrations:
        yield f"  {terminal.mark('ok')} registered: {entry.runtime} as {entry.name}"
    yield f"  {_smoke_line(model, terminal)}"


def _smoke_line(model: InstalledModel, terminal: Terminal) -> str:
    smoke = model.last_smoke
    if smoke is None:
        return f"{terminal.mark('skip')} not tried yet; `gemma-setup smoke {model.name}`"
    speed = f"{smoke.get('tokens_per_second', 0):.1f} tokens/s"
    passed = bool(smoke.get("passed"))
    words = "answers rightly" if passed else "did not answer rightly"
    return f"{terminal.mark('ok' if passed else 'fail')} {words}, {speed}, {smoke.get('time', '')}"
