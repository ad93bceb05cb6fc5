"""Rooms and their doors: what outsiders may use of a package, and the order inside one."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import setup_manager

PACKAGE = "setup_manager"
ROOT = Path(setup_manager.__file__).parent
MOST_NAMES = 12
CONTRACTS = tomllib.loads((ROOT.parent / "pyproject.toml").read_text("utf-8"))["tool"][
    "importlinter"
]
LAYERS = CONTRACTS["contracts"][0]["layers"]
# From the bottom up.
ORDER = [name for row in reversed(LAYERS) for name in row.split(" | ")]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}
ROOMS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


def room_of(module: str) -> str:
    """The room that a module is in, or the module itself if it is in none."""
    return module.split(".")[1] if "." in module else ""


def nodes_of(module: str) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(MODULES[module].read_text("utf-8")))


@cache
def imports_of(module: str) -> frozenset[str]:
    """Modules of this package that a module imports, however deep inside it."""
    found = set()
    for node in nodes_of(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (below & MODULES.keys()) or {node.module}
    return frozenset(found & MODULES.keys())


def inside(room: str) -> set[str]:
    """The modules of a room, without its door."""
    return {name for name in MODULES if name.startswith(f"{PACKAGE}.{room}.")}


def docstring_of(room: str) -> str:
    tree = ast.parse(MODULES[f"{PACKAGE}.{room}"].read_text("utf-8"))
    return ast.get_docstring(tree) or ""


def allowed_by_door(room: str) -> set[str]:
    """What a door's docstring lets the room import: those named, and where it says so all below."""
    said = re.search(r"May import: ([^.]*)\.", docstring_of(room))
    words = set(re.findall(r"\w+", said[1] if said else ""))
    named = words & set(ORDER)
    if "below" not in words:
        return named
    highest = max(map(ORDER.index, named), default=ORDER.index(room))
    return named | set(ORDER[:highest])


@pytest.mark.parametrize("room", ROOMS)
def test_a_door_is_at_most_a_dozen_names_wide_and_each_is_there(room: str) -> None:
    door = import_module(f"{PACKAGE}.{room}")
    assert 1 <= len(door.__all__) <= MOST_NAMES
    assert len(set(door.__all__)) == len(door.__all__)
    for name in door.__all__:
        assert getattr(door, name) is not None


@pytest.mark.parametrize("room", ROOMS)
def test_a_door_says_what_the_room_is_for_may_import_and_holds_to(room: str) -> None:
    purpose, _, rules = docstring_of(room).partition("\n")
    assert purpose
    assert "May import:" in rules
    assert re.search(r"^Invariants?: \w", rules, re.MULTILINE)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_its_door_says_and_nothing_else(room: str) -> None:
    used = {room_of(other) for module in inside(room) for other in imports_of(module)}
    assert used - {room, "", "_doors"} <= allowed_by_door(room)


def test_importing_every_door_loads_nothing_behind_it() -> None:
    code = (
        f"import sys\nfrom {PACKAGE} import {', '.join(ROOMS)}\n"
        f"print(*(name for name in sys.modules if name.count('.') > 1 and "
        f"name.startswith('{PACKAGE}.')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.split() == []


@pytest.mark.parametrize("room", ROOMS)
def test_nobody_inside_uses_the_rooms_own_door(room: str) -> None:
    door = f"{PACKAGE}.{room}"
    assert [name for name in inside(room) if door in imports_of(name)] == []


def circle_in(room: str) -> list[str]:
    """One circle of imports among the modules of a room."""
    modules = inside(room)
    try:
        TopologicalSorter({name: imports_of(name) & modules for name in modules}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("room", ROOMS)
def test_no_circle_inside_a_room(room: str) -> None:
    assert circle_in(room) == []
