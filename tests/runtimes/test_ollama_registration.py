"""Registering: with the stand-in, and with a real Ollama server where one is on PATH."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from setup_manager import rehearsal
from setup_manager.errors import RegistrationFailedError
from setup_manager.library.inventory import Registration
from setup_manager.machine.live import machine_reader
from setup_manager.machine.probe.system import LocalCommands, System
from setup_manager.net.local import LocalClient
from setup_manager.platforms import this_platform
from setup_manager.runtimes.base import RuntimeEvent
from setup_manager.runtimes.ollama import Ollama
from setup_manager.runtimes.ollama.registration import (
    OllamaEntry,
    OllamaRequest,
    pull,
    register,
    register_by_link,
    unregister,
)
from setup_manager.runtimes.ollama.server import connect, find, find_model, list_models, show
from setup_manager.runtimes.ollama.store import BlobFile, place_blob, store_of_modelfile
from setup_manager.runtimes.options import StartOptions
from setup_manager.runtimes.server import free_port
from setup_manager.smoke.request import SmokeRequest, Watch
from setup_manager.smoke.run import run_smoke
from tests.runtimes.installed import Place, installed
from tests.runtimes.ollama_standin import ollama_standin
from tests.runtimes.random_gguf import (
    write_random_drafter,
    write_random_gemma4,
    write_random_projector,
)
from tests.support.programs import OLLAMAS
from tests.support.waiting import wait_until

NAME = "gemma-4-e4b:UD-Q4_K_XL"
# Of the rehearsal model: 703 thousand parameters, general.file_type 1.
FACTS = ("703K", "F16")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ollama") / "models"


@pytest.fixture(scope="module", params=OLLAMAS)
def endpoint(request: pytest.FixtureRequest, store: Path) -> Iterator[str]:
    serve = ollama_standin if request.param == "stand-in" else real_ollama
    shutil.rmtree(store, ignore_errors=True)
    with serve(store) as endpoint:
        yield endpoint


@contextmanager
def real_ollama(store: Path) -> Iterator[str]:
    program = shutil.which("ollama")
    if program is None:
        pytest.skip("ollama is not on PATH")
    address = f"127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        "OLLAMA_HOST": address,
        "OLLAMA_MODELS": str(store),
        "OLLAMA_NO_CLOUD": "1",
    }
    server = subprocess.Popen(
        [program, "serve"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: find({"OLLAMA_HOST": address}).endpoint, 30, "an answer")
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def client(endpoint: str) -> Iterator[LocalClient]:
    client = connect(endpoint)
    yield client
    for model in list_models(client):
        client.send("DELETE", "/api/delete", {"model": model.name})


@pytest.fixture
def weights(random_model: Path, store: Path) -> BlobFile:
    """A copy beside the store, so that it can be linked."""
    path = store.parent / "random.gguf"
    if not path.exists():
        shutil.copyfile(random_model, path)
    return BlobFile(path.name, path, hashlib.sha256(path.read_bytes()).hexdigest())


def blob_file(path: Path, role: str = "weights") -> BlobFile:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return BlobFile(path.name, path, sha256, role)


def request_for(file: BlobFile, *stores: Path, context: int = 1024) -> OllamaRequest:
    options = StartOptions(context=context)
    return OllamaRequest(NAME, (file,), options, stores)


def smoke_of(client: LocalClient, weights: Path) -> tuple[Ollama, SmokeRequest]:
    runtime = Ollama(Place(weights.parent, {"OLLAMA_HOST": client.endpoint}))
    kept = Registration("ollama", NAME, {"endpoint": client.endpoint})
    model = installed(weights).with_registration(kept)
    return runtime, SmokeRequest(model, runtime.find(), StartOptions())


def watch() -> Watch:
    return Watch(machine_reader(System(Path("/"), LocalCommands(), this_platform())))


def blobs(store: Path) -> set[str]:
    return {path.name for path in (store / "blobs").iterdir()}


def test_the_running_server_is_found_with_its_version(endpoint: str) -> None:
    status = find({"OLLAMA_HOST": endpoint})
    assert (status.found, status.endpoint) == (True, endpoint)
    assert status.gemma4 is not False


def test_upload_and_create_register_and_come_out_again(
    client: LocalClient, store: Path, weights: BlobFile
) -> None:
    before = blobs(store)
    progress: list[RuntimeEvent] = []
    registration = register(client, request_for(weights), progress.append)
    assert registration.uploaded_bytes == weights.path.stat().st_size
    uploads = [event for event in progress if event.stage == "upload"]
    assert uploads[-1].done_bytes == uploads[-1].total_bytes == weights.path.stat().st_size
    shown = show(client, NAME)
    assert shown["details"]["family"] == "gemma4"
    assert "num_ctx" in shown["parameters"]
    assert "RENDERER gemma4" in shown["modelfile"]
    assert unregister(client, registration)
    assert find_model(client, NAME) is None
    # Without access to the store the uploaded blob stays until Ollama prunes.
    assert blobs(store) - before <= {f"sha256-{weights.sha256}"}
    (store / "blobs" / f"sha256-{weights.sha256}").unlink(missing_ok=True)


def test_a_blob_in_reach_is_linked_and_not_uploaded(
    client: LocalClient, store: Path, weights: BlobFile
) -> None:
    before = blobs(store)
    progress: list[RuntimeEvent] = []
    os.utime(weights.path, (1e9, 1e9))
    registration = register(client, request_for(weights, store), progress.append)
    assert weights.path.stat().st_mtime == 1e9
    assert "upload" not in {event.stage for event in progress}
    assert registration.uploaded_bytes == 0
    assert weights.path.exists()
    assert unregister(client, registration)
    assert blobs(store) == before


def test_linking_makes_no_second_copy_and_the_model_answers(
    client: LocalClient, store: Path
) -> None:
    trained = next(Path(rehearsal.__file__).parent.glob("data/*.gguf"))
    weights = blob_file(Path(shutil.copyfile(trained, store.parent / "trained.gguf")))
    before = blobs(store)
    registration = register_by_link(client, request_for(weights, store))
    blob = store / "blobs" / f"sha256-{weights.sha256}"
    assert registration.linked == (weights.sha256,)
    assert blob.samefile(weights.path) or blob.stat().st_nlink == 1
    details = show(client, NAME)["details"]
    assert (details["parameter_size"], details["quantization_level"]) == FACTS
    assert store_of_modelfile(str(show(client, NAME)["modelfile"])) == store
    report = run_smoke(*smoke_of(client, weights.path), watch())
    assert (report.runtime, report.passed) == ("ollama", True)
    assert report.load_seconds > 0
    assert report.completion.tokens > 0
    assert report.memory_bytes > 0
    assert unregister(client, registration)
    assert blobs(store) == before
    assert weights.path.exists()


@pytest.mark.parametrize("way", [register, register_by_link])
def test_projector_and_drafter_go_in_and_come_out_with_the_model(
    client: LocalClient,
    store: Path,
    weights: BlobFile,
    way: Callable[..., OllamaEntry],
) -> None:
    others = (
        blob_file(write_random_projector(store.parent / "mmproj.gguf"), "projector"),
        blob_file(write_random_drafter(store.parent / "mtp.gguf"), "drafter"),
    )
    before = blobs(store)
    request = replace(request_for(weights, store), files=(weights, *others))
    registration = way(client, request)
    modelfile = str(show(client, NAME)["modelfile"])
    assert all(file.sha256 in modelfile for file in others if file.role == "projector")
    assert all((store / "blobs" / f"sha256-{file.sha256}").exists() for file in others)
    assert unregister(client, registration)
    assert blobs(store) == before
    assert all(file.path.exists() for file in others)


def test_registering_again_changes_nothing(client: LocalClient, weights: BlobFile) -> None:
    first = register(client, request_for(weights))
    again = register(client, replace(request_for(weights), known=first))
    assert again == first


def test_a_registration_that_was_begun_is_gone_through_again(
    client: LocalClient, store: Path, weights: BlobFile
) -> None:
    register_by_link(client, request_for(weights, store))
    begun = OllamaEntry(NAME, "", "link")
    again = register_by_link(client, replace(request_for(weights, store), known=begun))
    assert find_model(client, NAME) is not None
    assert again.digest


def test_a_blob_left_by_a_registration_that_was_begun_does_not_stay(
    client: LocalClient, store: Path, weights: BlobFile
) -> None:
    before = blobs(store)
    place_blob(store, weights)
    begun = OllamaEntry(NAME, "", "")
    made = register(client, replace(request_for(weights, store), known=begun))
    assert unregister(client, made)
    assert blobs(store) == before


def test_a_second_file_that_cannot_be_brought_leaves_nothing_of_the_first(
    client: LocalClient, store: Path, weights: BlobFile
) -> None:
    before = blobs(store)
    gone = BlobFile("gone.gguf", store.parent / "gone.gguf", "2" * 64, "projector")
    with pytest.raises(RegistrationFailedError):
        register(client, replace(request_for(weights, store), files=(weights, gone)))
    assert find_model(client, NAME) is None
    assert blobs(store) == before


def test_a_name_that_is_taken_is_never_overwritten(
    client: LocalClient, store: Path, weights: BlobFile
) -> None:
    first = register(client, request_for(weights))
    for way in (register, register_by_link):
        with pytest.raises(RegistrationFailedError) as caught:
            way(client, request_for(weights, store, context=2048))
        assert "already has a model" in caught.value.message
    model = find_model(client, NAME)
    assert model is not None
    assert model.digest == first.digest


def test_a_model_of_somebody_else_stays_when_ours_is_removed(
    client: LocalClient, weights: BlobFile
) -> None:
    first = register(client, request_for(weights))
    somebody_elses = replace(first, digest="0" * 64)
    assert not unregister(client, somebody_elses)
    assert find_model(client, NAME) is not None


def test_a_file_that_is_no_model_is_refused_and_leaves_nothing(
    client: LocalClient, store: Path
) -> None:
    path = store.parent / "rubbish.gguf"
    path.write_bytes(b"GGUF" + bytes(1000))
    file = BlobFile(path.name, path, hashlib.sha256(path.read_bytes()).hexdigest())
    before = blobs(store)
    with pytest.raises(RegistrationFailedError):
        register(client, request_for(file, store))
    assert find_model(client, NAME) is None
    assert blobs(store) == before


def test_pulling_what_cannot_be_had_is_a_registration_error(client: LocalClient) -> None:
    with pytest.raises(RegistrationFailedError):
        pull(client, NAME, "127.0.0.1:9/nobody/nothing:Q4_0")
    assert find_model(client, NAME) is None


def test_a_store_on_another_file_system_is_uploaded_to(client: LocalClient, store: Path) -> None:
    elsewhere = Path("/dev/shm") / f"gemma-setup-test-{os.getpid()}.gguf"
    if not elsewhere.parent.is_dir() or elsewhere.parent.stat().st_dev == store.stat().st_dev:
        pytest.skip("there is no second file system here")
    write_random_gemma4(elsewhere, seed=2)
    try:
        sha256 = hashlib.sha256(elsewhere.read_bytes()).hexdigest()
        file = BlobFile("random.gguf", elsewhere, sha256)
        before = blobs(store)
        with pytest.raises(RegistrationFailedError) as caught:
            register_by_link(client, request_for(file, store))
        assert "cannot be linked" in caught.value.message
        assert blobs(store) == before
        registration = register(client, request_for(file, store))
        assert registration.uploaded_bytes == elsewhere.stat().st_size
        assert unregister(client, registration)
        assert blobs(store) == before
    finally:
        elsewhere.unlink()


def test_a_folder_that_is_not_the_servers_store_is_left_as_it_was(
    client: LocalClient, weights: BlobFile, tmp_path: Path
) -> None:
    (tmp_path / "blobs").mkdir()
    with pytest.raises(RegistrationFailedError) as caught:
        register_by_link(client, request_for(weights, tmp_path))
    assert "No store" in caught.value.message
    assert list((tmp_path / "blobs").iterdir()) == []


@pytest.mark.parametrize("name", ["../../e4b:q", "a/b:c", "x:..", "", "e4b:" + "x" * 81, "a b"])
def test_a_name_that_is_no_name_is_refused_before_anything_is_done(
    client: LocalClient, store: Path, weights: BlobFile, name: str
) -> None:
    before = blobs(store)
    for way in (register, register_by_link):
        with pytest.raises(RegistrationFailedError) as caught:
            way(client, replace(request_for(weights, store), name=name))
        assert "not a valid model name" in caught.value.message
    assert blobs(store) == before


def test_a_link_that_the_server_does_not_take_is_undone(client: LocalClient, store: Path) -> None:
    path = store.parent / "rubbish.gguf"
    path.write_bytes(b"GGUF" + bytes(1000))
    file = BlobFile(path.name, path, hashlib.sha256(path.read_bytes()).hexdigest())
    before = blobs(store)
    with pytest.raises(RegistrationFailedError):
        register_by_link(client, request_for(file, store))
    assert blobs(store) == before
    assert list_models(client) == ()
    assert path.exists()


def test_ollama_fetches_by_itself_and_the_size_gets_into_the_name(tmp_path: Path) -> None:
    with ollama_standin(tmp_path / "store") as endpoint:
        client = connect(endpoint)
        progress: list[RuntimeEvent] = []
        registration = pull(client, NAME, "hf.co/org/repo:Q4_K_M", observer=progress.append)
        assert [model.name for model in list_models(client)] == [NAME]
        assert progress[1].done_bytes == progress[1].total_bytes == 11
        assert registration.way == "pull"
        assert pull(client, NAME, "hf.co/org/repo:Q4_K_M", known=registration) == registration
        assert unregister(client, registration)
        assert list_models(client) == ()
        assert blobs(tmp_path / "store") == set()
