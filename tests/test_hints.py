"""What a person is told to type to add a part, by the way the program was installed."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from setup_manager.hints import PACKAGES, Installed, command_for, install_extra

ROOT = Path(__file__).parents[1]
PYTHON = "/venv/bin/python"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="paths are POSIX here")


def environment(folder: Path, marker: str, **facts: Any) -> Installed:
    folder.mkdir()
    (folder / marker).touch()
    return Installed(folder, PYTHON, **facts)


def test_pipx_injects_into_the_environment_of_that_name(tmp_path: Path) -> None:
    here = environment(tmp_path / "gemma-setup", "pipx_metadata.json")
    assert command_for("embedded", here) == "pipx inject gemma-setup xllamacpp"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, "gemma-setup"),
        ({"url": "file:///src/gemma%20setup", "dir_info": {}}, "'/src/gemma setup'"),
        ({"url": "file:///src", "dir_info": {"editable": True}}, "--editable /src"),
        ({"url": "https://a.example/g.whl", "archive_info": {}}, "https://a.example/g.whl"),
        (
            {
                "url": "https://a.example/g.git",
                "vcs_info": {"vcs": "git", "requested_revision": "v1", "commit_id": "0"},
            },
            "git+https://a.example/g.git@v1",
        ),
    ],
)
def test_uv_installs_the_tool_again_from_where_it_came(
    tmp_path: Path, source: dict[str, Any] | None, words: str
) -> None:
    here = environment(tmp_path / "gemma-setup", "uv-receipt.toml", source=source)
    assert command_for("embedded", here) == f"uv tool install --with xllamacpp {words}"


def test_a_plain_environment_is_given_the_package_by_its_own_interpreter() -> None:
    here = Installed(Path("/venv"), PYTHON)
    assert command_for("embedded", here) == "/venv/bin/python -m pip install xllamacpp"
    assert command_for("report", here).endswith("pip install jinja2 vl-convert-python")


def test_an_environment_without_pip_is_given_it_by_uv() -> None:
    here = Installed(Path("/venv"), PYTHON, has_pip=False)
    assert command_for("embedded", here) == f"uv pip install --python {PYTHON} xllamacpp"


def test_a_checkout_outside_of_any_environment_has_a_script_that_makes_one() -> None:
    here = Installed(Path("/usr"), PYTHON, isolated=False, script=Path("/src/scripts/gemma-setup"))
    assert command_for("embedded", here) == "/src/scripts/gemma-setup"
    assert command_for("report", here).startswith(f"{PYTHON} -m pip install")


def test_a_python_of_the_system_is_written_to_only_with_the_flag_for_it() -> None:
    here = Installed(Path("/usr"), PYTHON, isolated=False, managed=True)
    assert "--break-system-packages" in command_for("embedded", here)


def test_an_engine_that_is_too_old_is_upgraded_where_it_is(tmp_path: Path) -> None:
    pipx = environment(tmp_path / "gemma-setup", "pipx_metadata.json")
    uv = environment(tmp_path / "tool", "uv-receipt.toml")
    said = [
        command_for("embedded", here, upgrade=True)
        for here in (pipx, uv, Installed(Path("/venv"), PYTHON))
    ]
    assert said == [
        "pipx runpip gemma-setup install --upgrade xllamacpp",
        "uv tool upgrade gemma-setup",
        "/venv/bin/python -m pip install --upgrade xllamacpp",
    ]


def test_the_packages_are_those_of_the_extras() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for name, packages in PACKAGES.items():
        assert tuple(entry.partition(">")[0] for entry in extras[name]) == packages


def test_what_is_said_here_names_a_program_that_is_here() -> None:
    program = shlex.split(install_extra("embedded"))[0]
    assert subprocess.run([program, "--version"], capture_output=True).returncode == 0
