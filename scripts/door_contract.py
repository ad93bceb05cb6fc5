"""The contract of import-linter that nobody imports past the door of a room.

``[tool.importlinter]`` in pyproject.toml names it; `lint-imports` runs it with the layers.
"""

from __future__ import annotations

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class DoorContract(Contract):
    """A package right below the root is imported as such, and its modules by itself alone."""

    type_name = "doors"
    package = fields.StringField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001
        """Look for imports from outside that name a module behind a door."""
        root = str(self.package)
        past = sorted(
            (importer, module)
            for room in graph.find_children(root)
            for module in graph.find_descendants(room)
            for importer in graph.find_modules_that_directly_import(module)
            if importer != room and not importer.startswith(f"{room}.")
        )
        return ContractCheck(kept=not past, metadata={"past": past})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the imports that go past a door."""
        past: list[Any] = check.metadata["past"]
        for importer, module in past:
            output.print_error(f"{importer} imports {module}, which is behind a door.")
