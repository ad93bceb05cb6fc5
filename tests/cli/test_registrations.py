"""What is registered where: every name is remembered, kept current, and comes out again."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, model_path
from setup_manager.runtimes.ollama.server import connect, list_models, show
from tests.cli.hub import catalog_file, environment_for
from tests.cli.runner import Program
from tests.runtimes.archives import FAKE_SERVER
from tests.runtimes.ollama_standin import ollama_standin
from tests.runtimes.test_ollama_registration import real_ollama
from tests.support.loopback import LoopbackHub
from tests.support.programs import OLLAMAS
from tests.support.waiting import let_pass, wait_until

StartHub = Callable[..., LoopbackHub]
NAME = "gemma-4-rehearsal:F16"
SIZE = model_path().stat().st_size


@pytest.fixture
def at_hub(program: Program, start_hub: StartHub, tmp_path: Path) -> Program:
    """The program with the model downloaded."""
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}})
    environment = environment_for(hub, catalog_file(tmp_path, hub))
    made = Program(program.home, {**program.environment, **environment})
    assert made("download", VARIANT).code == 0
    return made


@pytest.fixture(params=OLLAMAS)
def ollama(at_hub: Program, request: pytest.FixtureRequest) -> Iterator[Program]:
    serve = ollama_standin if request.param == "stand-in" else real_ollama
    with serve(store_of(at_hub)) as endpoint:
        yield Program(at_hub.home, {**at_hub.environment, "OLLAMA_HOST": endpoint})


@pytest.fixture
def standin(at_hub: Program) -> Iterator[Program]:
    with ollama_standin(store_of(at_hub)) as endpoint:
        yield Program(at_hub.home, {**at_hub.environment, "OLLAMA_HOST": endpoint})


@pytest.fixture
def llama(at_hub: Program, tmp_path: Path) -> Program:
    """The program with a llama-server that says the right things of itself."""
    folder = tmp_path / "bin"
    folder.mkdir()
    server = folder / "llama-server"
    server.write_text(FAKE_SERVER)
    server.chmod(0o755)
    path = f"{folder}:{at_hub.environment['PATH']}"
    return Program(at_hub.home, {**at_hub.environment, "PATH": path})


def store_of(program: Program) -> Path:
    return program.home / ".ollama" / "models"


def files_in(store: Path) -> set[str]:
    return {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}


def models_of(ollama: Program) -> dict[str, str]:
    """What the server itself lists: names and digests."""
    models = list_models(connect(ollama.environment["OLLAMA_HOST"]))
    return {model.name: model.digest for model in models}


def registered(program: Program) -> list[str]:
    models = program("list", "--installed", "--json").document["data"]["installed"]
    return [entry["name"] for model in models for entry in model["registrations"]]


def register(program: Program, *arguments: str, runtime: str = "ollama") -> Any:
    finished = program("register", VARIANT, "--runtime", runtime, "--json", *arguments)
    assert finished.code == 0, finished.stdout
    return finished.document["data"]


def test_two_names_are_both_remembered_and_both_come_out(ollama: Program) -> None:
    before = files_in(store_of(ollama))
    register(ollama, "--name", "first")
    register(ollama, "--name", "second")
    assert sorted(registered(ollama)) == ["first", "second"]
    assert set(models_of(ollama)) == {"first:latest", "second:latest"}
    assert ollama("remove", VARIANT, "--yes").code == 0
    assert models_of(ollama) == {}
    assert files_in(store_of(ollama)) == before


def test_a_context_that_is_asked_for_makes_it_anew_and_none_leaves_it(ollama: Program) -> None:
    register(ollama, "--context", "2048")
    first = models_of(ollama)
    assert register(ollama)["already"] is True
    assert models_of(ollama) == first
    assert register(ollama, "--context", "1024")["already"] is False
    second = models_of(ollama)
    assert second.keys() == first.keys()
    assert second != first
    assert register(ollama, "--context", "1024")["already"] is True


def test_a_linked_model_takes_the_place_of_a_copied_one(ollama: Program) -> None:
    before = files_in(store_of(ollama))
    register(ollama)
    linked = register(ollama, "--ollama-link")
    assert (linked["already"], linked["details"]["way"]) == (False, "link")
    assert register(ollama, "--ollama-link")["already"] is True
    assert ollama("remove", VARIANT, "--yes").code == 0
    assert files_in(store_of(ollama)) == before


@pytest.mark.parametrize("way", [(), ("--ollama-link",)])
@pytest.mark.parametrize("seconds", [0.0, 0.04])
def test_a_registration_that_was_killed_is_gone_on_with_or_taken_out(
    ollama: Program, way: tuple[str, ...], seconds: float
) -> None:
    before = files_in(store_of(ollama))
    for last in ("register", "remove"):
        kill_once_begun(ollama, seconds, *way)
        if last == "register":
            register(ollama, *way)
            assert set(models_of(ollama)) == {NAME}
        assert ollama("remove", VARIANT, "--yes").code == 0
        assert models_of(ollama) == {}
        # What an uploaded or small blob leaves, no manifest names: Ollama prunes it at its start.
        assert not [left for left in files_in(store_of(ollama)) - before if "manifest" in left]
        assert ollama("download", VARIANT).code == 0


def kill_once_begun(program: Program, seconds: float, *way: str) -> None:
    process = program.start("register", VARIANT, "--runtime", "ollama", *way)
    inventory = program.home / ".local" / "state" / "gemma-setup" / "inventory"
    wait_until(
        lambda: process.poll() is not None or NAME in next(inventory.glob("*.json")).read_text(),
        60,
        "the registration has begun",
    )
    let_pass(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_model_of_others_stays_when_ours_is_removed(ollama: Program) -> None:
    register(ollama, "--name", "theirs")
    shutil.rmtree(ollama.home / ".local" / "state" / "gemma-setup" / "inventory")
    assert ollama("download", VARIANT).code == 0
    register(ollama)
    assert ollama("remove", VARIANT, "--yes").code == 0
    assert set(models_of(ollama)) == {"theirs:latest"}


def test_a_second_install_plans_no_copy(standin: Program) -> None:
    def planned() -> int:
        finished = standin("install", VARIANT, "-n", "--runtime", "ollama", "--json")
        stages = finished.document["data"]["stages"]
        return int(stages[2]["data"]["copied_bytes"])

    assert planned() > SIZE
    register(standin)
    assert planned() == 0


def test_ollama_that_fetches_by_itself_keeps_what_is_here(standin: Program) -> None:
    arguments = ("install", VARIANT, "--yes", "--runtime", "ollama", "--pull", "--json")
    finished = standin(*arguments)
    assert finished.code == 0, finished.stdout
    assert set(models_of(standin)) == {NAME}
    (entry,) = standin("list", "--installed", "--json").document["data"]["installed"]
    assert len(entry["files"]) == 1
    assert standin("remove", VARIANT, "--yes").code == 0
    assert models_of(standin) == {}


def test_a_model_that_only_ollama_has_cannot_be_served_from_here(standin: Program) -> None:
    assert standin("remove", VARIANT, "--yes").code == 0
    arguments = ("install", VARIANT, "--yes", "--runtime", "ollama", "--pull")
    assert standin(*arguments).code == 0
    for command in ("smoke", "serve"):
        finished = standin(command, VARIANT, "--runtime", "embedded", "--json")
        assert finished.code == 2
        assert finished.document["errors"][0]["code"] == "not-installed"
    assert standin("smoke", VARIANT, "--runtime", "ollama").code == 0
    assert standin("remove", VARIANT, "--yes").code == 0
    assert models_of(standin) == {}


def test_smoke_with_an_ollama_that_does_not_know_the_model_says_how_to_go_on(
    standin: Program,
) -> None:
    finished = standin("smoke", VARIANT, "--runtime", "ollama", "--json")
    assert finished.code == 2
    error = finished.document["errors"][0]
    assert error["code"] == "not-registered"
    assert "register" in error["hint"]


def test_dry_runs_change_nothing(standin: Program) -> None:
    register(standin)
    before = files_in(standin.home)
    for arguments in (
        ("register", VARIANT, "--runtime", "ollama", "--name", "other", "--dry-run"),
        ("remove", VARIANT, "--dry-run"),
        ("clean", "--dry-run"),
    ):
        assert standin(*arguments).code == 0
    assert files_in(standin.home) == before
    assert set(models_of(standin)) == {NAME}


def test_a_preset_section_goes_in_and_comes_out_and_others_stay(llama: Program) -> None:
    preset_file = Path(register(llama, runtime="llama.cpp")["details"]["preset_file"])
    assert "[gemma-4-rehearsal-F16]" in preset_file.read_text()
    with preset_file.open("a") as file:
        file.write("\n[mine]\nmodel = /somewhere/mine.gguf\n")
    assert llama("remove", VARIANT, "--yes").code == 0
    text = preset_file.read_text()
    assert "[mine]" in text
    assert "rehearsal" not in text


def test_a_preset_section_of_somebody_else_is_never_overwritten(llama: Program) -> None:
    preset_file = llama.home / ".local" / "share" / "gemma-setup" / "llama.cpp" / "presets.ini"
    preset_file.parent.mkdir(parents=True)
    preset_file.write_text("version = 1\n[gemma-4-rehearsal-F16]\nmodel = /somewhere/mine.gguf\n")
    finished = llama("register", VARIANT, "--runtime", "llama.cpp", "--json")
    assert finished.code == 16
    assert "/somewhere/mine.gguf" in preset_file.read_text()
    assert registered(llama) == []


def test_remove_killed_anywhere_is_gone_on_with(standin: Program) -> None:
    before = files_in(store_of(standin))
    for milliseconds in (250, 325, 400):
        register(standin)
        process = standin.start("remove", VARIANT, "--yes")
        let_pass(milliseconds / 1000)
        process.kill()
        process.communicate()
        if registered(standin) or any(standin.home.rglob("*.gguf")):
            assert standin("remove", VARIANT, "--yes").code == 0
        assert models_of(standin) == {}
        assert files_in(store_of(standin)) == before
        assert not any(standin.home.rglob("*.gguf"))
        assert not [p for p in standin.home.rglob("blobs/*") if ".ollama" not in str(p)]
        assert standin("clean", "--yes").code == 0
        assert standin("download", VARIANT).code == 0


def test_a_file_that_two_models_share_goes_with_the_last(at_hub: Program) -> None:
    inventory = at_hub.home / ".local" / "state" / "gemma-setup" / "inventory"
    (record,) = inventory.glob("*.json")
    document = {**json.loads(record.read_text()), "name": "org/other:F16"}
    (inventory / "org-other-F16.a93b8ae24b27.json").write_text(json.dumps(document))
    path = Path(document["files"][0]["path"])
    first = at_hub("remove", VARIANT, "--yes", "--json")
    assert first.document["data"]["kept"][0]["reason"] == "also belongs to org/other:F16"
    assert path.exists()


def test_one_name_on_two_servers_is_two_registrations(standin: Program) -> None:
    register(standin)
    elsewhere = standin.home / "other" / "models"
    with ollama_standin(elsewhere) as endpoint:
        other = Program(standin.home, {**standin.environment, "OLLAMA_HOST": endpoint})
        register(other)
        assert registered(standin) == [NAME, NAME]
        assert register(standin)["already"] is True
        assert register(other)["already"] is True
        assert other("remove", VARIANT, "--yes").code == 0
        assert models_of(other) == {}
    assert models_of(standin) == {}


def test_a_server_is_the_same_by_each_of_its_names(standin: Program) -> None:
    register(standin)
    named = standin.environment["OLLAMA_HOST"].replace("127.0.0.1", "localhost")
    assert register(Program(standin.home, {**standin.environment, "OLLAMA_HOST": named}))["already"]
    assert registered(standin) == [NAME]


def test_a_drafter_is_not_compared_by_a_server_that_has_one_way_only(standin: Program) -> None:
    register(standin)
    inventory = standin.home / ".local" / "state" / "gemma-setup" / "inventory"
    (record,) = inventory.glob("*.json")
    document = json.loads(record.read_text())
    drafter = {**document["files"][0], "artifact": {**document["files"][0]["artifact"]}}
    drafter["artifact"]["role"] = "drafter"
    record.write_text(json.dumps({**document, "files": [*document["files"], drafter]}))
    name = document["name"]
    finished = standin("smoke", name, "--runtime", "ollama", "--with-drafter", "--json")
    assert finished.code == 2, finished.stdout
    error = finished.document["errors"][0]
    assert error["code"] == "drafter-not-comparable"
    assert "--with-drafter" in error["hint"]


def test_a_linked_model_is_described_as_its_file_describes_itself(standin: Program) -> None:
    register(standin, "--ollama-link")
    (model,) = list_models(connect(standin.environment["OLLAMA_HOST"]))
    shown = show(connect(standin.environment["OLLAMA_HOST"]), model.name)["details"]
    assert (shown["parameter_size"], shown["quantization_level"]) == ("703K", "F16")
