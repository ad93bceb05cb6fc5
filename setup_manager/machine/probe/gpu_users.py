"""Who holds the memory of AMD and Intel GPUs: the kernel counts it for every open GPU handle.

Source: Linux, Documentation/gpu/drm-usage-stats.rst.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from setup_manager.machine.facts import MemoryUser
from setup_manager.machine.probe.memory import group_users, program_name
from setup_manager.machine.probe.system import MAX_BYTES, System

_DEVICES = re.compile(r"/dev/dri/(?:card|renderD)\d+$")
_MEMORY = re.compile(
    r"^drm-(?:memory|resident)-(?:vram0?|local0):\s*(\d{1,15})(?: (KiB|MiB))?$", re.MULTILINE
)
_FACTORS = {"": 1, "KiB": 1024, "MiB": 1024**2}


@dataclass(frozen=True, slots=True)
class Handle:
    """One open GPU handle.

    Attributes:
        device: PCI address, e.g. ``"0000:03:00.0"``.
        client: Handles of one client count the same memory.
        held_bytes: Memory of the GPU itself that the client holds.
    """

    device: str
    client: int
    held_bytes: int


def parse_handle(text: str) -> Handle | None:
    """Read ``/proc/PID/fdinfo/FD``; None for a handle of anything else."""
    device = re.search(r"^drm-pdev:\s*([0-9a-f:.]{7,16})$", text, re.MULTILINE)
    client = re.search(r"^drm-client-id:\s*(\d{1,12})$", text, re.MULTILINE)
    if device is None or client is None:
        return None
    amounts = (int(match[1]) * _FACTORS[match[2] or ""] for match in _MEMORY.finditer(text))
    # A driver may give the same memory under its old name and under its new one.
    return Handle(device[1], int(client[1]), min(max(amounts, default=0), MAX_BYTES))


def read_gpu_users(system: System) -> dict[str, tuple[MemoryUser, ...]]:
    """Find the programs that hold GPU memory; those of other users stay hidden without root.

    Returns:
        The users of each GPU's memory, by PCI address.
    """
    held: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for pid in system.names("/proc"):
        if pid.isdecimal():
            for device, amount in _held_by(system, pid).items():
                held[device].append((program_name(system, pid), amount))
    return {device: group_users(programs) for device, programs in held.items()}


def _held_by(system: System, pid: str) -> dict[str, int]:
    """Add up what one process holds, by GPU; each client counts once."""
    clients: dict[tuple[str, int], int] = {}
    for number in system.names(f"/proc/{pid}/fd"):
        if not _DEVICES.search(system.link_target(f"/proc/{pid}/fd/{number}")):
            continue
        handle = parse_handle(system.read(f"/proc/{pid}/fdinfo/{number}") or "")
        if handle is not None and handle.held_bytes:
            clients[handle.device, handle.client] = handle.held_bytes
    sums: dict[str, int] = defaultdict(int)
    for (device, _), amount in clients.items():
        sums[device] += amount
    return sums
