"""The package as it is built. Installing it by pip, pipx and uv is for scripts/check_package."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import setup_manager
from scripts.check_package_steps import DATA, sdist_problems, wheel_problems

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_all_code_and_data_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert wheel_problems(names) == []
    assert set(DATA) <= names
    assert not [name for name in names if name.startswith(("tests", "scripts"))]


def test_a_wheel_that_lacks_data_or_has_tests_would_be_noticed(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist()) - {DATA[0]} | {"tests/conftest.py"}
    assert wheel_problems(names) == [
        f"the wheel lacks {DATA[0]}",
        "the wheel has tests/conftest.py",
    ]


def test_the_source_distribution_can_be_tested_and_built_again(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert sdist_problems(inside) == []


def test_the_metadata_says_what_the_package_needs(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = wheel.read(name).decode("utf-8")
    head, _, readme = metadata.partition("\n\n")
    assert f"Version: {setup_manager.__version__}" in head
    assert "Classifier: Typing :: Typed" in head
    assert readme.startswith("# gemma-setup")
    core = [
        line.removeprefix("Requires-Dist: ").split(">")[0]
        for line in head.splitlines()
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    ]
    assert sorted(core) == [
        "click", "filelock", "huggingface-hub", "msgspec", "psutil", "requests", "tqdm",
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", [("--version",), ("list",), ("explain", "e2b")])
def test_the_unpacked_wheel_runs_as_a_module(
    wheel: zipfile.ZipFile, home: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    wheel.extractall(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-m", "setup_manager", *arguments],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    if arguments == ("--version",):
        assert done.stdout == f"gemma-setup, version {setup_manager.__version__}\n"
