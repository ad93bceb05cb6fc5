"""Build the package and try it as users get it; called by scripts/check_package.

    python -m scripts.check_package_steps [--keep FOLDER]

The source distribution is built from the checkout and the wheel from it; both pass `twine check`
and hold what they must. Then pip (in a new environment), pipx and uv install the wheel, and what
each installed has to run. Installers get folders of their own; nothing of the user's is touched.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PROGRAM = "gemma-setup.exe" if os.name == "nt" else "gemma-setup"

DATA = (
    "setup_manager/py.typed",
    "setup_manager/catalog/catalog.json",
    "setup_manager/catalog/catalog.schema.json",
    "setup_manager/machine/vendor_bandwidth.json",
    "setup_manager/rehearsal/data/gemma-4-rehearsal-it-F16.gguf",
)
"""Files beside the code that the package cannot do without."""
SOURCE_ONLY = ("tests/conftest.py", "scripts/gemma-setup", "pyproject.toml", "README.md", "LICENSE")
"""Files that only the source distribution has."""


class CheckFailedError(Exception):
    """Something about the package is wrong."""


def wheel_problems(names: set[str]) -> list[str]:
    """Say what is wrong with the files of a wheel."""
    problems = [f"the wheel lacks {name}" for name in DATA if name not in names]
    for name in sorted(names):
        top = name.split("/")[0]
        if top != "setup_manager" and not top.endswith(".dist-info"):
            problems.append(f"the wheel has {name}")
        if name.endswith((".pyc", ".partial")):
            problems.append(f"the wheel has {name}")
    files = (path for path in (ROOT / "setup_manager").rglob("*") if path.is_file())
    wanted = {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"}
    return problems + [f"the wheel lacks {name}" for name in sorted(wanted - names - {*DATA})]


def sdist_problems(names: set[str]) -> list[str]:
    """Say what is wrong with the files of a source distribution (without its top folder)."""
    return [f"the sdist lacks {name}" for name in (*DATA, *SOURCE_ONLY) if name not in names]


def run(*command: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return what it wrote.

    Raises:
        CheckFailedError: If it fails.
    """
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **(environment or {})},
        # Outside of the checkout, so that only what is installed can be imported.
        cwd=tempfile.gettempdir(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = " ".join(str(part) for part in command)
        raise CheckFailedError(f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(folder: Path) -> tuple[Path, Path]:
    """Build the source distribution, and from it the wheel."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def check_contents(sdist: Path, wheel: Path) -> None:
    """Look into both.

    Raises:
        CheckFailedError: If something is missing or too much.
    """
    with zipfile.ZipFile(wheel) as archive:
        problems = wheel_problems(set(archive.namelist()))
    with tarfile.open(sdist) as archive_file:
        inside = {name.partition("/")[2] for name in archive_file.getnames()}
    if problems := [*problems, *sdist_problems(inside)]:
        raise CheckFailedError("\n".join(problems))


def try_program(*program: str | Path) -> None:
    """Use what was installed: it has to find its data files and do the whole job up to the plan.

    Raises:
        CheckFailedError: If something does not work.
    """
    with tempfile.TemporaryDirectory() as home:
        environment = {"HOME": home, "USERPROFILE": home, "PYTHONPATH": ""}
        for arguments in (("--version",), ("--help",), ("list",), ("check", "--help")):
            run(*program, *arguments, environment=environment)
        explained = run(*program, "explain", "e2b", "--json", environment=environment)
    if '"status": "success"' not in explained:
        raise CheckFailedError(explained)


def install_with_pip(wheel: Path, folder: Path) -> None:
    """Install into a new environment; run the program, the module and the API there."""
    run(sys.executable, "-m", "venv", folder / "venv")
    scripts = folder / "venv" / BIN.name
    python = scripts / Path(sys.executable).name
    run(python, "-m", "pip", "install", "--quiet", wheel)
    run(python, "-m", "pip", "check")
    try_program(scripts / PROGRAM)
    try_program(python, "-m", "setup_manager")
    run(
        python,
        "-c",
        "from setup_manager.api import open_session, recommend as r; "
        "r.explain(open_session(), r.ExplainRequest(model='e2b', context=4096))",
    )
    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "gemma-setup")
    left = list((folder / "venv").rglob("setup_manager"))
    if left:
        raise CheckFailedError(f"uninstalling leaves {left[0]}")


def install_with_pipx(wheel: Path, folder: Path) -> None:
    """Install as pipx does, into folders of its own."""
    places = {
        "PIPX_HOME": str(folder / "pipx"),
        "PIPX_BIN_DIR": str(folder / "pipx-bin"),
        "PIPX_MAN_DIR": str(folder / "pipx-man"),
    }
    pipx = (sys.executable, "-m", "pipx")
    run(*pipx, "install", "--python", sys.executable, wheel, environment=places)
    try_program(folder / "pipx-bin" / PROGRAM)
    run(*pipx, "uninstall", "gemma-setup", environment=places)


def install_with_uv(wheel: Path, folder: Path) -> None:
    """Install as a tool of uv, into folders of its own."""
    places = {
        "UV_TOOL_DIR": str(folder / "uv"),
        "UV_TOOL_BIN_DIR": str(folder / "uv-bin"),
        "UV_CACHE_DIR": str(folder / "uv-cache"),
    }
    uv = shutil.which("uv", path=str(BIN)) or "uv"
    run(uv, "tool", "install", "--python", sys.executable, wheel, environment=places)
    try_program(folder / "uv-bin" / PROGRAM)
    run(uv, "tool", "uninstall", "gemma-setup", environment=places)


def check_package(folder: Path) -> None:
    """Do all of it, and say what is being done.

    Raises:
        CheckFailedError: At the first thing that is wrong.
    """
    sdist, wheel = _timed("build", lambda: build(folder / "dist"))
    print(f"  {sdist.name} {sdist.stat().st_size:,} bytes")
    print(f"  {wheel.name} {wheel.stat().st_size:,} bytes")
    _timed("contents", lambda: check_contents(sdist, wheel))
    _timed("twine check", lambda: run(BIN / "twine", "check", "--strict", sdist, wheel))
    _timed("pip", lambda: install_with_pip(wheel, folder))
    _timed("pipx", lambda: install_with_pipx(wheel, folder))
    _timed("uv", lambda: install_with_uv(wheel, folder))


def _timed(name: str, step: Callable[[], T]) -> T:
    begin = time.monotonic()
    result = step()
    print(f"{name}: fine, {time.monotonic() - begin:.1f} s", flush=True)
    return result


def main() -> int:
    """Check the package in a temporary folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--keep", type=Path, help="folder to leave the built files in")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory(prefix="gemma-setup-package-") as name:
        folder = Path(name)
        try:
            check_package(folder)
        except CheckFailedError as problem:
            print(problem, file=sys.stderr)
            return 1
        if keep:
            shutil.copytree(folder / "dist", keep, dirs_exist_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
