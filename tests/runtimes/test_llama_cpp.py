"""Finding llama-server and judging what it can do."""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.runtimes import llama_cpp
from setup_manager.runtimes.base import ModelFiles
from setup_manager.runtimes.llama_cpp import parse_version, server_launch
from setup_manager.runtimes.options import StartOptions
from tests.runtimes.archives import FAKE_SERVER

OLD_SERVER = FAKE_SERVER.replace("llama_model_gemma4", "llama_model_gemma3").replace("9219", "7000")


def put(folder: Path, script: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "llama-server"
    program.write_text(script)
    program.chmod(0o755)
    llama_cpp.help_flags.cache_clear()
    return program


def test_nothing_found_says_how_to_get_it(tmp_path: Path) -> None:
    status = llama_cpp.find("", tmp_path / "home")
    if not status.found:  # a machine may have one in a usual folder
        assert "runtime install" in status.hint
        assert not status.usable


def test_the_one_on_path_is_taken(tmp_path: Path) -> None:
    program = put(tmp_path / "bin", FAKE_SERVER)
    status = llama_cpp.find(str(tmp_path / "bin"), tmp_path)
    assert (status.path, status.version, status.gemma4) == (str(program), "b9219", True)


def test_a_capable_build_elsewhere_is_better_than_an_old_one_on_path(tmp_path: Path) -> None:
    put(tmp_path / "bin", OLD_SERVER)
    newer = put(tmp_path / "home" / ".local" / "bin", FAKE_SERVER)
    status = llama_cpp.find(str(tmp_path / "bin"), tmp_path / "home")
    assert status.path == str(newer)


def test_an_old_build_is_told_by_what_it_contains(tmp_path: Path) -> None:
    status = llama_cpp.inspect(put(tmp_path, OLD_SERVER))
    assert (status.found, status.gemma4) == (True, False)
    assert "does not know the architecture" in status.detail
    assert "runtime install" in status.hint


def test_a_build_whose_libraries_know_gemma4_is_capable(tmp_path: Path) -> None:
    program = put(tmp_path / "bin", OLD_SERVER)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libllama.so").write_bytes(b"\0" * 2**20 + b"19llama_model_gemma4\0")
    assert llama_cpp.inspect(program).gemma4


def test_flags_that_are_missing_are_named(tmp_path: Path) -> None:
    status = llama_cpp.inspect(put(tmp_path, FAKE_SERVER.replace("--alias", "--nothing")))
    assert status.gemma4 is False
    assert "--alias" in status.detail


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 1\n", "#!/nowhere/sh\n", "rubbish"])
def test_found_but_broken_is_not_the_same_as_not_found(tmp_path: Path, script: str) -> None:
    status = llama_cpp.inspect(put(tmp_path, script))
    assert (status.found, status.gemma4) == (True, False)
    assert "cannot be run" in status.detail


def test_a_binary_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_cpp, "_PROBE_SECONDS", 0.3)
    status = llama_cpp.inspect(put(tmp_path, "#!/bin/sh\nexec sleep 60\n"))
    assert "cannot be run" in status.detail


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("version: 8639 (0123abc)\nbuilt with GCC", "b8639"),
        ("version: 0.6.0-dev (build 0, commit unknown)\nbuilt with GNU 12.2.0", "0.6.0-dev"),
        ("version: 0.6.1 (build 11434, commit 0123abc)", "b11434"),
        ("version: 0 (unknown)", "0"),
        ("hello", ""),
    ],
)
def test_versions_in_every_form_are_read(said: str, version: str) -> None:
    assert parse_version(said) == version


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=100)
def test_any_answer_to_version_is_read(said: str) -> None:
    assert isinstance(parse_version(said), str)
    assert isinstance(parse_version(f"version: {said}"), str)


def test_the_start_parameters_become_flags_and_unknown_ones_are_left_out() -> None:
    options = StartOptions(context=2048, slots=2, value_type="q8_0", gpu_layers=7, threads=3)
    files = ModelFiles(Path("/m.gguf"), Path("/p.gguf"), Path("/d.gguf"))
    known = frozenset({"ctx-size", "cors-origins"})
    argv = server_launch(Path("/bin/llama-server"), known, files, options).argv
    pairs = dict(pairwise(argv))
    assert pairs["--model"] == "/m.gguf"
    assert pairs["--mmproj"] == "/p.gguf"
    assert pairs["--model-draft"] == "/d.gguf"
    assert pairs["--spec-type"] == "draft-mtp"
    assert pairs["--ctx-size"] == "2048"
    assert pairs["--parallel"] == "2"
    assert pairs["--n-gpu-layers"] == "7"
    assert pairs["--threads"] == "3"
    assert pairs["--flash-attn"] == "on"
    assert pairs["--cors-origins"] == "localhost"
    assert "--cache-ram" not in argv
    assert "--cache-ram" in server_launch(Path("/x"), frozenset(), files, options).argv


@pytest.mark.real_runtime
def test_a_real_llama_server_is_capable() -> None:
    program = shutil.which("llama-server")
    if program is None:
        pytest.skip("llama-server is not on PATH")
    llama_cpp.help_flags.cache_clear()
    status = llama_cpp.find(os.environ["PATH"], Path("/nowhere"))
    assert status.gemma4
    assert status.version
    assert {"cache-ram", "ctx-checkpoints", "models-preset"} <= llama_cpp.help_flags(Path(program))
