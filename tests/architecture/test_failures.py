"""A failure is a kind: no decision hangs on the words of an error."""

import ast
from pathlib import Path

import pytest

import setup_manager

ROOT = Path(setup_manager.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
_WORDS = {"message", "reason", "args", "strerror", "hint", "context", "problem"}


def is_the_words_of_an_error(node: ast.expr) -> bool:
    """Whether an expression is the text of an error, or the name of its class."""
    match node:
        case ast.Call(func=ast.Name(id="str" | "repr")):
            return True
        case ast.Call(func=ast.Attribute(value=inner, attr="lower" | "strip" | "casefold")):
            return is_the_words_of_an_error(inner)
        case ast.Attribute(attr="__name__", value=ast.Call(func=ast.Name(id="type"))):
            return True
        case ast.Attribute(attr=attribute):
            return attribute in _WORDS
    return False


def decisions(tree: ast.AST) -> list[int]:
    """The lines that ask whether a text stands in an error's words, begins them or is them."""
    lines = []
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=ast.Constant(value=str()), comparators=[words]):
                asked = is_the_words_of_an_error(words)
            case ast.Compare(left=words, comparators=[ast.Constant(value=str(value))]) if value:
                asked = is_the_words_of_an_error(words)
            case ast.Call(func=ast.Attribute(value=words, attr="startswith" | "endswith" | "find")):
                asked = is_the_words_of_an_error(words)
            case _:
                asked = False
        if asked and isinstance(node, ast.expr):
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_decision_hangs_on_the_words_of_an_error(path: Path) -> None:
    assert decisions(ast.parse(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "code",
    [
        'if "407" in str(error): ...',
        'if "Timeout" not in type(error).__name__: ...',
        'if "web page" in error.reason.lower(): ...',
        'if error.message == "gone": ...',
        'if str(error).startswith("disk"): ...',
    ],
)
def test_a_decision_by_words_is_seen(code: str) -> None:
    assert decisions(ast.parse(code)) == [1]


@pytest.mark.parametrize("code", ['if error.code == "gated": ...', 'if "x" in name: ...'])
def test_a_decision_by_kind_is_none(code: str) -> None:
    assert decisions(ast.parse(code)) == []
