"""Completion, by pressing Tab in real shells.

PowerShell is not among them: its script speaks the same protocol, which is tested here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pexpect
import pytest

from setup_manager.catalog.load import load_catalog
from setup_manager.cli.commands.completion import SHELLS
from setup_manager.cli.group import SUMMARIES
from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, catalog_path, model_path
from tests.cli.runner import Program
from tests.support.loopback import LoopbackHub
from tests.support.programs import SHELLS_HERE

# What is typed before the Tab key, and the arguments that the program then gets.
TYPED = {
    "ins": ["install"],
    "install e4b:QAT-Q4": ["install", "e4b:QAT-Q4_0"],
    "install 12b:": ["install", "12b:"],
    "explain 12b:UD-Q5": ["explain", "12b:UD-Q5_K_XL"],
    "check 26b --cont": ["check", "26b", "--context"],
    "install --runtime oll": ["install", "--runtime", "ollama"],
    "explain e4b --kv-type=q8": ["explain", "e4b", "--kv-type=q8_0"],
    "completion fi": ["completion", "fish"],
    "check --machine mac": ["check", "--machine", "machine.json"],
    "install --models-dir mod": ["install", "--models-dir", "models"],
}


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A `gemma-setup` that completes for real, and writes down what else it is called with."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "gemma-setup"
    script.write_text(
        "#!/bin/sh\n"
        'if [ -n "$_GEMMA_SETUP_COMPLETE" ] || [ "$1" = completion -a -n "$GIVE_SCRIPT" ]; then\n'
        f'    exec "{sys.executable}" -m setup_manager "$@"\n'
        "fi\n"
        f'printf "%s\\n" "$@" > "{tmp_path}/called.new"\n'
        f'mv "{tmp_path}/called.new" "{tmp_path}/called"\n'
        "echo was-called\n"
    )
    script.chmod(0o755)
    return folder


class Typist:
    """Types into a shell on a terminal of its own."""

    def __init__(self, shell: pexpect.spawn[str], called: Path) -> None:
        self._shell = shell
        self._called = called

    def arguments_after_tab(self, typed: str) -> list[str]:
        self._called.unlink(missing_ok=True)
        self._shell.send(f"gemma-setup {typed}\t")
        self._shell.send("\r")
        self._shell.expect("was-called")
        # zsh takes the slash of a folder away again when Enter follows.
        return [word.rstrip("/") for word in self._called.read_text().splitlines()]


@pytest.fixture(params=SHELLS_HERE or ["bash"])
def typist(
    request: pytest.FixtureRequest, program: Program, bin_folder: Path, tmp_path: Path
) -> Iterator[Typist]:
    name = request.param
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} here")
    environment = {
        **program.environment,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "TERM": "dumb" if name != "fish" else "xterm",
        "PS1": "$ ",
    }
    (tmp_path / "machine.json").touch()
    (tmp_path / "models").mkdir()
    flags = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[name]
    loading = {
        "bash": 'eval "$(GIVE_SCRIPT=1 gemma-setup completion bash)"',
        "zsh": "autoload -Uz compinit && compinit -D; "
        'eval "$(GIVE_SCRIPT=1 gemma-setup completion zsh)"',
        "fish": "GIVE_SCRIPT=1 gemma-setup completion fish | source",
    }[name]
    shell = pexpect.spawn(
        found,
        [*flags, "-i"],
        env=environment,
        cwd=tmp_path,
        encoding="utf-8",
        timeout=20,
        dimensions=(40, 200),
    )
    shell.sendline(f"{loading}; echo load''ed")
    shell.expect("loaded")
    yield Typist(shell, tmp_path / "called")
    shell.close(force=True)


def test_tab_completes_in_a_real_shell(typist: Typist) -> None:
    got = {typed: typist.arguments_after_tab(typed) for typed in TYPED}
    assert got == TYPED


def candidates(program: Program, line: str, **environment: str) -> dict[str, str]:
    """Ask as the scripts do: words and their kinds."""
    asked = {"COMP_LINE": line, "_GEMMA_SETUP_COMPLETE": "line_complete", **environment}
    finished = replace(program, environment={**program.environment, **asked})()
    assert finished.stderr == ""
    fields = [entry.split("\t") for entry in finished.stdout.splitlines() if entry]
    assert all(len(field) == 3 for field in fields)
    return {value: kind for kind, value, _ in fields}


def test_every_command_and_every_variant_is_offered(program: Program) -> None:
    assert list(candidates(program, "gemma-setup ")) == list(SUMMARIES)
    assert list(candidates(program, "gemma-setup download ")) == list(load_catalog().variants)


def test_options_and_their_values_are_offered(program: Program) -> None:
    offered = candidates(program, "gemma-setup install --")
    assert {"--json", "--dry-run", "--kv-type", "--mirror", "--with-projector"} <= set(offered)
    assert list(candidates(program, "gemma-setup check --kv-type ")) == ["f16", "q8_0", "q4_0"]
    assert candidates(program, "gemma-setup check --machine ") == {"": "file"}
    assert candidates(program, "gemma-setup check --models-dir ") == {"": "dir"}


def test_a_variant_brings_its_quantizations_whatever_the_letter_case(program: Program) -> None:
    catalog = load_catalog()
    known = {file.quantization for file in catalog.files if file.variant == "12b"}
    offered = candidates(program, "gemma-setup install 12B:")
    assert {word.removeprefix("12b:") for word in offered} <= known
    assert f"12b:{catalog.variants['12b'].default_quantization}" in offered
    assert list(candidates(program, "gemma-setup install 12B:ud-q5")) == ["12b:UD-Q5_K_XL"]


def test_where_a_model_must_be_here_those_that_are_here_are_offered(
    program: Program, start_hub: Callable[..., LoopbackHub]
) -> None:
    assert candidates(program, "gemma-setup remove ") == {}
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}})
    names = {"HF_ENDPOINT": hub.endpoint, "GEMMA_SETUP_CATALOG": str(catalog_path())}
    known = replace(program, environment={**program.environment, **names})
    assert known("download", "rehearsal").code == 0
    for command in ("remove", "smoke", "serve", "register", "verify"):
        assert list(candidates(program, f"gemma-setup {command} ")) == ["rehearsal:F16"]


def test_another_catalogue_is_completed_from(program: Program, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "setup_manager/catalog/catalog.json").read_text("utf-8")
    other = tmp_path / "other.json"
    other.write_text(text.replace("UD-Q5_K_XL", "IQ3_M"), "utf-8")
    for line, environment in (
        (f"gemma-setup install --catalog {other} 12b:I", {}),
        ("gemma-setup install 12b:I", {"GEMMA_SETUP_CATALOG": str(other)}),
    ):
        assert list(candidates(program, line, **environment)) == ["12b:IQ3_M"]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("", "install"),
        ("gemma-setup", "install"),
        ("gemma-setup 'open", None),
        ("gemma-setup nonsense ", None),
        ("gemma-setup install e4b:\\", "e4b:QAT-UD-Q4_K_XL"),
    ],
)
def test_an_odd_line_gives_no_trace_and_no_error(
    program: Program, line: str, offered: str | None
) -> None:
    found = candidates(program, line)
    assert offered in found if offered else found == {}


def test_a_broken_catalogue_keeps_the_tab_key_silent(program: Program, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert candidates(program, f"gemma-setup install --catalog {broken} ") == {}


@pytest.mark.parametrize("name", SHELLS)
def test_the_script_of_each_shell_is_printed_whole(program: Program, name: str) -> None:
    finished = program("completion", name)
    assert finished.code == 0
    assert "line_complete" in finished.stdout
    assert program("completion", name, "--json").document["data"]["script"] in finished.stdout


@pytest.mark.parametrize("name", SHELLS_HERE)
def test_the_shell_finds_no_fault_in_its_script(program: Program, name: str) -> None:
    script = program("completion", name).stdout
    checked = subprocess.run([name, "-n"], input=script, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
