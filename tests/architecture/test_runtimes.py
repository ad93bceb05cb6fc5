"""What a runtime is stands in its class: nobody else decides anything by its name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import setup_manager
from setup_manager.runtimes.registry import REGISTRY

ROOT = Path(setup_manager.__file__).parent
OUTSIDE = [path for path in sorted(ROOT.rglob("*.py")) if path.parts[len(ROOT.parts)] != "runtimes"]


def constants(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def decisions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name of a runtime that something is compared with, looked up by or matched to."""
    for node in ast.walk(tree):
        asked: list[ast.expr | ast.pattern] = []
        if isinstance(node, ast.Compare):
            asked = [node.left, *node.comparators]
        elif isinstance(node, ast.Subscript):
            asked = [node.slice]
        elif isinstance(node, ast.Dict):
            asked = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.match_case):
            asked = [node.pattern]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in {
            "registration", "runtime", "startswith", "get",
        }:  # fmt: skip
            asked = list(node.args)
        for part in asked:
            for text in set(constants(part)) & set(REGISTRY):
                yield getattr(node, "lineno", 0), text


# An extra of the package and a folder of Ollama's are called as runtimes are.
OTHER_THINGS = {("hints.py", "embedded"), ("session/session.py", "ollama")}


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_nobody_outside_decides_by_the_name_of_a_runtime(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    found = [
        f"line {line}: {text!r}"
        for line, text in decisions(ast.parse(path.read_text("utf-8")))
        if (name, text) not in OTHER_THINGS
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        'if status.name == "ollama": ...',
        'x = {"llama.cpp": 1}[name]',
        'y = table["embedded"]',
        'if name in {"auto", "llama.cpp"}: ...',
        'model.registration("ollama")',
        "match name:\n    case 'ollama': ...",
    ],
)
def test_such_decisions_are_found(code: str) -> None:
    assert list(decisions(ast.parse(code)))
