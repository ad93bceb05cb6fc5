"""check, recommend and explain as a user runs them, here and for machines described elsewhere."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from setup_manager.catalog.load import load_catalog
from tests.cli.runner import Finished, Program

VARIANTS = list(load_catalog().variants)
GROUP = Path("/sys/fs/cgroup/memory/gemma-setup-cli-test")
GIB = 1024**3


def machine_file(tmp_path: Path, program: Program, **memory: int) -> Path:
    """Describe this machine, with another memory."""
    document = program("check", "--json", HF_HUB_OFFLINE="1").document
    document["data"]["machine"]["memory"].update(memory)
    path = tmp_path / "machine.json"
    path.write_text(json.dumps(document))
    return path


def test_check_has_every_field_of_the_contract(program: Program) -> None:
    finished = program("check", "--json", HF_HUB_OFFLINE="1")
    data = finished.document["data"]
    assert set(data) >= {"machine", "runtimes", "checks"}
    assert set(data["machine"]) >= {
        "os", "arch", "cpu", "memory", "gpus", "memory_bandwidth_bytes_per_second", "disks",
        "power", "thermal", "container",
    }  # fmt: skip
    assert set(data["machine"]["cpu"]) >= {
        "model", "physical_cores", "logical_cores", "features",
    }  # fmt: skip
    assert set(data["machine"]["memory"]) >= {
        "total_bytes", "limit_bytes", "available_bytes", "source", "swap_total_bytes",
    }  # fmt: skip
    for runtime in data["runtimes"]:
        assert set(runtime) >= {"name", "found", "version", "endpoint", "gemma4", "path"}
    for check in data["checks"]:
        assert set(check) >= {"name", "status", "detail", "hint"}
        assert check["status"] in {"ok", "warn", "fail", "skip"}


def test_check_names_neither_user_nor_host_nor_token(program: Program) -> None:
    finished = program(
        "check",
        "--json",
        USER="zebedee",
        HOME="/home/zebedee",
        HF_TOKEN="hf_supersecret",
        HF_HUB_OFFLINE="1",
    )
    assert "zebedee" not in finished.stdout
    assert "hf_supersecret" not in finished.stdout


def test_check_without_the_network_takes_under_a_second(program: Program) -> None:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import setup_manager.app.verbs.check"], check=True)
    importing = time.perf_counter() - begin
    durations = []
    for _ in range(3):
        begin = time.perf_counter()
        program("check", "--json", HF_HUB_OFFLINE="1")
        durations.append(time.perf_counter() - begin)
    # On a machine that others keep busy, what an import takes there is the measure.
    assert min(durations) < max(1.0, 4 * importing)


@pytest.mark.parametrize("variant", VARIANTS)
def test_check_of_a_model_answers_without_a_network(program: Program, variant: str) -> None:
    data = program("check", variant, "--json", HF_HUB_OFFLINE="1").document["data"]
    names = {check["name"] for check in data["checks"]}
    assert {"model memory", "model disk", "model runtime"} <= names


def test_the_disk_is_measured_on_request_and_left_clean(program: Program) -> None:
    data = program("check", "--disk-speed", "--json", HF_HUB_OFFLINE="1").document["data"]
    (measured,) = [check for check in data["checks"] if check["name"] == "disk-speed"]
    assert "/s, synced" in measured["detail"]
    assert not list(program.home.rglob("*write-test*"))


def test_a_model_that_does_not_fit_fails_the_check(program: Program, tmp_path: Path) -> None:
    machine = machine_file(tmp_path, program, available_bytes=3 * GIB)
    finished = program("check", "31b", "--machine", str(machine), "--json")
    assert finished.code == 1
    failed = [c for c in finished.document["data"]["checks"] if c["status"] == "fail"]
    assert [check["name"] for check in failed] == ["model memory"]
    assert failed[0]["hint"]


def test_recommend_follows_the_machine_it_is_given(program: Program, tmp_path: Path) -> None:
    def best(available: int) -> Any:
        machine = machine_file(
            tmp_path, program, total_bytes=2 * available, available_bytes=available
        )
        finished = program("recommend", "--machine", str(machine), "--json", "--prefer", "quality")
        return finished.document["data"]["choices"][0]["model"].split(":")[0]

    sizes = [VARIANTS.index(best(gib * GIB)) for gib in (4, 12, 64)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_recommend_has_every_field_of_the_contract(program: Program) -> None:
    data = program("recommend", "--json").document["data"]
    assert data["machine"]
    for entry in data["choices"] + data["rejected"]:
        assert set(entry) >= {
            "model", "quantization", "repo", "file", "size_bytes", "context", "memory", "speed",
            "verdict", "reasons",
        }  # fmt: skip
        holds_the_shapes(entry)


def holds_the_shapes(data: Any) -> None:
    memory, speed = data["memory"], data["speed"]
    parts = ("weights", "kv_cache", "compute", "projector", "overhead")
    assert memory["total_bytes"] == sum(memory[f"{part}_bytes"] for part in parts)
    places = memory["by_place"]
    assert memory["total_bytes"] == places["ram_bytes"] + places["vram_bytes"]
    assert 0 < speed["low"] <= speed["tokens_per_second"] <= speed["high"]
    assert speed["limited_by"]
    assert speed["basis"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_explain_answers_without_a_network_and_adds_up(program: Program, variant: str) -> None:
    finished = program(
        "explain", variant, "--context", "8192", "--kv-type", "q8_0", "--json", HF_HUB_OFFLINE="1"
    )
    assert finished.code == 0
    holds_the_shapes(finished.document["data"])
    assert finished.document["data"]["settings"]["context"] == 8192


def test_explain_fits_a_screen(program: Program) -> None:
    text = program("explain", "e4b", COLUMNS="80").stdout
    assert len(text.splitlines()) <= 30
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"memory": {"total_bytes": -1}}, "memory"),
        ({"memory": None}, "memory"),
        ({"cpu": "fast"}, "cpu"),
        ({"memory": {"total_bytes": 1, "available_bytes": 2**70}}, "memory"),
    ],
)
def test_an_absurd_machine_file_is_2_with_the_field_named(
    program: Program, tmp_path: Path, change: dict[str, Any], field: str
) -> None:
    machine = program("check", "--json", HF_HUB_OFFLINE="1").document["data"]["machine"]
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({**machine, **change}))
    finished = program("recommend", "--machine", str(path), "--json")
    assert finished.code == 2
    assert field in json.dumps(finished.document["errors"])


def limited(program: Program, *arguments: str) -> Finished:
    """Run the program in a memory group of 3 GiB below one of 8 GiB."""
    inner = GROUP / "inner"
    script = f'echo $$ > {inner}/cgroup.procs && exec "$@"'
    process = subprocess.run(
        ["bash", "-c", script, "bash", *program.argv(*arguments)],
        env={**program.environment, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    return Finished(process.returncode, process.stdout, process.stderr)


@pytest.mark.skipif(
    not (os.access(GROUP.parent, os.W_OK) and (GROUP.parent / "memory.limit_in_bytes").exists()),
    reason="needs root and the memory controller of cgroup v1",
)
def test_in_a_container_its_limit_decides_and_not_the_host(program: Program) -> None:
    inner = GROUP / "inner"
    inner.mkdir(parents=True)
    try:
        (inner / "memory.limit_in_bytes").write_text(str(3 * GIB))
        (GROUP / "memory.limit_in_bytes").write_text(str(8 * GIB))
        memory = limited(program, "check", "--json").document["data"]["machine"]["memory"]
        assert memory["limit_bytes"] == 3 * GIB
        assert memory["available_bytes"] <= 3 * GIB
        choices = limited(program, "recommend", "--json").document["data"]["choices"]
        assert choices
        assert all(choice["memory"]["needed_bytes"] <= 3 * GIB for choice in choices)
    finally:
        inner.rmdir()
        GROUP.rmdir()


def test_a_context_that_is_too_long_is_answered_with_one_that_fits(
    program: Program, tmp_path: Path
) -> None:
    path = machine_file(tmp_path, program, total_bytes=32 * GIB, available_bytes=26 * GIB)
    check = ("check", "31b", "--machine", str(path), "--json", "--context")
    hint = program(*check, "256k").document["data"]["checks"][-1]["hint"]
    (context,) = [int(word.rstrip(",")) for word in hint.split() if word.rstrip(",").isdigit()]
    assert program(*check, str(context)).document["data"]["checks"][-1]["status"] != "fail"
    assert program(*check, str(2 * context)).document["data"]["checks"][-1]["status"] == "fail"
