"""Download a model in a Python that lacks what another system's Python lacks.

    python -m tests.platforms.pretend windows|windows-without-links|macos

Run as a process of its own, with the environment of a download. The other packages are imported
first; then `sys.platform` is changed and every call is taken away that the other system's Python
has not (https://docs.python.org/3/library/os.html, "Availability"). As on Windows, links need a
privilege and open files cannot be renamed or removed. Names that do not tell letter cases apart,
drives and the real calls of those systems cannot be had here.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import pkgutil
import platform
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click.shell_completion  # noqa: F401 - imported before the system changes
import filelock  # noqa: F401
import huggingface_hub  # noqa: F401
import psutil  # noqa: F401
import requests  # noqa: F401

POSIX_ONLY = (
    "chown", "copy_file_range", "fchmod", "fdatasync", "fork", "geteuid", "getuid", "killpg",
    "posix_fadvise", "posix_fallocate", "pread", "preadv", "pwrite", "pwritev", "sched_getaffinity",
    "setpriority", "uname", "SEEK_DATA", "SEEK_HOLE", "O_CLOEXEC", "O_ACCMODE",
)  # fmt: skip
LINUX_ONLY = ("copy_file_range", "fdatasync", "posix_fadvise", "posix_fallocate")
# Started as processes of their own, on POSIX alone.
PROGRAMS = {"setup_manager.runtimes.tether", "setup_manager.__main__"}

full_syncs: list[int] = []


def refuse(*_: Any, **__: Any) -> NoReturn:
    raise OSError(22, "A required privilege is not held by the client")


def refusing_open_files(call: Callable[..., None]) -> Callable[..., None]:
    """Windows neither renames nor removes what some process has open, nor replaces it."""

    def careful(*paths: Any, **options: Any) -> None:
        for path in map(os.path.abspath, paths):
            # The lock is the business of filelock, which has another way there.
            if path in opened() and not path.endswith(".lock"):
                raise PermissionError(13, "used by another process", path)
        call(*paths, **options)

    return careful


def opened() -> set[str]:
    """Every file that this process has open."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(os.readlink(descriptor))
    return found


def become_windows(*, links: bool) -> None:
    take_away(os, POSIX_ONLY)
    take_away(signal, ("SIGKILL", "SIGHUP"))
    sys.platform = "win32"
    os.symlink = refuse
    for name in ("replace", "rename", "unlink", "remove"):
        setattr(os, name, refusing_open_files(getattr(os, name)))
    if not links:
        os.link = refuse


def become_macos() -> None:
    take_away(os, LINUX_ONLY)
    sys.platform = "darwin"
    fcntl.F_FULLFSYNC = 51  # type: ignore[attr-defined]
    original: Any = fcntl.fcntl

    def watched(descriptor: int, command: int, *rest: Any) -> Any:
        if command == 51:
            full_syncs.append(descriptor)
            os.fsync(descriptor)
            return 0
        return original(descriptor, command, *rest)

    fcntl.__dict__["fcntl"] = watched


def take_away(module: Any, names: tuple[str, ...]) -> None:
    for name in names:
        if hasattr(module, name):
            delattr(module, name)


def import_everything() -> int:
    import setup_manager

    found = pkgutil.walk_packages(setup_manager.__path__, "setup_manager.")
    names = [module.name for module in found if module.name not in PROGRAMS]
    for name in names:
        importlib.import_module(name)
    return len(names)


def main() -> None:
    platform.uname()  # remembered from now on
    name = sys.argv[1]
    if name == "macos":
        become_macos()
    else:
        become_windows(links=name == "windows")
    modules = import_everything()
    from setup_manager.api import download, open_session

    session = open_session()
    request = download.Request(model="rehearsal")
    first = download.run(session, download.plan(session, request))
    second = download.run(session, download.plan(session, request))
    path = Path(first.path)
    result = {
        "modules": modules,
        "path": str(path),
        "is_link": path.is_symlink(),
        "names": path.stat().st_nlink,
        "fetched": [first.fetched_bytes, second.fetched_bytes],
        "full_syncs": len(full_syncs),
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
