"""The whole job as a user runs it: a process, a loopback hub, a real engine, a real model."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, model_path
from tests.cli.hub import catalog_file, environment_for, sha256_of
from tests.cli.runner import Finished, Program
from tests.rehearsal.random_weights import write_random
from tests.support.faults import always, nth, stall_in_body, status, trickle
from tests.support.loopback import Access, LoopbackHub
from tests.support.waiting import wait_until

pytestmark = pytest.mark.real_runtime

StartHub = Callable[..., LoopbackHub]
STAGES = ["check", "recommend", "plan", "download", "register", "smoke"]
MODEL = f"{VARIANT}:F16"


@pytest.fixture
def hub(start_hub: StartHub) -> LoopbackHub:
    return start_hub({REPOSITORY: {FILE_NAME: model_path()}})


@pytest.fixture
def at_hub(program: Program, hub: LoopbackHub, tmp_path: Path) -> Program:
    """The program, with this hub and its catalogue."""
    return with_hub(program, hub, tmp_path)


def with_hub(program: Program, hub: LoopbackHub, folder: Path, **changes: Any) -> Program:
    catalog = catalog_file(folder, hub, **changes)
    return Program(program.home, {**program.environment, **environment_for(hub, catalog)})


def stages(finished: Finished) -> dict[str, Any]:
    return {stage["name"]: stage for stage in finished.document["data"]["stages"]}


def install(program: Program, *arguments: str) -> Finished:
    return program("install", VARIANT, "--yes", "--json", "--runtime", "embedded", *arguments)


def test_install_ends_with_the_model_answering(at_hub: Program, hub: LoopbackHub) -> None:
    finished = install(at_hub)
    assert finished.code == 0
    assert finished.stderr == ""
    done = stages(finished)
    assert list(done) == STAGES
    assert done["download"]["data"]["verified"] is True
    assert done["download"]["data"]["fetched_bytes"] == model_path().stat().st_size
    path = Path(done["download"]["data"]["path"])
    assert sha256_of(path) == hub.artifact(REPOSITORY, FILE_NAME).sha256
    smoke = done["smoke"]["data"]
    assert smoke["passed"] is True
    assert "Paris" in smoke["text"]
    assert smoke["tokens_per_second"] > 0
    assert smoke["peak_memory_bytes"] > 0
    assert smoke["predicted"]["memory_bytes"] > 0


def test_install_without_a_model_takes_the_best_that_fits(at_hub: Program) -> None:
    finished = at_hub("install", "--yes", "--json", "--runtime", "embedded")
    done = stages(finished)
    assert done["recommend"]["status"] == "done"
    assert done["recommend"]["data"]["choices"][0]["model"] == MODEL
    assert finished.code == 0


def test_a_second_install_fetches_nothing(at_hub: Program, hub: LoopbackHub) -> None:
    install(at_hub)
    served = hub.served_bytes
    done = stages(install(at_hub))
    assert done["download"]["status"] == "skipped"
    assert done["register"]["status"] == "skipped"
    assert done["smoke"]["status"] == "done"
    assert done["smoke"]["data"]["passed"] is True
    assert hub.served_bytes == served


def test_dry_run_writes_nothing(at_hub: Program, hub: LoopbackHub) -> None:
    before = sorted(at_hub.home.rglob("*"))
    finished = install(at_hub, "--dry-run")
    done = stages(finished)
    assert finished.code == 0
    assert [stage["status"] for stage in done.values()] == [
        "done", "skipped", "done", "skipped", "skipped", "skipped",
    ]  # fmt: skip
    assert done["plan"]["data"]["fetch_bytes"] == model_path().stat().st_size
    assert hub.served_bytes == 0
    assert sorted(at_hub.home.rglob("*")) == before


def test_without_a_terminal_and_without_yes_nothing_is_begun(
    at_hub: Program, hub: LoopbackHub
) -> None:
    finished = at_hub("install", VARIANT, "--json", "--runtime", "embedded")
    assert finished.code == 2
    assert finished.document["errors"][0]["code"] == "needs-yes"
    assert hub.served_bytes == 0


def test_what_is_installed_is_listed_served_and_removed(at_hub: Program) -> None:
    install(at_hub)
    (entry,) = at_hub("list", "--installed", "--json").document["data"]["installed"]
    assert entry["model"] == MODEL
    assert entry["complete"] is True
    assert entry["last_smoke"]["passed"] is True
    path = Path(entry["files"][0]["path"])
    assert path.exists()
    dry = at_hub("remove", VARIANT, "--dry-run", "--json")
    assert dry.document["data"]["files"][0]["path"] == str(path)
    assert path.exists()
    removed = at_hub("remove", VARIANT, "--yes", "--json")
    assert removed.code == 0
    assert not path.exists()
    assert at_hub("list", "--installed", "--json").document["data"]["installed"] == []
    assert not list(at_hub.home.rglob("*.gguf"))


def test_a_file_that_was_there_before_survives_remove(at_hub: Program, hub: LoopbackHub) -> None:
    cache = at_hub.home / ".cache" / "huggingface" / "hub"
    artifact = hub.artifact(REPOSITORY, FILE_NAME)
    repository = cache / f"models--{REPOSITORY.replace('/', '--')}"
    snapshot = repository / "snapshots" / artifact.commit
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    blob = repository / "blobs" / artifact.sha256
    blob.write_bytes(model_path().read_bytes())
    (snapshot / FILE_NAME).symlink_to(f"../../blobs/{artifact.sha256}")
    finished = at_hub("download", VARIANT, "--json")
    assert finished.document["data"]["fetched_bytes"] == 0
    assert hub.served_bytes == 0
    kept = at_hub("remove", VARIANT, "--yes", "--json").document["data"]["kept"]
    assert [entry["reason"] for entry in kept] == ["not installed by gemma-setup"]
    assert blob.exists()


def test_serve_answers_over_http_and_ends_with_ctrl_c(at_hub: Program) -> None:
    install(at_hub)
    process = at_hub.start("serve", VARIANT, "--runtime", "embedded")
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.strip().startswith("curl"):
            break
    command = lines[-1].strip().replace("Hello", "What is the capital of Italy?")
    answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    content = json.loads(answer.stdout)["choices"][0]["message"]["content"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Rome" in content


def test_random_weights_end_in_17_with_reasons(
    program: Program, start_hub: StartHub, tmp_path: Path
) -> None:
    gibberish = tmp_path / "random.gguf"
    write_random(model_path(), gibberish, seed=1)
    hub = start_hub({REPOSITORY: {FILE_NAME: gibberish}})
    finished = install(with_hub(program, hub, tmp_path))
    assert finished.code == 17
    error = finished.document["errors"][0]
    assert error["code"] == "smoke-failed"
    assert error["context"]
    assert stages(finished)["smoke"]["status"] == "failed"
    assert stages(finished)["smoke"]["data"]["passed"] is False


@pytest.mark.parametrize(
    ("content", "code", "word"),
    [
        (b"PK\x03\x04" + bytes(2_000_000), 13, "zip"),
        (b"<!DOCTYPE html><html>Welcome to our hotel" * 40_000, 12, "log in"),
    ],
)
def test_a_file_that_is_no_gguf_is_refused_in_its_first_bytes(
    program: Program, start_hub: StartHub, tmp_path: Path, content: bytes, code: int, word: str
) -> None:
    hub = start_hub({REPOSITORY: {FILE_NAME: content}})
    finished = with_hub(program, hub, tmp_path)("download", VARIANT, "--json")
    assert finished.code == code
    assert word in json.dumps(finished.document["errors"]).lower()
    assert not list(program.home.rglob("*.gguf"))


def test_a_wrong_digest_is_13_and_installs_nothing(
    program: Program, hub: LoopbackHub, tmp_path: Path
) -> None:
    finished = install(with_hub(program, hub, tmp_path, sha256="0" * 64))
    assert finished.code == 13
    assert "0" * 64 in json.dumps(finished.document["errors"])
    assert not list(program.home.rglob("*.gguf"))


@pytest.mark.parametrize(
    ("arguments", "code", "error_code"),
    [
        (("install", "e5b", "--yes"), 2, "unknown-variant"),
        (("install", f"{VARIANT}:Q9", "--yes"), 2, "unknown-quantization"),
        (("install", "not a model", "--yes"), 2, "bad-model"),
        (("install", VARIANT, "--yes", "--context", "0"), 2, "usage"),
        (("install", VARIANT, "--yes", "--context", "99999999"), 2, "usage"),
        (("explain", VARIANT, "--slots", "-1"), 2, "usage"),
        (("download", "nobody/nothing:Q4_K_M"), 14, "no-repository"),
        (("smoke", VARIANT), 2, "not-installed"),
        (("remove", VARIANT), 2, "not-installed"),
        (("verify",), 2, "not-installed"),
        (("check", "--catalog", "/does/not/exist", "e4b"), 2, "bad-catalog"),
        (("explain", VARIANT, "--machine", "/does/not/exist"), 2, "bad-machine"),
    ],
)
def test_bad_input_is_one_clear_error(
    at_hub: Program, arguments: tuple[str, ...], code: int, error_code: str
) -> None:
    finished = at_hub(*arguments, "--json")
    error = finished.document["errors"][0]
    assert (finished.code, error["code"]) == (code, error_code)
    assert error["message"]
    assert error["hint"]
    text = at_hub(*arguments)
    assert text.code == code
    assert "Traceback" not in text.stderr


def test_no_route_to_the_hub_is_12(at_hub: Program) -> None:
    finished = at_hub("download", "org/repo:Q4_K_M", "--json", HF_ENDPOINT="http://127.0.0.1:9")
    assert finished.code == 12
    assert "127.0.0.1:9" in json.dumps(finished.document["errors"])


def test_offline_is_12_without_a_request(at_hub: Program, hub: LoopbackHub) -> None:
    finished = at_hub("download", VARIANT, "--json", HF_HUB_OFFLINE="1")
    assert finished.code == 12
    assert not hub.requests


def test_a_gated_repository_is_14_with_its_page(
    program: Program, start_hub: StartHub, tmp_path: Path
) -> None:
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}}, access={REPOSITORY: Access.GATED})
    finished = install(with_hub(program, hub, tmp_path))
    assert finished.code == 14
    assert REPOSITORY in json.dumps(finished.document["errors"])


def test_an_unwritable_folder_is_named(at_hub: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finished = at_hub("download", VARIANT, "--json", "--models-dir", str(tmp_path / "file" / "x"))
    assert finished.code == 12
    assert str(tmp_path / "file") in json.dumps(finished.document["errors"])


def test_a_runtime_that_is_not_here_is_15_with_the_way_on(at_hub: Program) -> None:
    finished = at_hub("install", VARIANT, "--yes", "--json", "--runtime", "ollama")
    assert finished.code == 15
    assert finished.document["errors"][0]["hint"]


def test_a_model_that_does_not_fit_is_11_before_the_first_byte(
    at_hub: Program, hub: LoopbackHub, tmp_path: Path
) -> None:
    document = at_hub("check", "--json").document
    document["data"]["machine"]["memory"]["available_bytes"] = 50 * 1024 * 1024
    machine = tmp_path / "machine.json"
    machine.write_text(json.dumps(document))
    finished = at_hub("recommend", "--json", "--machine", str(machine))
    assert finished.code == 11
    assert hub.served_bytes == 0


KILLS = ("check", "plan", "download", "register", "smoke")


@pytest.mark.parametrize("stage", KILLS)
def test_a_kill_in_any_stage_and_the_same_command_goes_on(
    program: Program, start_hub: StartHub, tmp_path: Path, stage: str
) -> None:
    slow = always(trickle(600_000))
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}}, faults=[slow])
    at_hub = with_hub(program, hub, tmp_path)
    arguments = ("install", VARIANT, "--yes", "--runtime", "embedded", "--progress", "json")
    process = at_hub.start(*arguments)
    assert process.stderr is not None
    events = map(json.loads, process.stderr)
    next(event for event in events if event["event"] == "stage" and event["stage"] == stage)
    if stage == "download":
        next(event for event in events if event.get("bytes", 0) > 500_000)
    process.kill()
    process.communicate()
    children_are_gone(process.pid)
    hub.faults = ()
    before = hub.served_bytes
    finished = install(at_hub)
    assert finished.code == 0
    assert stages(finished)["smoke"]["data"]["passed"] is True
    size = model_path().stat().st_size
    if stage in {"register", "smoke"}:
        assert hub.served_bytes == before
    else:
        assert hub.served_bytes - before <= size


def children_are_gone(parent: int) -> None:
    """Wait until no engine of a killed run is left; its tether ends it."""
    pgrep = ["pgrep", "-P", str(parent)]
    wait_until(
        lambda: not subprocess.run(pgrep, capture_output=True).stdout,
        what="no child outlives the killed program",
    )


def test_ctrl_c_in_a_download_keeps_what_came(
    program: Program, start_hub: StartHub, tmp_path: Path
) -> None:
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}}, faults=[always(trickle(400_000))])
    at_hub = with_hub(program, hub, tmp_path)
    process = at_hub.start("download", VARIANT, "--json", "--progress", "json")
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line).get("bytes", 0) > 200_000:
            break
    begin = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    stdout, _ = process.communicate(timeout=20)
    assert time.monotonic() - begin < 3
    assert process.returncode == 130
    document = json.loads(stdout)
    assert document["errors"][0]["code"] == "interrupted"
    hub.faults = ()
    again = at_hub("download", VARIANT, "--json")
    assert again.document["data"]["reused_bytes"] > 0


def test_json_progress_is_json_lines_that_never_fall(at_hub: Program) -> None:
    finished = at_hub("download", VARIANT, "--progress", "json")
    events = [json.loads(line) for line in finished.stderr.splitlines()]
    counts = [event["bytes"] for event in events if "bytes" in event]
    assert counts == sorted(counts)
    assert all(event["bytes"] <= event["total"] for event in events if "bytes" in event)
    assert {"time", "event", "file", "bytes", "total", "rate", "eta"} <= set(events[0])


def test_a_stall_and_an_overloaded_hub_cost_nothing_but_time(
    program: Program, start_hub: StartHub, tmp_path: Path
) -> None:
    faults = [nth(1, stall_in_body(100_000, 1.0)), nth(2, status(503))]
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}}, faults=faults)
    finished = with_hub(program, hub, tmp_path)("download", VARIANT, "--json")
    assert finished.code == 0


def test_verify_repairs_one_flipped_byte(at_hub: Program, hub: LoopbackHub) -> None:
    path = Path(at_hub("download", VARIANT, "--json").document["data"]["path"])
    content = bytearray(path.read_bytes())
    content[700_000] ^= 1
    path.resolve().write_bytes(bytes(content))
    damaged = at_hub("verify", VARIANT, "--json")
    assert damaged.code == 13
    assert damaged.document["data"]["files"][0]["damaged"]
    repaired = at_hub("verify", VARIANT, "--repair", "--json")
    assert repaired.code == 0
    assert sha256_of(path) == hub.artifact(REPOSITORY, FILE_NAME).sha256
    assert at_hub("verify", "--json").code == 0


def test_clean_drops_partials_and_only_those(
    program: Program, start_hub: StartHub, tmp_path: Path
) -> None:
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}}, faults=[always(trickle(40_000))])
    at_hub = with_hub(program, hub, tmp_path)
    process = at_hub.start("download", VARIANT, "--progress", "json")
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line).get("bytes", 0) > 100_000:
            break
    in_use = at_hub("clean", "--yes", "--json")
    process.kill()
    process.communicate()
    assert len(in_use.document["data"]["busy"]) == 1
    stranger = at_hub.home / ".cache" / "huggingface" / "hub" / "models--a--b" / "blobs" / "x"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("of somebody else")
    found = at_hub("clean", "--dry-run", "--json").document["data"]["found"]
    assert len(found) == 1
    assert at_hub("clean", "--yes", "--json").code == 0
    assert not list(at_hub.home.rglob("*.gemma-setup.partial*"))
    assert stranger.exists()
    assert at_hub("list", "--installed", "--json").document["data"]["installed"] == []
