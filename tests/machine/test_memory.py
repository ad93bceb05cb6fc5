"""Main memory: what is available, who holds it, swap, pressure."""

from __future__ import annotations

from pathlib import Path

import pytest

from setup_manager.machine.facts import MemoryUser
from setup_manager.machine.probe.cgroup import MemoryGroup
from setup_manager.machine.probe.memory import (
    group_users,
    host_available_bytes,
    memory_within,
    parse_meminfo,
    parse_pressure,
    parse_statm,
    parse_swaps,
    read_memory,
)
from setup_manager.machine.probe.system import LocalCommands, System
from setup_manager.platforms import this_platform
from tests.machine import recorded

MIB = 1024**2


def test_meminfo_counts_kib_as_bytes() -> None:
    assert parse_meminfo("MemTotal:  16 kB\nHugePages_Total:  3\nx: y kB\n") == {
        "MemTotal": 16384,
        "HugePages_Total": 3,
    }


def test_negative_figures_of_lxcfs_are_no_figures() -> None:
    assert "MemAvailable" not in parse_meminfo("MemAvailable: -766260 kB\n")


def test_old_kernels_without_memavailable_are_estimated() -> None:
    meminfo = {"MemFree": 10, "Buffers": 2, "Cached": 5, "SReclaimable": 1, "Shmem": 4}
    assert host_available_bytes(meminfo) == (14, "/proc/meminfo free and cached memory")


def test_host_that_says_nothing() -> None:
    assert host_available_bytes({}) is None
    assert memory_within({}, ()) == (0, None, 0, "unknown")


def test_available_never_exceeds_total() -> None:
    assert memory_within({"MemTotal": 5, "MemAvailable": 9}, ())[2] == 5


def test_container_without_a_readable_meminfo_still_knows_its_limit() -> None:
    groups = (MemoryGroup(200, 50, 10, "inner"), MemoryGroup(100, 90, 0, "outer"))
    assert memory_within({}, groups) == (100, 100, 10, "outer")


def test_users_are_added_up_by_program_and_small_ones_left_out() -> None:
    found = group_users(
        [("firefox", 90 * MIB), ("bash", 2 * MIB), ("firefox", 400 * MIB), ("code", 120 * MIB)]
    )
    assert found == (MemoryUser("firefox", 490 * MIB, 2), MemoryUser("code", 120 * MIB, 1))


def test_at_most_eight_users() -> None:
    assert len(group_users([(f"program{i}", 200 * MIB) for i in range(20)])) == 8


def test_shared_pages_do_not_count_for_a_process() -> None:
    assert parse_statm("1000 500 200 1 0 0 0\n") == 300 * 4096
    assert parse_statm("") == 0
    assert parse_statm("1 2 9") == 0


def test_children_of_firefox_are_firefox(tmp_path: Path) -> None:
    pages = 200 * MIB // 4096
    files = {
        "/proc/self/stat": "1 (gemma) R",
        "/proc/1/statm": f"1 {pages} 0",
        "/proc/1/comm": "gemma\n",
        "/proc/10/statm": f"1 {pages} 0",
        "/proc/10/comm": "firefox\n",
        "/proc/11/statm": f"1 {pages} 0",
        "/proc/11/comm": "Isolated Web Co\n",
        "/proc/uptime": "1 1",
    }
    recording = {"files": files, "os": "linux", "arch": "x86_64", "version": ""}
    found = read_memory(recorded.build(recording, tmp_path))
    assert found.users == (MemoryUser("firefox", 400 * MIB, 2),)


def test_zram_is_told_from_swap_on_a_disk() -> None:
    text = (
        "Filename\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        "/dev/zram0                              partition\t8388604\t\t0\t\t100\n"
        "/swapfile                               file\t\t2097148\t\t0\t\t-2\n"
    )
    assert parse_swaps(text) == 8388604 * 1024


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        ("some avg10=12.34 avg60=1.00 avg300=0.00 total=9\nfull avg10=1.00", 12.34),
        ("full avg10=1.00", None),
        ("some avg10=900.0", None),
        ("", None),
    ],
)
def test_pressure(text: str, percent: float | None) -> None:
    assert parse_pressure(text) == percent


@pytest.mark.skipif(this_platform().os != "linux", reason="Linux only")
def test_this_machine_has_memory() -> None:
    found = read_memory(System(Path("/"), LocalCommands(), this_platform()))
    assert 0 < found.available_bytes <= found.total_bytes
    assert found.limit_bytes is None or found.available_bytes <= found.limit_bytes
