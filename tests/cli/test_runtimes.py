"""Runtimes through the command line: Ollama, llama.cpp, official builds, serve, remove."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, model_path
from setup_manager.runtimes.server import free_port
from tests.cli.hub import catalog_file, environment_for
from tests.cli.runner import Finished, Program
from tests.runtimes.archives import build_archive, real_build_archive
from tests.runtimes.ollama_standin import ollama_standin
from tests.runtimes.release_server import release_server
from tests.runtimes.test_ollama_registration import real_ollama
from tests.support.loopback import LoopbackHub
from tests.support.programs import OLLAMAS
from tests.support.waiting import wait_until

StartHub = Callable[..., LoopbackHub]
NAME = "gemma-4-rehearsal:F16"
MODEL = f"{VARIANT}:F16"
SIZE = model_path().stat().st_size


@pytest.fixture
def at_hub(program: Program, start_hub: StartHub, tmp_path: Path) -> Program:
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}})
    environment = environment_for(hub, catalog_file(tmp_path, hub))
    return Program(program.home, {**program.environment, **environment})


@pytest.fixture(params=OLLAMAS)
def ollama(at_hub: Program, request: pytest.FixtureRequest) -> Iterator[Program]:
    """The program beside an Ollama server: the stand-in, and the real one where it is found."""
    store = at_hub.home / ".ollama" / "models"
    serve = ollama_standin if request.param == "stand-in" else real_ollama
    with serve(store) as endpoint:
        yield Program(at_hub.home, {**at_hub.environment, "OLLAMA_HOST": endpoint})


def registered(program: Program) -> list[str]:
    models = program("list", "--installed", "--json").document["data"]["installed"]
    return [entry["name"] for model in models for entry in model["registrations"]]


def downloaded(program: Program) -> Program:
    assert program("download", VARIANT, "--json").code == 0
    return program


def test_ollama_is_found_and_says_why_it_is_or_is_not_taken(ollama: Program) -> None:
    runtimes = ollama("check", "--json", HF_HUB_OFFLINE="1").document["data"]["runtimes"]
    (found,) = [runtime for runtime in runtimes if runtime["name"] == "ollama"]
    assert found["found"] is True
    assert found["gemma4"] is True
    assert found["endpoint"] == ollama.environment["OLLAMA_HOST"]


@pytest.mark.parametrize("way", [(), ("--ollama-link",)])
def test_a_model_is_registered_with_ollama_once_and_comes_out_again(
    ollama: Program, way: tuple[str, ...]
) -> None:
    downloaded(ollama)
    store = ollama.home / ".ollama" / "models"
    before = sorted(path for path in store.rglob("*") if path.is_file())
    first = ollama("register", VARIANT, "--runtime", "ollama", "--json", *way)
    assert first.code == 0, first.stdout
    assert first.document["data"]["name"] == NAME
    again = ollama("register", VARIANT, "--runtime", "ollama", "--json", *way)
    assert again.document["data"]["already"] is True
    assert registered(ollama) == [NAME]
    assert ollama("remove", VARIANT, "--yes", "--json").code == 0
    assert registered(ollama) == []
    manifests = [path for path in (store / "manifests").rglob("*") if path.is_file()]
    assert manifests == []
    if way:
        assert sorted(path for path in store.rglob("*") if path.is_file()) == before


def test_a_name_that_is_taken_by_something_else_is_16_and_stays(ollama: Program) -> None:
    downloaded(ollama)
    assert ollama("register", VARIANT, "--runtime", "ollama", "--name", "mine").code == 0
    state = ollama.home / ".local" / "state" / "gemma-setup" / "inventory"
    shutil.rmtree(state)  # as on another user's machine: the model is there, and not by us
    downloaded(ollama)
    taken = ollama("register", VARIANT, "--runtime", "ollama", "--name", "mine", "--json")
    assert taken.code == 16
    assert "--name" in taken.document["errors"][0]["hint"]
    other = ollama("register", VARIANT, "--runtime", "ollama", "--name", "other", "--json")
    assert other.code == 0


def test_remove_without_its_server_is_15_and_forgets_nothing(ollama: Program) -> None:
    downloaded(ollama)
    assert ollama("register", VARIANT, "--runtime", "ollama").code == 0
    path = ollama.home / ".local" / "state" / "gemma-setup" / "inventory"
    for record in path.glob("*.json"):
        text = record.read_text().replace(ollama.environment["OLLAMA_HOST"], "http://127.0.0.1:9")
        record.write_text(text)
    finished = ollama("remove", VARIANT, "--yes", "--json")
    assert finished.code == 15
    assert "ollama serve" in finished.document["errors"][0]["hint"]
    assert "--forget" in finished.document["errors"][0]["hint"]
    assert registered(ollama) == [NAME]
    assert ollama("remove", VARIANT, "--yes", "--forget").code == 0
    assert registered(ollama) == []


@pytest.mark.real_runtime
def test_install_with_the_real_ollama_ends_with_an_answer(at_hub: Program) -> None:
    with real_ollama(at_hub.home / ".ollama" / "models") as endpoint:
        arguments = ("install", VARIANT, "--yes", "--json", "--runtime", "ollama")
        finished = at_hub(*arguments, OLLAMA_HOST=endpoint, timeout=180)
    stages = {stage["name"]: stage["data"] for stage in finished.document["data"]["stages"]}
    assert finished.code == 0, finished.stdout
    assert stages["plan"]["copied_bytes"] > SIZE
    assert "Paris" in stages["smoke"]["text"]
    assert stages["smoke"]["runtime"] == "ollama"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk on which the file of 1.5 MB fits, but its copies of 4.4 MB do not."""
    folder = tmp_path / "disk"
    folder.mkdir()
    size = 64 * 1024**2 + 3 * 1000**2  # 67 MB stay free by rule
    options = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if subprocess.run(options, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("files_too", [True, False])
def test_without_room_for_ollamas_copies_nothing_is_begun(
    at_hub: Program, small_disk: Path, *, files_too: bool
) -> None:
    store = small_disk / "store"
    folder = small_disk / "files" if files_too else at_hub.home / "files"
    with ollama_standin(store) as endpoint:
        environment = {"OLLAMA_HOST": endpoint, "OLLAMA_MODELS": str(store)}
        beside = Program(at_hub.home, {**at_hub.environment, **environment})
        plain = beside("download", VARIANT, "-n", "--json", "--models-dir", str(folder))
        install = ("install", VARIANT, "--yes", "--json", "--runtime", "ollama")
        finished = beside(*install, "--models-dir", str(folder))
    assert plain.code == 0
    assert finished.code == 10
    assert "runtime's copy" in json.dumps(finished.document["errors"])
    assert not any(folder.rglob("*.gguf"))


def test_a_store_on_another_disk_takes_no_room_beside_the_files(
    ollama: Program, small_disk: Path
) -> None:
    install = ("install", VARIANT, "-n", "--json", "--runtime", "ollama")
    finished = ollama(*install, "--models-dir", str(small_disk / "files"))
    assert finished.code == 0, finished.stdout


@pytest.fixture
def llama_server() -> str:
    program = shutil.which("llama-server")
    if program is None:
        pytest.skip("llama-server is not on PATH")
    return program


@pytest.mark.real_runtime
def test_llama_cpp_is_taken_first_and_the_printed_commands_work(
    at_hub: Program, llama_server: str
) -> None:
    finished = at_hub("install", VARIANT, "--yes", "--json")
    stages = {stage["name"]: stage["data"] for stage in finished.document["data"]["stages"]}
    assert stages["plan"]["runtime"]["name"] == "llama.cpp"
    assert "without a second copy" in stages["plan"]["runtime"]["reason"]
    data = at_hub("register", VARIANT, "--json").document["data"]
    assert data["runtime"] == "llama.cpp"
    port = free_port()
    start = data["start"].replace("--port 8080", f"--port {port}")
    ask = data["ask"].replace(":8080", f":{port}").replace("Hello", "What is the capital of Italy?")
    server = subprocess.Popen(
        ["bash", "-c", f"exec {start}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert "Rome" in answer_of(ask)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=20)


def answer_of(command: str) -> str:
    """Type a printed curl command until the server behind it is up."""
    answer = ""

    def answered() -> bool:
        nonlocal answer
        answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True).stdout
        return "choices" in answer

    wait_until(answered, 30, "an answer of the server")
    content: str = json.loads(answer)["choices"][0]["message"]["content"]
    return content


def test_a_llama_server_that_is_too_old_is_15_with_the_way_to_update(
    at_hub: Program, tmp_path: Path
) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    old = folder / "llama-server"
    old.write_text("#!/bin/sh\necho 'version: 4000 (abcdef)'\n")
    old.chmod(0o755)
    path = f"{folder}:{at_hub.environment['PATH']}"
    arguments = ("install", VARIANT, "--yes", "--json", "--runtime", "llama.cpp")
    finished = at_hub(*arguments, PATH=path, GEMMA_SETUP_RELEASES_URL="http://127.0.0.1:9")
    if finished.code == 0:
        pytest.skip("another llama-server in a usual folder is new enough")
    assert finished.code == 15
    assert "runtime install llama.cpp" in finished.document["errors"][0]["hint"]


def asset_names(tag: str) -> list[str]:
    return [f"llama-{tag}-bin-ubuntu-x64.tar.gz", f"llama-{tag}-bin-ubuntu-vulkan-x64.tar.gz"]


@pytest.mark.skipif(sys.platform != "linux", reason="the archives are Linux builds")
def test_the_official_build_is_installed_listed_and_removed(at_hub: Program) -> None:
    files = dict.fromkeys(asset_names("b9999"), build_archive("b9999"))
    with release_server("b9999", files) as releases:
        url = releases.list_url
        install = ("runtime", "install", "llama.cpp", "--json")
        dry = at_hub(*install, "--dry-run", GEMMA_SETUP_RELEASES_URL=url)
        assert dry.document["data"]["build"] == "b9999-cpu"
        assert not list(at_hub.home.rglob("llama-server"))
        done = at_hub(*install, "--yes", GEMMA_SETUP_RELEASES_URL=url)
        assert done.code == 0, done.stdout
    program = Path(done.document["data"]["program"])
    assert program.exists()
    (build,) = at_hub("runtime", "list", "--json").document["data"]["builds"]
    assert build["program"] == str(program)
    assert at_hub("runtime", "remove", "llama.cpp", "--yes").code == 0
    assert not program.exists()


@pytest.mark.real_runtime
def test_where_nothing_can_run_a_model_install_brings_the_official_build(
    at_hub: Program, llama_server: str, tmp_path: Path
) -> None:
    archive = real_build_archive("b9999", Path(llama_server))
    # An interpreter without the embedded engine: its package is shadowed by one that is no engine.
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "xllamacpp.py").write_text("")
    folders = at_hub.environment["PATH"].split(":")
    without = [f for f in folders if not (Path(f) / "llama-server").exists()]
    with release_server("b9999", dict.fromkeys(asset_names("b9999"), archive)) as releases:
        environment = {
            "GEMMA_SETUP_RELEASES_URL": releases.list_url,
            "PATH": ":".join(without),
            "PYTHONPATH": f"{shadow}:{at_hub.environment['PYTHONPATH']}",
        }
        program = Program(at_hub.home, {**at_hub.environment, **environment})
        refused = program("install", VARIANT, "--json")
        assert refused.code == 15
        assert "runtime install llama.cpp" in refused.document["errors"][0]["hint"]
        finished = program("install", VARIANT, "--yes", "--json", timeout=180)
    stages = {stage["name"]: stage["data"] for stage in finished.document["data"]["stages"]}
    assert finished.code == 0, finished.stdout
    assert stages["plan"]["runtime"]["name"] == "llama.cpp"
    assert "Paris" in stages["smoke"]["text"]


def started(program: Program, *arguments: str) -> tuple["subprocess.Popen[str]", str]:
    """Start a server and wait for the line that says where it is."""
    process = program.start("serve", VARIANT, "--runtime", "embedded", *arguments)
    assert process.stderr is not None
    for line in process.stderr:
        if "is ready at" in line:
            return process, line
    return process, ""


@pytest.mark.real_runtime
def test_a_port_that_is_taken_is_one_clear_error(at_hub: Program) -> None:
    downloaded(at_hub)
    process, line = started(at_hub)
    port = next(word for word in line.split() if word.startswith("http")).rsplit(":", 1)[1]
    try:
        second = at_hub("serve", VARIANT, "--runtime", "embedded", "--port", port, "--json")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert second.code in {15, 17}
    assert port in json.dumps(second.document["errors"])


@pytest.mark.real_runtime
def test_an_engine_that_dies_is_an_error_with_its_last_words(at_hub: Program) -> None:
    downloaded(at_hub)
    process, _ = started(at_hub)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    for child in children.stdout.split():
        subprocess.run(["pkill", "-KILL", "-P", child], check=False)
        subprocess.run(["kill", "-KILL", child], check=False)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode in {15, 17}
    assert "next:" in stderr
    assert "Traceback" not in stderr


@pytest.mark.real_runtime
def test_a_picture_without_a_projector_is_a_clear_error(at_hub: Program) -> None:
    downloaded(at_hub)
    finished = at_hub("smoke", VARIANT, "--image", "--runtime", "embedded", "--json")
    assert finished.code in {2, 17}
    assert "projector" in json.dumps(finished.document["errors"])


@pytest.mark.real_runtime
def test_a_long_smoke_measures_several_rounds(at_hub: Program) -> None:
    downloaded(at_hub)
    finished = at_hub("smoke", VARIANT, "--long", "0.03", "--runtime", "embedded", "--json")
    assert finished.code == 0
    assert len(finished.document["data"]["series_tokens_per_second"]) >= 2


@pytest.mark.real_runtime
def test_what_smoke_measured_narrows_predictions_unless_latency_bound_it(
    at_hub: Program,
) -> None:
    downloaded(at_hub)

    def width() -> float:
        command = ("explain", VARIANT, "--context", "4096", "--json")
        speed = at_hub(*command).document["data"]["speed"]
        return float(speed["high"] / speed["low"])

    before = width()
    assert at_hub("smoke", VARIANT, "--runtime", "embedded").code == 0
    kept = at_hub.home / ".local/state/gemma-setup/measurements.json"
    document = json.loads(kept.read_text())
    (measurement,) = document["measurements"]
    assert measurement["measured"] > 0
    assert measurement["limited_by"] == "latency"  # as a model of a megabyte always is
    assert width() == pytest.approx(before, rel=0.01)
    measurement |= {"limited_by": "memory bandwidth", "measured": 0.8 * measurement["predicted"]}
    kept.write_text(json.dumps(document))
    assert width() < 0.9 * before


def test_remove_goes_on_after_a_kill_in_its_middle(at_hub: Program) -> None:
    downloaded(at_hub)
    assert at_hub("register", VARIANT, "--runtime", "embedded").code == 0
    record = next((at_hub.home / ".local/state/gemma-setup/inventory").glob("*.json"))
    text = record.read_text()
    assert at_hub("remove", VARIANT, "--yes").code == 0
    record.write_text(text)  # as a kill after the files went and before the record did
    again: Finished = at_hub("remove", VARIANT, "--yes", "--json")
    assert again.code == 0
    assert again.document["data"]["freed_bytes"] == 0
    assert at_hub("list", "--installed", "--json").document["data"]["installed"] == []
