"""The processor: cores that may be used, features in llama.cpp's words, big and little ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from setup_manager.machine.facts import Processor
from setup_manager.machine.probe.cpu import (
    big_arm_threads,
    big_ones,
    last_level_cache_bytes,
    model_name,
    parse_cpuinfo,
    physical_cores,
    processor_features,
    read_processor,
)
from setup_manager.machine.probe.system import LocalCommands, System
from setup_manager.platforms import this_platform
from tests.machine import recorded


def processor(folder: Path, files: Mapping[str, str]) -> Processor:
    recording = {"files": files, "os": "linux", "arch": "x86_64", "version": ""}
    return read_processor(recorded.build(recording, folder))


def cpuinfo(threads: int, per_core: int = 2, flags: str = "avx avx2") -> str:
    return "\n".join(
        f"processor\t: {i}\nmodel name\t: Some  CPU\nphysical id\t: 0\n"
        f"core id\t\t: {i // per_core}\nflags\t\t: {flags}\n"
        for i in range(threads)
    )


def test_hyper_threads_are_no_cores(tmp_path: Path) -> None:
    found = processor(tmp_path, {"/proc/cpuinfo": cpuinfo(8)})
    assert (found.physical_cores, found.logical_cores, found.usable_cores) == (4, 8, 8.0)
    assert found.model == "Some CPU"
    assert found.performance_cores is None


def test_affinity_and_quota_leave_less(tmp_path: Path) -> None:
    files = {"/proc/cpuinfo": cpuinfo(8), "/proc/self/status": "Cpus_allowed_list:\t0-2,7\n"}
    assert processor(tmp_path / "a", files).usable_cores == 4.0
    files |= {
        "/proc/self/mountinfo": "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
        "/proc/self/cgroup": "0::/\n",
        "/sys/fs/cgroup/cpu.max": "250000 100000\n",
    }
    assert processor(tmp_path / "b", files).usable_cores == 2.5


def test_intel_hybrid_counts_its_big_cores(tmp_path: Path) -> None:
    files = {
        "/proc/cpuinfo": cpuinfo(6, per_core=1),
        "/sys/devices/cpu_core/cpus": "0-3\n",
        "/sys/devices/cpu_atom/cpus": "4-5\n",
        **{
            f"/sys/devices/system/cpu/cpu{i}/topology/thread_siblings_list": (
                f"{i // 2 * 2}-{i // 2 * 2 + 1}\n" if i < 4 else f"{i}\n"
            )
            for i in range(6)
        },
    }
    assert processor(tmp_path, files).performance_cores == 2


def test_server_of_one_kind_of_core_is_no_hybrid(tmp_path: Path) -> None:
    files = {"/proc/cpuinfo": cpuinfo(4), "/sys/devices/cpu_core/cpus": "0-3\n"}
    assert processor(tmp_path, files).performance_cores is None


def test_scheduler_capacity_tells_big_from_little(tmp_path: Path) -> None:
    capacities = {0: 446, 1: 446, 2: 1024, 3: 871}
    files = {
        f"/sys/devices/system/cpu/cpu{i}/cpu_capacity": f"{value}\n"
        for i, value in capacities.items()
    }
    files["/proc/cpuinfo"] = cpuinfo(4, per_core=1)
    assert processor(tmp_path, files).performance_cores == 2


def test_cores_that_differ_little_are_all_big() -> None:
    assert big_ones({0: 1024, 1: 1000}) == ()
    assert big_ones({}) == ()
    assert big_ones({0: 100, 1: 1024}) == (1,)


def test_little_parts_alone_are_no_hybrid() -> None:
    little = {"processor": "0", "CPU part": "0xd05"}
    big = {"processor": "1", "CPU part": "0xd0b"}
    assert big_arm_threads((little, little)) == ()
    assert big_arm_threads((big,)) == ()
    assert big_arm_threads((little, big)) == (1,)


def test_features_are_those_that_every_core_has(tmp_path: Path) -> None:
    text = cpuinfo(2, flags="avx2 avx512f") + "\n" + cpuinfo(1, flags="avx2").replace(": 0", ": 2")
    assert processor(tmp_path, {"/proc/cpuinfo": text}).features == {"avx2"}


def test_feature_names_are_llama_cpps() -> None:
    flags = "fpu pni avx512_vnni avx512vbmi amx_int8 avx_vnni"
    assert processor_features({"flags": flags}) == {
        "sse3",
        "avx512_vnni",
        "avx512_vbmi",
        "amx_int8",
        "avx_vnni",
    }
    arm = processor_features({"Features": "asimd asimddp i8mm sve bf16"})
    assert arm == {"neon", "dotprod", "matmul_int8", "sve", "bf16"}


def test_unreadable_proc_still_gives_one_core(tmp_path: Path) -> None:
    found = processor(tmp_path, {})
    assert (found.model, found.physical_cores, found.usable_cores) == ("unknown", 1, 1.0)


def test_name_of_an_arm_board_comes_with_its_cores() -> None:
    assert model_name(({"CPU part": "0xd0b"},), "My Board") == "My Board (Cortex-A76)"
    assert model_name(({"CPU part": "0xfff"},), "My Board") == "My Board"
    assert model_name((), "") == "unknown"


def test_cpuinfo_without_core_ids_says_nothing_of_cores() -> None:
    assert physical_cores(parse_cpuinfo("processor : 0\n\nprocessor : 1\n")) is None


def test_two_sockets_of_equal_core_numbers_are_two_times_as_many() -> None:
    text = "processor: 0\nphysical id: 0\ncore id: 0\n\nprocessor: 1\nphysical id: 1\ncore id: 0\n"
    assert physical_cores(parse_cpuinfo(text)) == 2


def test_shared_caches_count_once(tmp_path: Path) -> None:
    files = {}
    for cpu in range(4):
        folder = f"/sys/devices/system/cpu/cpu{cpu}/cache/index3"
        files[f"{folder}/size"] = "32768K\n"
        files[f"{folder}/shared_cpu_list"] = f"{cpu // 2 * 2}-{cpu // 2 * 2 + 1}\n"
    recording = {"files": files, "os": "linux", "arch": "x86_64", "version": ""}
    assert last_level_cache_bytes(recorded.build(recording, tmp_path)) == 2 * 32768 * 1024


def test_this_machine_has_cores() -> None:
    if this_platform().os != "linux":
        return
    found = read_processor(System(Path("/"), LocalCommands(), this_platform()))
    assert 1 <= found.physical_cores <= found.logical_cores
    assert 0 < found.usable_cores <= found.logical_cores
