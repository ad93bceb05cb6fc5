"""How wide the house is: modules, lines, doors, and how many files one change touches.

    python -m scripts.measure_house [--against REVISION]

With ``--against`` the same is measured at a revision of git and printed beside today's.

What a change touches is counted as the files of the package that name one thing of its kind: a
quantization's label, a runtime, a fault of a transfer, a probe, an option. Whoever adds another one
has to look at each of them.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "setup_manager"
# One thing of each kind, as the code may write it; chosen for being the same at every revision.
CHANGES = {
    "a quantization (Q5_K_M)": r"""["']Q5_K_M["']|\bQ5_K_M\b""",
    "a runtime (ollama)": r"""["']ollama["']|import ollama\b|\.ollama\b""",
    "a fault (PORTAL)": r"\bFault\.PORTAL\b|\bPORTAL\b",
    "a probe (undervoltage)": r"\bread_undervoltage\b",
    "a command option (ubatch)": r"""\bubatch\b""",
}


@dataclass(frozen=True)
class House:
    """The package at one moment.

    Attributes:
        modules: Python files by their path inside the package.
    """

    modules: dict[str, ast.Module]
    texts: dict[str, str]

    @property
    def rooms(self) -> list[str]:
        """Packages directly below the top one."""
        return sorted({path.split("/")[0] for path in self.modules if "/" in path})


def read_house(root: Path) -> House:
    """Parse every module below a package's folder."""
    texts = {
        path.relative_to(root).as_posix(): path.read_text("utf-8")
        for path in sorted(root.rglob("*.py"))
    }
    return House({path: ast.parse(text) for path, text in texts.items()}, texts)


def lines_of_code(house: House) -> int:
    """Count lines without blank ones, comments and docstrings."""
    return sum(
        sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))
        - sum(_docstring_lines(house.modules[path]))
        for path, text in house.texts.items()
    )


def _docstring_lines(tree: ast.Module) -> Iterator[int]:
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, owners) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            yield (first.end_lineno or first.lineno) - first.lineno + 1


def imports_past_doors(house: House) -> int:
    """Count imports from inside another room."""
    return sum(
        1 for path, tree in house.modules.items() for module in _inside(house, path, tree) if module
    )


def _inside(house: House, path: str, tree: ast.Module) -> Iterator[str]:
    own = path.split("/", maxsplit=1)[0]
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(PACKAGE):
            continue
        for alias in node.names:
            parts = f"{node.module}.{alias.name}".split(".")[1:]
            while parts and not _is_module(house, parts):
                parts.pop()
            if len(parts) > 1 and parts[0] != own:
                yield ".".join(parts)


def _is_module(house: House, parts: list[str]) -> bool:
    path = "/".join(parts)
    return f"{path}.py" in house.modules or f"{path}/__init__.py" in house.modules


def public_names(house: House, room: str) -> int:
    """Count what outsiders may use of a room: its door's names, or without a door all of them."""
    for node in house.modules.get(f"{room}/__init__.py", ast.Module([], [])).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return len(ast.literal_eval(node.value))
    definitions = (ast.FunctionDef, ast.ClassDef)
    return sum(
        isinstance(node, definitions) and not node.name.startswith("_")
        for path, tree in house.modules.items()
        if path.startswith(f"{room}/")
        for node in tree.body
    )


def files_touched(house: House, pattern: str) -> int:
    """Count the modules that name a thing, in code and not in words about it."""
    found = re.compile(pattern)
    return sum(any(found.search(line) for line in _code(house, path)) for path in house.modules)


def _code(house: House, path: str) -> list[str]:
    """Give a module's code, one line a statement, without docstrings and comments."""
    tree = ast.parse(house.texts[path])
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[0] = ast.Pass()
    return ast.unparse(tree).splitlines()


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def figures(house: House) -> dict[str, int]:
    """Measure a house."""
    widths = {room: public_names(house, room) for room in house.rooms}
    return {
        "modules": len(house.modules),
        "lines of code": lines_of_code(house),
        "imports past a door": imports_past_doors(house),
        "public names, widest room": max(widths.values()),
        "public names, all rooms": sum(widths.values()),
        **{f"files naming {what}": files_touched(house, how) for what, how in CHANGES.items()},
    }


def house_at(revision: str) -> House:
    """Read the package as it was at a revision of git."""
    archive = subprocess.run(
        ["git", "archive", revision, PACKAGE], capture_output=True, check=True
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        return read_house(Path(folder) / PACKAGE)


def main() -> int:
    """Print the figures, one a line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", metavar="REVISION")
    chosen = parser.parse_args()
    now = figures(read_house(Path(__file__).parent.parent / PACKAGE))
    before = figures(house_at(chosen.against)) if chosen.against else {}
    for name, value in now.items():
        print(f"| {name} | " + (f"{before[name]:,} | " if before else "") + f"{value:,} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
