"""The machine document: masked on the way out, distrusted on the way in, exact both ways."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.codec import to_plain
from setup_manager.errors import UsageError
from setup_manager.machine.document import from_document
from setup_manager.machine.facts import (
    Bandwidth,
    Basis,
    Container,
    Disk,
    Finding,
    FindingKind,
    Gpu,
    Machine,
    Memory,
    MemoryUser,
    Power,
    Processor,
    Thermal,
    Vendor,
)
from setup_manager.privacy import mask, mask_document

GIB = 1024**3


def to_document(machine: Machine, private: tuple[str, ...] = ()) -> Any:
    return mask_document(to_plain(machine), private)


sizes = st.integers(0, 1 << 60)
texts = st.text(st.characters(exclude_characters="/\\", codec="utf-8"), max_size=30)
flags = st.booleans()
rates = st.floats(1e6, 1e15)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


users = st.lists(st.builds(MemoryUser, texts, sizes, st.integers(1, 1000)), max_size=3).map(tuple)


@st.composite
def parts_of(draw: st.DrawFn) -> tuple[int, int]:
    total = draw(sizes)
    return total, draw(st.integers(0, total))


@st.composite
def processors(draw: st.DrawFn) -> Processor:
    logical = draw(st.integers(1, 1024))
    physical = draw(st.integers(1, logical))
    return Processor(
        model=draw(texts),
        physical_cores=physical,
        logical_cores=logical,
        usable_cores=draw(st.floats(0.001, logical)),
        features=frozenset(draw(st.lists(texts, max_size=5))),
        performance_cores=draw(maybe(st.integers(1, physical))),
        numa_nodes=draw(st.integers(1, 64)),
    )


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    total = draw(st.integers(1, 1 << 60))
    swap, swap_free = draw(parts_of())
    return Memory(
        total_bytes=total,
        limit_bytes=draw(maybe(sizes)),
        available_bytes=draw(st.integers(0, total)),
        source=draw(texts),
        swap_total_bytes=swap,
        swap_free_bytes=swap_free,
        pressure_percent=draw(maybe(st.floats(0, 100))),
        users=draw(users),
        zram_bytes=draw(sizes),
    )


@st.composite
def gpus(draw: st.DrawFn) -> Gpu:
    total, free = draw(parts_of())
    return Gpu(
        vendor=draw(st.sampled_from(Vendor)),
        name=draw(texts),
        total_bytes=total,
        free_bytes=free,
        unified=draw(flags),
        driver=draw(texts),
        source=draw(texts),
        bandwidth_bytes_per_second=draw(maybe(rates)),
        integrated=draw(flags),
        users=draw(users),
        carve_out_bytes=draw(maybe(sizes)),
        lent_bytes=draw(maybe(sizes)),
    )


@st.composite
def disks(draw: st.DrawFn) -> Disk:
    total, free = draw(parts_of())
    return Disk(
        path=draw(texts),
        free_bytes=free,
        total_bytes=total,
        filesystem=draw(texts),
        device=draw(texts),
        network=draw(flags),
        rotational=draw(maybe(flags)),
        purpose=draw(texts),
        writable=draw(flags),
        file_size_limit_bytes=draw(maybe(sizes)),
    )


machines = st.builds(
    Machine,
    os=texts,
    os_version=texts,
    arch=texts,
    cpu=processors(),
    memory=memories(),
    memory_bandwidth_bytes_per_second=st.builds(Bandwidth, rates, st.sampled_from(Basis)),
    gpus=st.lists(gpus(), max_size=3).map(tuple),
    disks=st.lists(disks(), max_size=3).map(tuple),
    power=st.builds(Power, maybe(flags), texts, maybe(flags), maybe(st.floats(0, 100))),
    thermal=st.builds(Thermal, maybe(st.floats(-50, 150)), maybe(st.integers(0, 10**9))),
    container=st.builds(
        Container, texts, st.integers(0, 2), texts, texts,
        st.lists(texts, max_size=3).map(tuple), flags,
    ),
    findings=st.lists(
        st.builds(Finding, texts, st.sampled_from(FindingKind), texts, texts), max_size=3
    ).map(tuple),
)  # fmt: skip


@given(machines)
@settings(deadline=None, max_examples=60)
def test_every_field_survives_the_way_through_json(machine: Machine) -> None:
    document = json.loads(json.dumps(to_document(machine)))
    assert from_document(document) == machine


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(json_values)
@settings(deadline=None, max_examples=60)
def test_any_json_is_a_machine_or_a_usage_error(document: object) -> None:
    with pytest.raises(UsageError):
        from_document(document)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in entries:
            found += places(entry, (*path, key))
    return found


def example() -> Machine:
    return Machine(
        os="linux",
        os_version="6.1",
        arch="x86_64",
        cpu=Processor("CPU", 4, 8, 6.5, frozenset({"avx2"}), 2, 1),
        memory=Memory(
            32 * GIB, 16 * GIB, 8 * GIB, "cgroup v2 memory.max", 2 * GIB, GIB, 1.5,
            (MemoryUser("firefox", 3 * GIB, 9),), 0,
        ),
        memory_bandwidth_bytes_per_second=Bandwidth(30e9, Basis.MEASURED),
        gpus=(
            Gpu(
                Vendor.NVIDIA, "RTX 3060", 12 * GIB, 9 * GIB, unified=False, driver="570",
                source="nvidia-smi", bandwidth_bytes_per_second=360e9,
                users=(MemoryUser("ollama", GIB, 1),),
            ),
        ),
        disks=(Disk("/home/anna/models", 10, 20, "ext4", "/dev/sda2"),),
        power=Power(on_battery=True, mode="balanced", laptop=True, charge_percent=50.0),
        thermal=Thermal(60.0, 3),
        container=Container("docker", 0, "kvm", "", ("HTTPS_PROXY",), clock_plausible=True),
        findings=(Finding("amdgpu", FindingKind.NOT_FOUND, "no GPU of amd"),),
    )  # fmt: skip


ALL_PLACES = places(to_document(example()))


@pytest.mark.parametrize("path", ALL_PLACES, ids=lambda path: ".".join(map(str, path)))
def test_wrong_type_is_refused_and_the_field_named(path: tuple[Any, ...]) -> None:
    document = to_document(example())
    target = document
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = {"not": "a value"} if not isinstance(target[path[-1]], dict) else "text"
    with pytest.raises(UsageError) as refused:
        from_document(document)
    assert refused.value.exit_code == 2
    named = ".".join(str(key) for key in path if not isinstance(key, int))
    assert named.split(".")[-1] in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("memory.total_bytes", -1),
        ("memory.total_bytes", 0),
        ("memory.total_bytes", (1 << 60) + 1),
        ("memory.total_bytes", 1.5),
        ("memory.total_bytes", True),
        ("memory.total_bytes", "32"),
        ("memory.total_bytes", None),
        ("memory.available_bytes", 33 * GIB),
        ("memory.limit_bytes", 1 << 61),
        ("memory.swap_free_bytes", 3 * GIB),
        ("memory.pressure_percent", 101),
        ("memory.pressure_percent", math.nan),
        ("memory_bandwidth_bytes_per_second.value", math.inf),
        ("memory_bandwidth_bytes_per_second.value", math.nan),
        ("memory_bandwidth_bytes_per_second.value", -5.0),
        ("memory_bandwidth_bytes_per_second.source", "a dream"),
        ("cpu.physical_cores", 0),
        ("cpu.physical_cores", 9),
        ("cpu.usable_cores", 0),
        ("cpu.usable_cores", 9),
        ("cpu.performance_cores", 5),
        ("gpus.0.free_bytes", 13 * GIB),
        ("gpus.0.vendor", "acme"),
        ("gpus.0.total_bytes", -1),
        ("disks.0.free_bytes", 21),
        ("container.wsl", 3),
        ("findings.0.kind", "odd"),
        ("cpu.model", "x" * 1001),
        ("power.charge_percent", 101),
    ],
)
def test_absurd_value_is_refused_and_the_field_named(path: str, value: object) -> None:
    document = to_document(example())
    *parents, last = path.split(".")
    target: Any = document
    for key in parents:
        target = target[int(key)] if key.isdecimal() else target[key]
    target[last] = value
    with pytest.raises(UsageError, match="machine file") as refused:
        from_document(document)
    assert path.replace(".0", "[0]") in refused.value.message


@pytest.mark.parametrize(
    "path",
    ["os", "arch", "cpu", "cpu.model", "cpu.physical_cores", "cpu.logical_cores", "memory",
     "memory.total_bytes", "memory.available_bytes", "gpus", "gpus.0.name",
     "gpus.0.total_bytes", "gpus.0.vendor", "disks.0.path",
     "memory_bandwidth_bytes_per_second", "memory_bandwidth_bytes_per_second.value"],
)  # fmt: skip
def test_missing_field_is_named(path: str) -> None:
    document = to_document(example())
    *parents, last = path.split(".")
    target: Any = document
    for key in parents:
        target = target[int(key)] if key.isdecimal() else target[key]
    del target[last]
    with pytest.raises(UsageError) as refused:
        from_document(document)
    assert f"{path.replace('.0', '[0]')} is missing" in refused.value.message


def test_a_card_is_described_by_vendor_name_and_memory() -> None:
    document = to_document(example())
    document["gpus"] = [{"vendor": "nvidia", "name": "RTX 4060 Ti", "total_bytes": 16 * GIB}]
    (gpu,) = from_document(document).gpus
    assert (gpu.free_bytes, gpu.unified, gpu.integrated) == (16 * GIB, False, False)


def test_document_of_the_contract_alone_is_enough() -> None:
    document = {
        "os": "linux", "arch": "x86_64",
        "cpu": {"model": "m", "physical_cores": 2, "logical_cores": 4, "features": ["avx2"]},
        "memory": {"total_bytes": 9, "limit_bytes": None, "available_bytes": 5, "source": "s",
                   "swap_total_bytes": 0},
        "gpus": [{"vendor": "apple", "name": "M1", "total_bytes": 9, "free_bytes": 9,
                  "unified": True, "driver": "", "source": ""}],
        "memory_bandwidth_bytes_per_second": {"value": 5e10, "source": "measured here"},
        "disks": [{"path": "/", "free_bytes": 1, "total_bytes": 2, "filesystem": "ext4"}],
        "power": {"on_battery": None, "mode": ""}, "thermal": {}, "container": {"kind": "none"},
    }  # fmt: skip
    machine = from_document(document)
    assert machine.cpu.usable_cores == 4.0
    assert machine.gpus[0].integrated
    assert machine.memory.limit_bytes is None


def test_contract_names_its_fields() -> None:
    document = to_document(example())
    assert {"model", "physical_cores", "logical_cores", "features"} <= set(document["cpu"])
    assert {
        "total_bytes", "limit_bytes", "available_bytes", "source", "swap_total_bytes"
    } <= set(document["memory"])  # fmt: skip
    assert {
        "vendor", "name", "total_bytes", "free_bytes", "unified", "driver", "source"
    } <= set(document["gpus"][0])  # fmt: skip
    assert set(document["memory_bandwidth_bytes_per_second"]) == {"value", "source"}
    assert {"path", "free_bytes", "total_bytes", "filesystem"} <= set(document["disks"][0])
    assert {"on_battery", "mode"} <= set(document["power"])
    assert "kind" in document["container"]


def test_unknown_fields_are_ignored() -> None:
    document = to_document(example())
    expected = from_document(copy.deepcopy(document))
    document["future"] = {"x": 1}
    document["gpus"][0]["colour"] = "green"
    assert from_document(document) == expected


def test_whole_answer_of_check_is_taken_too() -> None:
    document = to_document(example())
    answer = {"schema": 1, "command": "check", "data": {"machine": document, "checks": []}}
    assert from_document(answer) == from_document(document)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("/home/anna/models", "~/models"),
        ("/Users/anna", "~"),
        ("/var/home/anna/x", "~/x"),
        ("/root/.cache", "~/.cache"),
        ("/rootfs/x", "/rootfs/x"),
        ("C:\\Users\\anna\\models", "~\\models"),
        ("/mnt/c/Users/anna/models", "/mnt/c/Users/~/models"),
        ("/run/media/anna/stick", "/run/media/~/stick"),
        ("cannot read /home/anna/x: denied", "cannot read ~/x: denied"),
        ("/data/models", "/data/models"),
    ],
)
def test_home_folders_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked
    assert mask(masked) == masked


def test_private_words_are_hidden_wherever_they_stand_alone() -> None:
    assert mask("on annas-laptop by anna, annals", ("anna", "annas-laptop")) == (
        "on *** by ***, annals"
    )
    assert mask("a b", ("",)) == "a b"


def test_no_name_is_left_anywhere_in_a_document() -> None:
    machine = example()
    text = json.dumps(to_document(machine, private=("firefox",)))
    assert "anna" not in text
    assert "firefox" not in text


@pytest.mark.parametrize("user", ["linux", "nvidia", "docker", "kvm", "cpu"])
def test_user_with_the_name_of_a_thing_does_no_harm(user: str) -> None:
    machine = example()
    found = from_document(to_document(machine, private=(user,)))
    assert (found.os, found.gpus, found.container) == (
        machine.os,
        machine.gpus,
        machine.container,
    )


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=60)
def test_masking_twice_is_masking_once(text: str) -> None:
    assert mask(mask(text)) == mask(text)
