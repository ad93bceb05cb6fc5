"""What not every system has stands in few places, each of them known."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import setup_manager
from tests.platforms.pretend import POSIX_ONLY

ROOT = Path(setup_manager.__file__).parent

# What each place is there for. Whatever is used must be guarded by hasattr, sys.platform, os.name
# or an except ImportError: tests/platforms/test_elsewhere.py runs without it.
PLACES = {
    "fs/disk.py": "writing and syncing at an offset, priorities",
    "machine/probe/system.py": "ending a command with all of its children",
    "machine/probe/quota.py": "a user's quota on Linux",
    "machine/probe/windows.py": "what the registry says",
    "recover/busy.py": "what /proc says of open files",
    "recover/content.py": "holes in files",
    "download/adopt.py": "clones of files",
    "runtimes/ollama/store.py": "clones and owners in Ollama's store",
    "runtimes/tether.py": "a program of its own, started on POSIX alone",
}
NAMES = {*(f"os.{name}" for name in POSIX_ONLY if name != "O_CLOEXEC"), "os.statvfs", "os.getpgid",
         "signal.SIGKILL", "signal.SIGHUP", "signal.pthread_kill", "os.getppid"}  # fmt: skip
MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "msvcrt", "winreg"}


def uses() -> dict[str, set[str]]:
    """Find what each file uses that some system lacks."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found[name] |= {f"{node.value.id}.{node.attr}"} & NAMES
            elif isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names} & MODULES
            elif isinstance(node, ast.ImportFrom):
                found[name] |= {str(node.module)} & MODULES
    return {name: used for name, used in found.items() if used}


def test_only_the_known_places_use_what_some_system_lacks() -> None:
    found = uses()
    assert {name: used for name, used in found.items() if name not in PLACES} == {}


def test_every_place_that_is_listed_is_one() -> None:
    assert set(PLACES) <= set(uses())
