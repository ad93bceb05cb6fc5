"""Finding Ollama in every state it can be in, and its store whoever owns it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from setup_manager.errors import RegistrationFailedError, RuntimeMissingError
from setup_manager.runtimes.ollama import Ollama
from setup_manager.runtimes.ollama.registration import OllamaRequest, register, register_by_link
from setup_manager.runtimes.ollama.server import connect, find
from setup_manager.runtimes.ollama.store import (
    BlobFile,
    ModelFacts,
    Placed,
    blob_path,
    place_blob,
    store_candidates,
    write_manifest,
)
from setup_manager.runtimes.options import StartOptions
from tests.runtimes.ollama_standin import ollama_standin
from tests.runtimes.release_server import release_server

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
NOBODY = 65534


@pytest.mark.parametrize(
    ("version", "variant", "gemma4", "word"),
    [
        ("0.33.0", "12b", True, "running"),
        ("0.30.1", "12b", False, "crashes"),
        ("0.19.0", None, False, "does not know"),
        ("0.0.0", None, None, "does not tell"),
    ],
)
def test_a_server_is_judged_by_its_version(
    tmp_path: Path, version: str, variant: str | None, gemma4: bool | None, word: str
) -> None:
    with ollama_standin(tmp_path, version) as endpoint:
        status = Ollama.judged(find({"OLLAMA_HOST": endpoint}), variant)
    assert (status.found, status.version, status.endpoint) == (True, version, endpoint)
    assert status.gemma4 is gemma4
    assert word in status.detail
    assert bool(status.hint) == (gemma4 is False)


def test_a_program_without_a_server_is_found_and_told_how_to_start(tmp_path: Path) -> None:
    program = tmp_path / "ollama"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    status = find({"OLLAMA_HOST": "127.0.0.1:9", "PATH": str(tmp_path)})
    assert (status.found, status.endpoint, status.gemma4) == (True, "", None)
    assert status.path == str(program)
    assert "ollama serve" in status.hint


def test_something_else_on_the_port_is_not_ollama() -> None:
    with release_server("b1", {"version": b"<html>"}) as server:
        host = f"127.0.0.1:{server.port}"
        status = find({"OLLAMA_HOST": host})
        with pytest.raises(RuntimeMissingError):
            connect(f"http://{host}")
    assert not status.found
    assert "not Ollama" in status.detail


def test_a_server_that_is_not_there_cannot_be_connected_to() -> None:
    with pytest.raises(RuntimeMissingError) as caught:
        connect("http://127.0.0.1:9")
    assert caught.value.exit_code == 15


def test_the_store_is_looked_for_where_it_may_be(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    for store in (home / ".ollama" / "models", other):
        (store / "blobs").mkdir(parents=True)
    found = store_candidates({"OLLAMA_MODELS": str(other)}, home)
    assert found[:2] == (other, home / ".ollama" / "models")
    assert tmp_path / "nothing" not in store_candidates(
        {"OLLAMA_MODELS": str(tmp_path / "nothing")}, home
    )


def blob_file(path: Path, content: bytes = b"GGUF gemma4") -> BlobFile:
    path.write_bytes(content)
    return BlobFile(path.name, path, hashlib.sha256(content).hexdigest())


def empty_store(folder: Path) -> Path:
    (folder / "blobs").mkdir(parents=True)
    return folder


def test_a_blob_is_placed_without_a_copy_and_only_once(tmp_path: Path) -> None:
    store, file = empty_store(tmp_path / "store"), blob_file(tmp_path / "a.gguf")
    first = place_blob(store, file)
    assert first in {Placed.HARD_LINK, Placed.REFLINK}
    blob = blob_path(store, file.sha256)
    assert blob.read_bytes() == file.path.read_bytes()
    if first is Placed.HARD_LINK:
        assert blob.samefile(file.path)
    assert place_blob(store, file) is Placed.THERE
    assert [path.name for path in (store / "blobs").iterdir()] == [blob.name]


def test_a_file_behind_a_link_is_placed_itself(tmp_path: Path) -> None:
    store, file = empty_store(tmp_path / "store"), blob_file(tmp_path / "a.gguf")
    link = tmp_path / "snapshot.gguf"
    link.symlink_to(file.path)
    place_blob(store, BlobFile("a.gguf", link, file.sha256))
    assert not blob_path(store, file.sha256).is_symlink()


@pytest.mark.skipif(not ROOT, reason="files have to be given to other users")
def test_a_file_that_the_servers_user_may_not_read_is_not_linked(tmp_path: Path) -> None:
    store, file = empty_store(tmp_path / "store"), blob_file(tmp_path / "a.gguf")
    os.chown(store / "blobs", NOBODY, NOBODY)
    file.path.chmod(0o600)
    assert place_blob(store, file) in {None, Placed.REFLINK}
    file.path.chmod(0o644)
    assert place_blob(store, file, touched=True) in {None, Placed.REFLINK}
    assert place_blob(store, file) is not None


def as_nobody(action: Callable[[], object]) -> str:
    """Run something in a forked child as another user and return what it printed or raised."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            said = repr(action())
        except RegistrationFailedError as error:
            said = f"refused: {error.message}"
        os.write(write_end, said.encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


@pytest.mark.skipif(not ROOT, reason="another user has to be played")
def test_a_store_of_another_user_is_uploaded_to(tmp_path: Path) -> None:
    file = blob_file(Path("/tmp") / f"gemma-setup-test-{os.getpid()}.gguf")
    try:
        with ollama_standin(tmp_path / "store") as endpoint:
            client = connect(endpoint)
            stores = (tmp_path / "store",)
            request = OllamaRequest("gemma-4-e4b:q", (file,), StartOptions(), stores)
            linked = as_nobody(lambda: register_by_link(client, request))
            uploaded = as_nobody(lambda: register(client, request).uploaded_bytes)
    finally:
        file.path.unlink()
    assert linked.startswith("refused: No store")
    assert uploaded == str(len(b"GGUF gemma4"))


@pytest.mark.skipif(not ROOT, reason="files have to be given to other users")
def test_all_that_is_written_belongs_to_the_servers_user(tmp_path: Path) -> None:
    store, file = empty_store(tmp_path / "store"), blob_file(tmp_path / "a.gguf")
    (store / "manifests").mkdir()
    for folder in (store / "blobs", store / "manifests"):
        os.chown(folder, NOBODY, NOBODY)
    write_manifest(store, "gemma-4-e4b:q", [file], ModelFacts("7.5B", "Q4_0"), {"num_ctx": 512})
    written = [path for path in store.rglob("*") if path != store / "manifests"]
    assert len(written) == 1 + 2 + 3 + 1  # blobs, two small ones, three folders, the manifest
    assert {path.stat().st_uid for path in written} == {NOBODY}
