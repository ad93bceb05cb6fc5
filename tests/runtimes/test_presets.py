from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.errors import RegistrationFailedError
from setup_manager.runtimes import llama_cpp
from setup_manager.runtimes.base import ModelFiles, Opening
from setup_manager.runtimes.options import StartOptions
from setup_manager.runtimes.presets import Preset, Presets, preset_name, router_command
from setup_manager.runtimes.server import Launch, ServerProcess

OPTIONS = StartOptions(context=8192, gpu_layers=0)


def preset(name: str, model: str = "/models/a.gguf") -> Preset:
    return Preset(name, ModelFiles(Path(model)), OPTIONS)


def test_a_section_has_the_model_and_its_start_parameters(tmp_path: Path) -> None:
    presets = Presets(tmp_path / "new" / "presets.ini")
    files = ModelFiles(Path("/m/a.gguf"), Path("/m/mmproj.gguf"), Path("/m/draft.gguf"))
    presets.put(Preset("gemma-4-e4b-Q4_0", files, OPTIONS))
    lines = presets.path.read_text().splitlines()
    assert "version = 1" in lines
    assert "[gemma-4-e4b-Q4_0]" in lines
    for line in ("model = /m/a.gguf", "mmproj = /m/mmproj.gguf", "model-draft = /m/draft.gguf"):
        assert line in lines
    assert "ctx-size = 8192" in lines
    assert "n-gpu-layers = 0" in lines


def test_flags_that_the_server_does_not_know_are_left_out(tmp_path: Path) -> None:
    presets = Presets(tmp_path / "presets.ini")
    presets.put(preset("a"), known_flags={"ctx-size", "parallel"})
    assert "cache-ram" not in presets.path.read_text()


def test_a_section_is_replaced_in_place_and_others_are_kept(tmp_path: Path) -> None:
    presets = Presets(tmp_path / "presets.ini")
    presets.path.write_text("# mine\n[*]\njinja = true\n\n[theirs]\nmodel = /x.gguf ; note\n")
    presets.put(preset("ours"))
    presets.put(preset("later"))
    presets.put(preset("ours", "/models/b.gguf"))
    text = presets.path.read_text()
    assert presets.names() == ("*", "theirs", "ours", "later")
    assert text.startswith("# mine\n[*]\njinja = true\n\n[theirs]\nmodel = /x.gguf ; note\n")
    assert "/models/b.gguf" in text
    assert text.count("/models/a.gguf") == 1


def test_the_file_goes_with_its_last_section_and_never_with_anothers(tmp_path: Path) -> None:
    presets = Presets(tmp_path / "presets.ini")
    presets.put(preset("a"))
    assert presets.remove("a")
    assert not presets.path.exists()
    assert not presets.remove("a")
    presets.path.write_text("[theirs]\nmodel = /x.gguf\n")
    presets.put(preset("a"))
    assert presets.remove("a")
    assert presets.path.read_text() == "[theirs]\nmodel = /x.gguf\n"


@pytest.mark.parametrize("path", ["/a#b/m.gguf", "/a;b/m.gguf", "/a\nb/m.gguf", "/m.gguf "])
def test_a_path_that_the_format_would_cut_is_refused(tmp_path: Path, path: str) -> None:
    presets = Presets(tmp_path / "presets.ini")
    with pytest.raises(RegistrationFailedError):
        presets.put(preset("a", path))
    assert not presets.path.exists()


def test_a_file_that_cannot_be_read_or_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(RegistrationFailedError):
        Presets(tmp_path / "folder").names()
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistrationFailedError):
        Presets(tmp_path / "file" / "presets.ini").put(preset("a"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RegistrationFailedError):
        Presets(tmp_path / "binary").names()


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["put", "remove"])), max_size=12)
)
@settings(deadline=None, max_examples=40)
def test_any_sequence_leaves_just_what_was_put_and_the_foreign_section(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    presets = Presets(tmp_path_factory.mktemp("presets") / "presets.ini")
    presets.path.write_text("[theirs]\nmodel = /x.gguf\n")
    expected: set[str] = set()
    for name, action in steps:
        if action == "put":
            presets.put(preset(name))
            expected.add(name)
        else:
            assert presets.remove(name) == (name in expected)
            expected.discard(name)
        assert set(presets.names()) == expected | {"theirs"}
    assert list(presets.path.parent.iterdir()) == [presets.path]


def test_the_name_survives_the_servers_rewriting_of_tags() -> None:
    assert preset_name("e4b", "x/y", "UD-Q4_K_XL") == "gemma-4-e4b-UD-Q4_K_XL"
    assert ":" not in preset_name(None, "org/Some:thing odd", "Q4 [x]")


def test_the_command_can_be_pasted_into_a_shell() -> None:
    command = router_command("llama-server", Path("/home/a b/presets.ini"))
    assert command == "llama-server --models-preset '/home/a b/presets.ini'"


@pytest.mark.real_runtime
def test_a_real_llama_server_reads_the_file_and_serves_its_models(
    tmp_path: Path, random_model: Path
) -> None:
    program = shutil.which("llama-server")
    if program is None:
        pytest.skip("llama-server is not on PATH")
    flags = llama_cpp.help_flags(Path(program))
    if "models-preset" not in flags:
        pytest.skip("this llama-server has no router mode")
    presets = Presets(tmp_path / "presets.ini")
    options = StartOptions(
        context=512, gpu_layers=0, threads=1, value_type="q8_0", slots=2, unified_kv=True
    )
    presets.put(Preset("gemma-4-e4b-UD-Q4_K_XL", ModelFiles(random_model), options), flags)
    launch = Launch(
        "llama.cpp",
        (program, "--models-preset", str(presets.path)),
        environment={**os.environ, "LLAMA_CACHE": str(tmp_path / "cache")},
    )
    opening = Opening(alias="gemma-4-e4b-UD-Q4_K_XL")
    with ServerProcess(launch, opening, alias_flag=False) as server:
        body = {
            "model": "gemma-4-e4b-UD-Q4_K_XL",
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 3,
        }
        answer = server.client.post("/v1/chat/completions", body, timeout_seconds=60)
    assert answer["usage"]["completion_tokens"] == 3
