"""The contract that nobody imports past a door."""

from __future__ import annotations

import grimp
import pytest

from scripts.door_contract import DoorContract


def kept(importer: str, imported: str) -> bool:
    graph = grimp.ImportGraph()
    for module in ("house", "house.hall", "house.hall.shelf", "house.attic", "house.attic.box"):
        graph.add_module(module)
    graph.add_import(importer=importer, imported=imported)
    contract = DoorContract("doors", {}, {"package": "house"})
    return contract.check(graph, verbose=False).kept


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("house.hall.shelf", "house.attic", True),
        ("house.hall.shelf", "house.attic.box", False),
        ("house.hall", "house.attic.box", False),
        ("house.hall", "house.hall.shelf", True),
        ("house.attic.box", "house.hall.shelf", False),
    ],
)
def test_a_module_is_imported_by_its_own_room_alone(
    importer: str, imported: str, allowed: bool
) -> None:
    assert kept(importer, imported) is allowed
