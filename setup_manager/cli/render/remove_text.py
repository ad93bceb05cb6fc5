"""What `remove` and `clean` will delete, and what they freed."""

from __future__ import annotations

from collections.abc import Iterable

from setup_manager.app import clean, remove
from setup_manager.units import format_size

_NOTHING = "There is nothing to clean."


def remove_plan_text(plan: remove.Plan) -> str:
    """Say what will be unregistered and deleted, and what stays."""
    lines = [f"will unregister: {entry.runtime} {entry.name}" for entry in plan.registrations]
    lines += [
        f"will delete:     {file.path} ({format_size(file.artifact.size_bytes)})"
        for file in plan.files
    ]
    lines += [f"will keep:       {file.path} ({why})" for file, why in plan.kept]
    return "\n".join(lines)


def litter_text(litter: Iterable[clean.Litter]) -> str:
    """List what may be deleted."""
    lines = [f"{format_size(item.size_bytes):>8}  {item.reason}: {item.path}" for item in litter]
    return "\n".join(lines) or _NOTHING


def cleaned_text(result: clean.Result) -> str:
    """Say how much was freed, and what is in use."""
    text = f"{format_size(result.freed_bytes)} freed." if result.plan.found else _NOTHING
    return text + "".join(f"\nin use, not deleted: {path}" for path in result.busy)


def removed_text(result: remove.Result) -> str:
    """Say what was removed, and how much that freed."""
    return f"{result.plan.model.name} removed; {format_size(result.freed_bytes)} freed."
