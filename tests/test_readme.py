"""Commands and examples of the README, the tutorial and the scripting guide are run as printed."""

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from setup_manager.catalog.load import load_catalog
from setup_manager.cli import SUMMARIES
from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, model_path
from tests.cli.hub import catalog_file, environment_for
from tests.cli.runner import Program, program_at
from tests.support.loopback import LoopbackHub

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
TUTORIAL = (ROOT / "docs/tutorial.md").read_text("utf-8")
SCRIPTING = (ROOT / "docs/guides/scripting.md").read_text("utf-8")
FOLLOWED = README + TUTORIAL + SCRIPTING

# What ends otherwise than well here, and why: there is no internet, no Ollama, and no projector of
# the tiny model that stands in for every variant.
EXPECTED = {
    "gemma-setup download 12b --with-projector": 2,
    "gemma-setup register e4b --runtime ollama": 15,
    "gemma-setup runtime install llama.cpp": 12,
}
# A server that runs until it is stopped (tested with install), and another system's shell.
NOT_HERE = {
    "gemma-setup serve e4b",
    "gemma-setup serve e4b --port 8080",
    "gemma-setup completion powershell | Out-String | Invoke-Expression",
}


def commands() -> list[str]:
    """Every gemma-setup command line in fences and inline code, once."""
    fenced = re.findall(r"```sh\n(.*?)```", FOLLOWED, re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in fenced for line in block.splitlines()]
    inline = re.findall(r"`(gemma-setup [^`\n]*)`", FOLLOWED)
    found = [line for line in [*lines, *inline] if line.startswith("gemma-setup ")]
    # Upper case stands for something to be filled in.
    return list(dict.fromkeys(c for c in found if not re.search(r"\b[A-Z]{4,}\b|…", c)))


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A home in which every variant of the catalogue is the tiny model, and e4b is installed."""
    folder = tmp_path_factory.mktemp("readme")
    home = folder / "home"
    home.mkdir()
    with LoopbackHub({REPOSITORY: {FILE_NAME: model_path()}}) as hub:
        path = catalog_file(folder, hub)
        document = json.loads(path.read_text())
        (tiny,) = document["variants"].values()
        (file,) = document["files"]
        names = list(load_catalog().variants)
        document["variants"] = {name: {**tiny, "default_quantization": "Q4_K_M"} for name in names}
        document["files"] = [{**file, "variant": name, "quantization": "Q4_K_M"} for name in names]
        path.write_text(json.dumps(document))
        program = program_at(home)
        program = Program(home, {**program.environment, **environment_for(hub, path)})
        program("install", "e4b", "--yes", "--runtime", "embedded")
        yield program


def as_typed(program: Program, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command line in bash, with `gemma-setup` on PATH."""
    folder = program.home / "bin"
    folder.mkdir(exist_ok=True)
    wrapper = folder / "gemma-setup"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(program.argv())} "$@"\n')
    wrapper.chmod(0o755)
    for folder_of_a_shell in (".zfunc", ".config/fish/completions"):
        (program.home / folder_of_a_shell).mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        ["bash", "-c", command],
        env={**program.environment, "PATH": f"{folder}:{program.environment['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=program.home,
    )


@pytest.mark.real_runtime
@pytest.mark.parametrize("command", [c for c in commands() if c not in NOT_HERE])
def test_a_command_works_as_printed(stand_in: Program, command: str) -> None:
    verb = command.split()[1]
    if verb == "remove":
        command = command.replace("remove", "remove --dry-run")  # others still need the model
    elif verb in {"install", "clean", "recover", "runtime"}:
        command = command.replace(verb, f"{verb} --yes", 1)
    finished = as_typed(stand_in, command)
    assert finished.returncode == EXPECTED.get(command.replace(" --yes", "", 1), 0), finished.stderr
    assert "Traceback" not in finished.stderr


def test_readme_and_guides_name_every_command() -> None:
    assert [name for name in SUMMARIES if f"gemma-setup {name}" not in FOLLOWED] == []


def test_the_configuration_example_is_one(stand_in: Program, tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", SCRIPTING, re.DOTALL)
    assert tomllib.loads(example)
    config = tmp_path / "gemma-setup" / "config.toml"
    config.parent.mkdir()
    config.write_text(example)
    finished = stand_in("paths", "--json", XDG_CONFIG_HOME=str(tmp_path))
    assert finished.document["data"]["models"]["decided_by"] == "configuration file"


def test_the_python_example_runs(stand_in: Program) -> None:
    (example,) = re.findall(r"```python\n(from setup_manager.*?)```", SCRIPTING, re.DOTALL)
    finished = subprocess.run(
        [stand_in.argv()[0], "-c", example],
        env=stand_in.environment,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert "Paris" in finished.stdout


@pytest.mark.real_runtime
def test_the_openai_style_request_works_as_printed(stand_in: Program) -> None:
    (example,) = re.findall(r"```python\n(import json.*?)```", TUTORIAL, re.DOTALL)
    server = stand_in.start("serve", "e4b", "--runtime", "embedded")
    assert server.stderr is not None
    try:
        line = next(line for line in server.stderr if "is ready at" in line)
        endpoint = next(word for word in line.split() if word.startswith("http"))
        code = example.replace("http://127.0.0.1:8080", endpoint)
        finished = subprocess.run([stand_in.argv()[0], "-c", code], capture_output=True, text=True)
    finally:
        server.terminate()
        server.communicate(timeout=20)
    assert "Rome" in finished.stdout, finished.stderr
