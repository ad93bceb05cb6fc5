"""What every test must do: say something, and wait for conditions instead of sleeping."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
TREES = {
    path.relative_to(TESTS).as_posix(): ast.parse(path.read_text("utf-8"))
    for path in sorted(TESTS.rglob("*.py"))
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# Here the sleep is what is played: a server that loads, a copy that takes its time.
SLEEPS_THAT_ARE_PLAYED = {
    "runtimes/fake_llama_server.py",
}


def called(node: ast.AST) -> str:
    """The last part of the name that a call has; nothing for another node."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def asserts(node: ast.AST) -> bool:
    """Whether something inside can fail because of a statement of the test's own."""
    return any(
        isinstance(inner, ast.Assert) or called(inner) in {"raises", "warns"}
        for inner in ast.walk(node)
    )


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function under tests/, nested ones and methods too, with its file."""
    for name, tree in TREES.items():
        yield from ((name, node) for node in ast.walk(tree) if isinstance(node, FUNCTIONS))


def checkers() -> set[str]:
    """The helpers under tests/ that a test may leave the asserting to."""
    return {
        function.name
        for _, function in functions()
        if function.name.startswith(("assert_", "check_", "expect_")) and asserts(function)
    }


def test_every_test_asserts_something() -> None:
    known = checkers()
    silent = [
        f"{name}:{function.lineno} {function.name}"
        for name, function in functions()
        if function.name.startswith("test_")
        and not asserts(function)
        and not any(called(node) in known for node in ast.walk(function))
    ]
    assert silent == []


def test_no_test_sleeps_instead_of_waiting_for_a_condition() -> None:
    allowed = ("support/", *SLEEPS_THAT_ARE_PLAYED)
    asleep = [
        f"{name}:{node.lineno}"
        for name, tree in TREES.items()
        if not name.startswith(allowed)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and called(node) == "sleep"
    ]
    assert asleep == []
