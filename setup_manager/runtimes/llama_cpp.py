"""llama.cpp: finding llama-server, judging what it can do, and starting it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from setup_manager.runtimes.base import Launch, ModelFiles, RuntimeStatus
from setup_manager.runtimes.capability import ARCHITECTURE, file_contains
from setup_manager.runtimes.options import DRAFTER_TYPE, StartOptions, server_arguments

NAME = "llama.cpp"
PROGRAM = "llama-server.exe" if os.name == "nt" else "llama-server"
USUAL_FOLDERS = (
    "/opt/homebrew/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/usr/local/bin",
    "/usr/bin",
    "~/.local/bin",
    "~/llama.cpp/build/bin",
    "~/.docker/bin/inference",
)
UPDATE_HINT = "Get a current build with `gemma-setup runtime install llama.cpp`."
# A server without these cannot be started in the way that this package starts one.
_NEEDED_FLAGS = frozenset({"model", "ctx-size", "parallel", "cache-type-k", "alias", "jinja"})
_VERSION = re.compile(r"version:\s*(\S+)(?:\s*\(([^)]*)\))?")
_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]+)")
_PROBE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class LlamaServer:
    """A llama-server binary.

    Attributes:
        program: The executable.
        flags: Long flags that its ``--help`` names, without dashes.
    """

    program: Path
    flags: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """``"llama.cpp"``."""
        return NAME

    def launch(self, files: ModelFiles, options: StartOptions) -> Launch:
        """Say how to start a server child for these files."""
        argv = [str(self.program), "--model", str(files.weights)]
        argv += server_arguments(options, self.flags)
        if files.projector is not None:
            argv += ["--mmproj", str(files.projector)]
        if files.drafter is not None:
            argv += ["--model-draft", str(files.drafter), "--spec-type", DRAFTER_TYPE]
        if "cors-origins" in self.flags:
            # By default any web page in a browser here could talk to the server.
            argv += ["--cors-origins", "localhost"]
        return Launch(NAME, tuple(argv))


def candidates(search_path: str, home: Path, installed: Iterable[Path] = ()) -> list[Path]:
    """List the llama-server binaries of this machine, the preferred one first.

    Args:
        search_path: Value of ``PATH``.
        home: The user's home.
        installed: Folders of builds that this tool installed, newest first.
    """
    usual = [Path(folder.replace("~", str(home), 1)) for folder in USUAL_FOLDERS]
    on_path = shutil.which(PROGRAM, path=search_path)
    found = [Path(on_path)] if on_path else []
    found += [folder / PROGRAM for folder in (*installed, *usual)]
    usable = [path for path in found if path.is_file() and os.access(path, os.X_OK)]
    return list(dict.fromkeys(usable))


def find(search_path: str, home: Path, installed: Iterable[Path] = ()) -> RuntimeStatus:
    """Look for a llama-server that can run Gemma 4.

    Of several the first that can is taken; a capable build in a usual folder is better than an old
    one on PATH.

    Args:
        search_path: Value of ``PATH``.
        home: The user's home.
        installed: Folders of builds that this tool installed, newest first.
    """
    statuses = [inspect(program) for program in candidates(search_path, home, installed)]
    if not statuses:
        return RuntimeStatus(
            NAME, found=False, detail="llama-server is not on PATH", hint=UPDATE_HINT
        )
    return next((status for status in statuses if status.gemma4), statuses[0])


def inspect(program: Path) -> RuntimeStatus:
    """Judge one llama-server by what it says of itself and by what it contains."""
    said = _run(program, "--version")
    if said is None:
        return RuntimeStatus(
            NAME,
            found=True,
            gemma4=False,
            path=str(program),
            detail="found, but it cannot be run",
            hint=UPDATE_HINT,
        )
    missing = _NEEDED_FLAGS - help_flags(program)
    knows = knows_gemma4(program)
    detail = ""
    if not knows:
        detail = "too old: it does not know the architecture gemma4"
    elif missing:
        detail = f"too old: it lacks --{', --'.join(sorted(missing))}"
    return RuntimeStatus(
        NAME,
        found=True,
        version=parse_version(said),
        gemma4=knows and not missing,
        path=str(program),
        detail=detail or "llama-server",
        hint=UPDATE_HINT if detail else "",
    )


def server_at(program: Path) -> LlamaServer:
    """Return a llama-server as a runtime, its flags read from ``--help``."""
    return LlamaServer(program, help_flags(program))


def parse_version(text: str) -> str:
    """Read the answer to ``--version``.

    Returns:
        ``"b8639"`` for a numbered build, ``"0.6.0-dev"`` where there is none
        (``version: 0.6.0-dev (build 0, commit unknown)``), ``""`` for anything else.
    """
    match = _VERSION.search(text)
    if match is None:
        return ""
    build = re.search(r"build (\d+)", match[2] or "")
    if build and int(build[1]) > 0:
        return f"b{build[1]}"
    return f"b{match[1]}" if match[1].isdecimal() and int(match[1]) > 0 else match[1]


def knows_gemma4(program: Path) -> bool:
    """Say whether a binary, or one of the llama libraries that it loads, contains the name."""
    real = program.resolve()
    folders = (real.parent, real.parent.parent / "lib", real.parent.parent / "lib64")
    libraries = [
        path
        for folder in folders
        for pattern in ("libllama*.so*", "libllama*.dylib", "llama*.dll")
        for path in sorted(folder.glob(pattern))
    ]
    return any(file_contains(path, ARCHITECTURE) for path in (real, *libraries))


@lru_cache(maxsize=16)
def help_flags(program: Path) -> frozenset[str]:
    """Return the long flags that ``--help`` names; empty if it cannot be asked."""
    return frozenset(_FLAG.findall(_run(program, "--help") or ""))


def _run(program: Path, argument: str) -> str | None:
    """Run the binary with one argument; None if that fails or hangs."""
    try:
        answer = subprocess.run(
            [str(program), argument],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode != 0:
        return None
    return (answer.stdout + answer.stderr).decode("utf-8", "replace")
