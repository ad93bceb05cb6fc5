"""Engines that are missing, fail or take too much, as a user meets them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, model_path
from tests.cli.hub import catalog_file, environment_for
from tests.cli.runner import Program
from tests.runtimes.archives import FAKE_SERVER, build_archive
from tests.runtimes.fakes import FakeServer
from tests.runtimes.release_server import release_server
from tests.smoke.test_guard import group, kills_in
from tests.support.loopback import LoopbackHub

__all__ = ["group"]  # a fixture
StartHub = Callable[..., LoopbackHub]


@pytest.fixture
def at_hub(program: Program, start_hub: StartHub, tmp_path: Path) -> Program:
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}})
    environment = environment_for(hub, catalog_file(tmp_path, hub))
    return Program(program.home, {**program.environment, **environment})


def with_server(program: Program, folder: Path, way: str) -> Program:
    """Put a llama-server on PATH that says the right things of itself and then fails."""
    failing = folder / "failing"
    failing.mkdir()
    FakeServer(failing, way)
    runs = f'*) exec {sys.executable} -I -S {failing}/llama-server "$@" ;;\nesac'
    script = FAKE_SERVER.replace("esac", runs)
    server = folder / "llama-server"
    server.write_text(script)
    server.chmod(0o755)
    path = f"{folder}:{program.environment['PATH']}"
    return Program(program.home, {**program.environment, "PATH": path})


def test_smoke_in_a_control_group_ends_with_17_and_a_reason_and_not_by_the_kernel(
    at_hub: Program, group: Path, tmp_path: Path
) -> None:
    program = with_server(at_hub, tmp_path, "eats-memory")
    assert program("download", VARIANT).code == 0
    argv = program.argv("smoke", VARIANT, "--runtime", "llama.cpp")
    done = subprocess.run(
        ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", *argv],
        env=program.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 17, done.stderr
    assert "memory" in done.stderr
    assert "next:" in done.stderr
    assert kills_in(group) == 0


@pytest.mark.parametrize("command", ["serve", "smoke"])
def test_an_engine_that_is_too_old_for_the_file_is_15_with_its_last_words(
    at_hub: Program, tmp_path: Path, command: str
) -> None:
    program = with_server(at_hub, tmp_path, "too-old")
    assert program("download", VARIANT).code == 0
    finished = program(command, VARIANT, "--runtime", "llama.cpp", "--json")
    assert finished.code == 15
    error = finished.document["errors"][0]
    assert "unknown model architecture: 'gemma4'" in " ".join(error["context"])
    assert "runtime install llama.cpp" in error["hint"]


@pytest.fixture
def bare(at_hub: Program, tmp_path: Path) -> Iterator[Program]:
    """The program where nothing can run a model, beside a page of releases."""
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "xllamacpp.py").write_text("")
    folders = at_hub.environment["PATH"].split(":")
    engines = ("llama-server", "ollama")
    without = [f for f in folders if not any((Path(f) / engine).exists() for engine in engines)]
    names = [f"llama-b9999-bin-ubuntu-{kind}x64.tar.gz" for kind in ("", "vulkan-")]
    with release_server("b9999", dict.fromkeys(names, build_archive("b9999"))) as releases:
        environment = {
            "GEMMA_SETUP_RELEASES_URL": releases.list_url,
            "PATH": ":".join(without),
            "PYTHONPATH": f"{shadow}:{at_hub.environment['PYTHONPATH']}",
        }
        program = Program(at_hub.home, {**at_hub.environment, **environment})
        checked = program("check", "--json", HF_HUB_OFFLINE="1").document["data"]
        if any(runtime["found"] for runtime in checked["runtimes"]):
            pytest.skip("a runtime lies in a usual folder of this machine")
        yield program


def test_in_a_terminal_the_official_build_is_offered_with_its_size(bare: Program) -> None:
    pytest.importorskip("pyte")
    from tests.cli.screen import Screen

    screen = Screen(bare, "install", VARIANT, columns=120)
    text = screen.until(lambda seen: "Install it? [Y/n]" in seen)
    assert "llama.cpp b9999 for cpu" in text
    assert "to download" in text
    screen.type("n\n")
    assert "runtime install" in " ".join(screen.finish().split())
    assert screen.process.returncode == 15
    assert not any(bare.home.rglob("llama-server"))
    screen = Screen(bare, "install", VARIANT, columns=120)
    screen.until(lambda seen: "Install it? [Y/n]" in seen)
    screen.type("y\n")
    text = screen.until(lambda seen: "Continue? [Y/n]" in seen)
    assert "runtime  llama.cpp" in text
    screen.type("n\n")
    screen.finish()
    assert any(bare.home.rglob("llama-server"))


@pytest.mark.parametrize("arguments", [("--no-input",), ("--json",), ("--dry-run", "--yes")])
def test_where_nobody_says_yes_nothing_is_fetched_and_the_command_is_named(
    bare: Program, arguments: tuple[str, ...]
) -> None:
    finished = bare("install", VARIANT, *arguments)
    assert finished.code == 15
    assert "runtime install" in finished.stdout + finished.stderr
    assert not any(bare.home.rglob("llama-server"))


def test_offline_no_release_is_asked_for(bare: Program) -> None:
    finished = bare("runtime", "install", "llama.cpp", "--yes", "--json", HF_HUB_OFFLINE="1")
    assert finished.code == 12
    assert "offline" in finished.document["errors"][0]["message"]


def test_clean_takes_a_build_that_has_not_come_whole(bare: Program) -> None:
    assert bare("runtime", "install", "llama.cpp", "--yes").code == 0
    builds = next(bare.home.rglob("llama-server")).parents[2]
    archives = builds / ".archives"
    archives.mkdir()
    partial = archives / f"{'0' * 64}.gemma-setup.partial"
    partial.write_bytes(bytes(1000))
    unfinished = builds / f".unfinished-b1-cpu-{os.getpid()}"
    shutil.copytree(builds / "b9999-cpu", unfinished, symlinks=True)
    found = bare("clean", "--dry-run", "--json").document["data"]["found"]
    assert {entry["path"] for entry in found} == {str(partial), str(unfinished)}
    assert bare("clean", "--yes").code == 0
    assert not partial.exists()
    assert not unfinished.exists()
    assert len(bare("runtime", "list", "--json").document["data"]["builds"]) == 1
