"""The catalogue, and what is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from setup_manager.catalog import Catalog
from setup_manager.cli.render.verify_text import partial_words
from setup_manager.cli.terminal import Terminal
from setup_manager.library import InstalledFile, InstalledModel
from setup_manager.units import format_size


def catalog_text(catalog: Catalog, terminal: Terminal) -> str:
    """List each variant with its quantizations, the smallest first."""
    lines = []
    for variant in catalog.variants.values():
        title = terminal.styled(f"{variant.key:<4} {variant.name}", "bold")
        lines.append(f"{title}  {variant.parameters}; {', '.join(variant.modalities)}")
        files = catalog.weights(variant.key)
        for file in sorted(files, key=lambda file: file.size_bytes or 1 << 60):
            size = format_size(file.size_bytes) if file.size_bytes else "?"
            marks = [
                "default" if file.quantization == variant.default_quantization else "",
                "" if file.pinned else "size checked online",
            ]
            note = ", ".join(filter(None, marks))
            name = f"{variant.key}:{file.quantization}"
            lines.append(f"       {name:<22} {size:>8}  {terminal.styled(note, 'dim')}".rstrip())
    lines += ["", "`gemma-setup recommend` shows which of these fit this machine."]
    return "\n".join(lines)


def installed_text(models: Iterable[InstalledModel], terminal: Terminal) -> str:
    """List each model with its files, its registrations and its last smoke test.

    Args:
        models: What is recorded.
        terminal: Where.
    """
    lines = [line for model in models for line in _model_lines(model, terminal)]
    return "\n".join(lines) or "Nothing is installed yet. `gemma-setup install` starts."


def _model_lines(model: InstalledModel, terminal: Terminal) -> Iterator[str]:
    size = format_size(sum(file.artifact.size_bytes for file in model.files))
    yield f"{terminal.styled(model.name, 'bold')}  {size}"
    for file in model.files:
        mark, words = _file_state(model, file)
        yield f"  {terminal.mark(mark)} {file.path}{words}"
    for entry in model.registrations:
        yield f"  {terminal.mark('ok')} registered with {entry.runtime} as {entry.name}"
    if model.complete:
        yield f"  {_smoke_line(model, terminal)}"


def _file_state(model: InstalledModel, file: InstalledFile) -> tuple[str, str]:
    if file.present:
        return "ok", ""
    if file in model.unfinished:
        return "skip", f"  ({partial_words(model, file.arrived_bytes, file.artifact.size_bytes)})"
    return "fail", "  (missing or changed)"


def _smoke_line(model: InstalledModel, terminal: Terminal) -> str:
    smoke = model.last_smoke
    if smoke is None:
        return f"{terminal.mark('skip')} not tested yet: `gemma-setup smoke {model.name}`"
    speed = f"{smoke.get('tokens_per_second', 0):.1f} tokens/s"
    passed = bool(smoke.get("passed"))
    words = "smoke test passed" if passed else "gave a wrong answer"
    return f"{terminal.mark('ok' if passed else 'fail')} {words}, {speed}, {smoke.get('time', '')}"
