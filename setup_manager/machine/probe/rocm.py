"""AMD GPUs through rocm-smi, where the kernel's own files cannot be seen (ROCm under WSL)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from setup_manager.machine.probe.pci import parse_hex
from setup_manager.machine.probe.system import System, whole

NAME = "rocm-smi"
COMMAND = ("rocm-smi", "--showproductname", "--showmeminfo", "all", "--json")
SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class AmdMemory:
    """What rocm-smi, or the kernel itself, says of a GPU and its two pools of memory.

    Attributes:
        name: Marketing name, ``""`` if not said.
        device_id: PCI device, 0 if not said.
        vram_bytes: Its own memory, or an APU's carve-out.
        vram_used_bytes: Of it, in use.
        lent_bytes: Main memory lent to it at most (GTT).
        lent_used_bytes: Of it, in use.
    """

    name: str
    device_id: int
    vram_bytes: int
    vram_used_bytes: int
    lent_bytes: int
    lent_used_bytes: int


def parse_cards(text: str) -> tuple[AmdMemory, ...]:
    """Read ``rocm-smi … --json``; warnings before the JSON are skipped."""
    try:
        document = json.loads(text[text.index("{") :])
    except (ValueError, RecursionError):
        return ()
    entries = document.items() if isinstance(document, dict) else ()
    return tuple(
        _card(fields)
        for name, fields in entries
        if name.startswith("card") and isinstance(fields, dict)
    )


def _card(fields: dict[str, Any]) -> AmdMemory:
    # Releases differ in the case of these keys.
    known = {str(key).lower(): str(value) for key, value in fields.items()}

    def amount(key: str) -> int:
        return whole(known.get(key, "")) or 0

    return AmdMemory(
        name=known.get("card series", ""),
        device_id=parse_hex(known.get("card model", "")) or 0,
        vram_bytes=amount("vram total memory (b)"),
        vram_used_bytes=amount("vram total used memory (b)"),
        lent_bytes=amount("gtt total memory (b)"),
        lent_used_bytes=amount("gtt total used memory (b)"),
    )


def read_cards(system: System) -> tuple[AmdMemory, ...]:
    """Ask rocm-smi; empty where it is not there or says nothing."""
    return parse_cards(system.run(COMMAND, SECONDS).stdout)
