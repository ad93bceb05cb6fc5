"""What import-linter cannot say of imports: who may import what from outside, and what is pure."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import setup_manager

ROOT = Path(setup_manager.__file__).parent

# Who alone may import a dependency; a path or a folder each.
OWNERS = {
    "requests": ("net/transport.py",),
    "urllib3": ("net/transport.py",),
    "huggingface_hub": ("net/hub.py",),
    "psutil": ("machine/",),
    "filelock": ("fs/lock.py",),
    "click": ("cli/",),
    "tqdm": ("cli/progress.py",),
    "jinja2": ("report/",),
    "vl_convert": ("report/drawing.py",),
    "xllamacpp": ("runtimes/embedded_child.py",),
    "subprocess": ("machine/probe/", "runtimes/", "smoke/"),
}

# Packages that only compute: nothing of the outside world may be imported there.
PURE_PACKAGES = ("catalog", "gguf", "fit", "report")
PURE_MODULES = (
    "errors.py",
    "units.py",
    "machine/facts.py",
    "machine/document.py",
    "machine/checks.py",
    "download/plan.py",
    "download/journal.py",
    "net/faults.py",
    "net/options.py",
    "net/protocol.py",
    "smoke/judge.py",
)
# Started as processes of their own: there the command line is all they have.
PROGRAMS = ("runtimes/embedded_child.py", "runtimes/tether.py")
IMPURE = {"requests", "urllib3", "psutil", "subprocess", "click", "tqdm", "socket", "threading"}

SOURCES = sorted(ROOT.rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Every module that a file imports, however deep inside it, under its full name."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative imports hide the direction"
            found.add(node.module)
    return frozenset(found)


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def test_the_contracts_of_pyproject_are_kept() -> None:
    """Layers, doors and what stands beside: `lint-imports` as `scripts/check` runs it."""
    ran = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT.parent,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_each_dependency_has_one_owner(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    for module in imports_of(path):
        owners = OWNERS.get(module.split(".")[0])
        assert owners is None or name.startswith(owners), f"{name} must not import {module}"


PURE = [
    path
    for path in SOURCES
    if package_of(path) in PURE_PACKAGES or path.relative_to(ROOT).as_posix() in PURE_MODULES
]


@pytest.mark.parametrize("path", PURE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_pure_core_imports_nothing_of_the_outside(path: Path) -> None:
    assert not {module.split(".")[0] for module in imports_of(path)} & IMPURE


BELOW_THE_SHELL = [
    path
    for path in SOURCES
    if package_of(path) not in {"cli", "__main__"}
    and path.relative_to(ROOT).as_posix() not in PROGRAMS
]


@pytest.mark.parametrize("path", BELOW_THE_SHELL, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_entries_print_exit_or_read_the_environment(path: Path) -> None:
    entry = {"os.environ"} if path.relative_to(ROOT).as_posix() == "session/opening.py" else set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"print", "input", "exit", "quit"}, f"line {node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used = f"{node.value.id}.{node.attr}"
            assert used not in {"os.environ", "os.getenv", "sys.exit", "sys.argv"} - entry, (
                f"line {node.lineno} uses {used}"
            )
