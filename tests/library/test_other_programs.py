"""What the layouts write, read by a real llama-server."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from setup_manager.library.layout import HubCacheLayout, PlainFolderLayout
from tests.runtimes.random_gguf import write_random_gemma4
from tests.support.loopback import LoopbackHub
from tests.support.waiting import wait_until

pytestmark = pytest.mark.real_runtime
StartHub = Callable[..., LoopbackHub]
REPO = "org/tiny-gemma-GGUF"
FILE = "tiny-Q4_0.gguf"


@pytest.fixture
def llama_server() -> str:
    program = shutil.which("llama-server")
    if program is None:
        pytest.skip("llama-server is not on PATH")
    return program


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_gemma4(tmp_path_factory.mktemp("model") / "model.gguf")


@pytest.fixture
def hub(start_hub: StartHub, model: Path) -> LoopbackHub:
    return start_hub({REPO: {FILE: model, "mmproj-F16.gguf": b"GGUF projector"}})


def put(layout: HubCacheLayout | PlainFolderLayout, hub: LoopbackHub, path: str = FILE) -> Path:
    item = hub.artifact(REPO, path)
    content = layout.places(item).content
    content.parent.mkdir(parents=True, exist_ok=True)
    content.write_bytes(fetched(hub, path))
    return layout.publish(item)


def fetched(hub: LoopbackHub, path: str) -> bytes:
    with urllib.request.urlopen(f"{hub.endpoint}/{REPO}/resolve/main/{path}") as answer:
        data: bytes = answer.read()
    return data


def environment(home: Path, **variables: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "LD_LIBRARY_PATH"}}
    return kept | {"HOME": str(home)} | variables


@contextmanager
def served(program: str, *arguments: str, env: dict[str, str]) -> Iterator[str]:
    """Start a server and yield its address once it is healthy; end this child only."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [program, *arguments, "--host", "127.0.0.1", "--port", str(port), "-np", "1"]
    log = Path(env["HOME"]) / "server.log"
    with log.open("wb") as output:
        child = subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT)
        try:
            health = f"http://127.0.0.1:{port}/health"
            wait_until(lambda: child.poll() is not None or answers(health), 30, "an answer")
            assert child.poll() is None, log.read_text(errors="replace")[-2000:]
            yield f"http://127.0.0.1:{port}"
        finally:
            child.terminate()
            child.wait(10)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def models(address: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{address}/v1/models") as answer:
        listed: list[dict[str, Any]] = json.load(answer)["data"]
    return listed


@pytest.mark.parametrize(
    ("variable", "below"), [("LLAMA_CACHE", "hub"), ("HF_HUB_CACHE", "hub"), ("HF_HOME", "")]
)
def test_the_cache_list_names_the_model(
    llama_server: str, hub: LoopbackHub, home: Path, tmp_path: Path, variable: str, below: str
) -> None:
    put(HubCacheLayout(tmp_path / "hub"), hub)
    env = environment(home, **{variable: str(tmp_path / below)})
    command = [llama_server, "--cache-list"]
    listed = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
    assert f"{REPO}:Q4_0" in listed.stdout


def test_it_serves_the_model_offline_by_the_repository_s_name(
    llama_server: str, hub: LoopbackHub, home: Path
) -> None:
    put(HubCacheLayout(home / ".cache/huggingface/hub"), hub)
    asked = len(hub.requests)
    env = environment(home, HF_ENDPOINT=hub.endpoint)
    with served(llama_server, "-hf", f"{REPO}:Q4_0", "--offline", env=env) as address:
        assert models(address)[0]["id"] == f"{REPO}:Q4_0"
    assert len(hub.requests) == asked


def test_online_it_takes_a_newer_commit_and_fetches_no_byte_again(
    llama_server: str, hub: LoopbackHub, home: Path, model: Path
) -> None:
    layout = HubCacheLayout(home / ".cache/huggingface/hub")
    put(layout, hub)
    old = hub.artifact(REPO, FILE)
    newer = hub.push(REPO, {FILE: model, "README.md": b"a newer commit"})
    before = hub.served_bytes
    env = environment(home, HF_ENDPOINT=hub.endpoint)
    with served(llama_server, "-hf", f"{REPO}:Q4_0", env=env):
        pass
    assert hub.served_bytes == before
    assert not layout.leads_to(old)
    assert layout.leads_to(hub.artifact(REPO, FILE, commit=newer))


def test_it_downloads_from_the_loopback_hub(
    llama_server: str, hub: LoopbackHub, home: Path
) -> None:
    env = environment(home, MODEL_ENDPOINT=hub.endpoint)
    with served(llama_server, "-hf", f"{REPO}:Q4_0", "--no-mmproj", env=env):
        pass
    layout = HubCacheLayout(home / ".cache/huggingface/hub")
    item = hub.artifact(REPO, FILE)
    assert layout.find(item) == layout.places(item).content
    assert layout.leads_to(item)


def test_a_plain_folder_is_one_that_its_router_lists(
    llama_server: str, hub: LoopbackHub, home: Path, tmp_path: Path
) -> None:
    layout = PlainFolderLayout(tmp_path / "models")
    put(layout, hub)
    projector = put(layout, hub, "mmproj-F16.gguf")
    layout.places(hub.artifact(REPO, FILE)).partial.write_bytes(b"GGUF in flight")
    with served(llama_server, "--models-dir", str(layout.root), env=environment(home)) as address:
        (found,) = models(address)
    assert found["id"] == "org--tiny-gemma-GGUF"
    assert str(projector) in found["status"]["args"]
