"""Main memory on Linux: what there is, what a container leaves of it, who holds it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from setup_manager.machine.facts import Memory, MemoryUser
from setup_manager.machine.probe.cgroup import MemoryGroup, read_memory_groups
from setup_manager.machine.probe.system import System, decimal, whole

MAX_USERS = 8
SMALLEST_USER_BYTES = 100 * 1024 * 1024
PAGE_BYTES = 4096


def parse_meminfo(text: str) -> dict[str, int]:
    """Read ``/proc/meminfo``.

    Source: proc_meminfo(5); its ``kB`` are KiB.

    Returns:
        Bytes by name.
    """
    values: dict[str, int] = {}
    for line in text.splitlines():
        name, separator, rest = line.partition(":")
        number, _, unit = rest.strip().partition(" ")
        amount = whole(number, highest=1 << 50)
        if separator and amount is not None:
            values[name.strip()] = amount * (1024 if unit.strip() == "kB" else 1)
    return values


def host_available_bytes(meminfo: dict[str, int]) -> tuple[int, str] | None:
    """Tell what the host can give without swapping.

    Kernels before 3.14 and WSL 1 have no MemAvailable; then free memory and the caches that can
    be dropped stand in for it.

    Returns:
        Bytes and where they come from; None where the host says nothing.
    """
    if "MemAvailable" in meminfo:
        return meminfo["MemAvailable"], "/proc/meminfo MemAvailable"
    if "MemFree" not in meminfo:
        return None
    names = ("MemFree", "Buffers", "Cached", "SReclaimable")
    estimate = sum(meminfo.get(name, 0) for name in names) - meminfo.get("Shmem", 0)
    return max(estimate, 0), "/proc/meminfo free and cached memory"


def memory_within(
    meminfo: dict[str, int], groups: Iterable[MemoryGroup]
) -> tuple[int, int | None, int, str]:
    """Bound the host's memory by the groups that this process is in.

    The limit is the lowest among all ancestors; what is available is the smallest headroom, which
    can be that of another one: an ancestor with a high limit may be full of siblings.

    Returns:
        Total, limit (None without one), available, all in bytes, and where available comes from.
    """
    total = meminfo.get("MemTotal", 0)
    host = host_available_bytes(meminfo)
    # A limit at or above the machine's memory is none: v1's "unlimited" is one of those.
    bounds = [
        (group.limit_bytes, group.headroom_bytes, group.source)
        for group in groups
        if group.limit_bytes is not None
        and group.headroom_bytes is not None
        and not 0 < total <= group.limit_bytes
    ]
    limit = min((bound[0] for bound in bounds), default=None)
    total = total or limit or 0
    candidates = [(headroom, source) for _, headroom, source in bounds]
    candidates += [host] if host is not None else []
    available, source = min(candidates, key=lambda pair: pair[0], default=(0, "unknown"))
    return total, limit, min(available, total), source


_ZRAM = re.compile(r"/(?:dev/)?zram\d+")


def parse_swaps(text: str) -> int:
    """Sum the zram devices in ``/proc/swaps``.

    Returns:
        Bytes of swap that lie compressed in main memory itself.
    """
    total = 0
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 3 and _ZRAM.fullmatch(fields[0]):
            total += (whole(fields[2], highest=1 << 50) or 0) * 1024
    return total


def parse_pressure(text: str) -> float | None:
    """Read ``some avg10`` of a PSI file, in percent.

    Source: Linux, Documentation/accounting/psi.rst.
    """
    match = re.search(r"^some avg10=([0-9.]{1,10})", text, re.MULTILINE)
    share = decimal(match[1]) if match else None
    return share if share is not None and 0 <= share <= 100 else None


def parse_statm(text: str, page_bytes: int = PAGE_BYTES) -> int:
    """Read what a process holds for itself from ``/proc/PID/statm``.

    Resident pages without the shared ones: the processes of a browser share much, which summing
    resident sets would count once for each, and mapped files can be dropped.

    Returns:
        Bytes.
    """
    fields = text.split()
    if len(fields) < 3:
        return 0
    resident, shared = whole(fields[1], 1 << 48), whole(fields[2], 1 << 48)
    return max((resident or 0) - (shared or 0), 0) * page_bytes


def group_users(processes: Iterable[tuple[str, int]]) -> tuple[MemoryUser, ...]:
    """Add up processes of one program.

    Args:
        processes: Program name and bytes held, for each process.

    Returns:
        The programs above 100 MiB, largest first, at most eight.
    """
    sums: dict[str, list[int]] = defaultdict(list)
    for name, held in processes:
        sums[name].append(held)
    users = [MemoryUser(name, sum(held), len(held)) for name, held in sums.items()]
    big = [user for user in users if user.resident_bytes >= SMALLEST_USER_BYTES]
    return tuple(sorted(big, key=lambda user: (-user.resident_bytes, user.name))[:MAX_USERS])


def read_users(system: System) -> tuple[MemoryUser, ...]:
    """Find the biggest users of memory, this process left out."""
    own = system.read_word("/proc/self/stat").partition(" ")[0]
    processes = []
    for pid in system.names("/proc"):
        if not pid.isdecimal() or pid == own:
            continue
        held = parse_statm(system.read(f"/proc/{pid}/statm") or "")
        if held:
            processes.append((program_name(system, pid), held))
    return group_users(processes)


_BROWSER_CHILDREN = {"Isolated Web Co": "firefox", "Web Content": "firefox"}


def program_name(system: System, pid: str) -> str:
    """Name the program of a process; Firefox's children carry names of their own."""
    name = system.read_word(f"/proc/{pid}/comm") or f"process {pid}"
    return _BROWSER_CHILDREN.get(name, name)


def read_memory(system: System) -> Memory:
    """Read main memory as this process may use it."""
    meminfo = parse_meminfo(system.read("/proc/meminfo") or "")
    total, limit, available, source = memory_within(meminfo, read_memory_groups(system))
    return Memory(
        total_bytes=total,
        limit_bytes=limit,
        available_bytes=available,
        source=source,
        swap_total_bytes=meminfo.get("SwapTotal", 0),
        swap_free_bytes=min(meminfo.get("SwapFree", 0), meminfo.get("SwapTotal", 0)),
        pressure_percent=parse_pressure(system.read("/proc/pressure/memory") or ""),
        users=read_users(system),
        zram_bytes=parse_swaps(system.read("/proc/swaps") or ""),
    )
