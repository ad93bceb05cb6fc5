"""macOS: chip, cores, unified memory and what of it the GPU may hold."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from setup_manager.machine.facts import (
    Finding,
    FindingKind,
    Gpu,
    Memory,
    Power,
    Processor,
    Vendor,
)
from setup_manager.machine.probe.memory import group_users
from setup_manager.machine.probe.system import MAX_BYTES, System, decimal, whole

SECONDS = 3.0
DISPLAYS = ("system_profiler", "SPDisplaysDataType", "-json")
SYSCTL = (
    "sysctl", "hw.memsize", "hw.ncpu", "hw.physicalcpu", "hw.logicalcpu", "hw.nperflevels",
    "hw.perflevel0.physicalcpu", "machdep.cpu.brand_string", "iogpu.wired_limit_mb",
    "kern.hv_vmm_present", "vm.swapusage",
    "hw.optional.AdvSIMD", "hw.optional.arm.FEAT_DotProd", "hw.optional.arm.FEAT_I8MM",
    "hw.optional.arm.FEAT_BF16", "hw.optional.arm.FEAT_SME", "hw.optional.avx2_0",
    "hw.optional.avx512f",
)  # fmt: skip
VM_STAT = ("vm_stat",)
PROCESSES = ("ps", "-axo", "rss=,comm=")
BATTERY = ("pmset", "-g", "batt")
SETTINGS = ("pmset", "-g")

_FEATURES = {
    "hw.optional.AdvSIMD": "neon", "hw.optional.arm.FEAT_DotProd": "dotprod",
    "hw.optional.arm.FEAT_I8MM": "matmul_int8", "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_SME": "sme", "hw.optional.avx2_0": "avx2",
    "hw.optional.avx512f": "avx512f",
}  # fmt: skip


def parse_sysctl(text: str) -> dict[str, str]:
    """Read ``sysctl NAME …``: one ``name: value`` a line."""
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name.strip(): value.strip() for name, separator, value in pairs if separator}


def read_sysctl(system: System) -> dict[str, str]:
    """Ask sysctl for everything at once; names that a release lacks are left out by it."""
    return parse_sysctl(system.run(SYSCTL, SECONDS).stdout)


def parse_vm_stat(text: str) -> dict[str, int]:
    """Read ``vm_stat``.

    Returns:
        Bytes by name, e.g. ``"Pages free"``.
    """
    size = re.search(r"page size of (\d{3,6}) bytes", text)
    page = int(size[1]) if size else 4096
    values: dict[str, int] = {}
    for line in text.splitlines():
        name, separator, count = line.partition(":")
        pages = whole(count.strip().removesuffix("."), highest=1 << 44)
        if separator and pages is not None:
            values[name.strip().strip('"')] = pages * page
    return values


def available_bytes(vm_stat: dict[str, int]) -> int:
    """Tell what macOS can give without compressing or swapping.

    Free, speculative and purgeable pages, and the file-backed ones, which it drops first. All
    inactive pages, as psutil counts, would include anonymous memory that must be compressed.
    """
    names = ("Pages free", "Pages speculative", "Pages purgeable")
    cached = max(vm_stat.get("File-backed pages", 0) - vm_stat.get("Pages speculative", 0), 0)
    return sum(vm_stat.get(name, 0) for name in names) + cached


_SWAP = re.compile(r"(total|free) = ([0-9.]{1,12})([KMGT])")


def parse_swap_usage(text: str) -> tuple[int, int]:
    """Read ``vm.swapusage``.

    Returns:
        Total and free, in bytes.
    """
    factors = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
    found = {
        match[1]: int((decimal(match[2]) or 0) * factors[match[3]])
        for match in _SWAP.finditer(text)
    }
    total = found.get("total", 0)
    return total, min(found.get("free", 0), total)


def parse_processes(text: str) -> list[tuple[str, int]]:
    """Read ``ps -axo rss=,comm=``.

    Returns:
        Program name and bytes of each process; the helpers of an app count as that app.
    """
    processes = []
    for line in text.splitlines():
        amount, _, command = line.strip().partition(" ")
        resident = whole(amount, highest=1 << 40)
        if resident is None:
            continue
        app = re.search(r"/([^/]+)\.app/", command)
        processes.append((app[1] if app else command.strip().rpartition("/")[2], resident * 1024))
    return processes


def read_memory(system: System) -> Memory:
    """Read main memory of a Mac."""
    sysctl = read_sysctl(system)
    total = whole(sysctl.get("hw.memsize", "")) or 0
    swap_total, swap_free = parse_swap_usage(sysctl.get("vm.swapusage", ""))
    vm_stat = parse_vm_stat(system.run(VM_STAT, SECONDS).stdout)
    return Memory(
        total_bytes=total,
        limit_bytes=None,
        available_bytes=min(available_bytes(vm_stat), total),
        source="vm_stat",
        swap_total_bytes=swap_total,
        swap_free_bytes=swap_free,
        users=group_users(parse_processes(system.run(PROCESSES, SECONDS).stdout)),
    )


def read_processor(system: System) -> Processor:
    """Read the processor of a Mac."""
    sysctl = read_sysctl(system)
    logical = whole(sysctl.get("hw.logicalcpu", sysctl.get("hw.ncpu", "")), 4096) or 1
    levels = whole(sysctl.get("hw.nperflevels", ""), 16) or 1
    big = whole(sysctl.get("hw.perflevel0.physicalcpu", ""), 4096)
    return Processor(
        model=sysctl.get("machdep.cpu.brand_string", "") or "unknown",
        physical_cores=whole(sysctl.get("hw.physicalcpu", ""), 4096) or logical,
        logical_cores=logical,
        usable_cores=float(logical),
        features=frozenset(
            feature for name, feature in _FEATURES.items() if sysctl.get(name) == "1"
        ),
        performance_cores=big if big and levels > 1 else None,
    )


@dataclass(frozen=True, slots=True)
class Display:
    """A GPU of system_profiler.

    Attributes:
        name: Chip, e.g. ``"Apple M3 Max"``.
        cores: GPU cores, None if not said.
        metal: Metal version, ``""`` without.
        vram_bytes: Own memory of an Intel Mac's card, None on Apple chips.
        builtin: Whether it is part of the chip.
    """

    name: str
    cores: int | None
    metal: str
    vram_bytes: int | None
    builtin: bool


def parse_displays(text: str) -> tuple[Display, ...]:
    """Read ``system_profiler SPDisplaysDataType -json``."""
    try:
        entries = json.loads(text)["SPDisplaysDataType"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
    if not isinstance(entries, list):
        return ()
    return tuple(_display(entry) for entry in entries if isinstance(entry, dict))


def _display(entry: dict[str, object]) -> Display:
    def field(*names: str) -> str:
        return next((str(entry[name]) for name in names if name in entry), "")

    vram = re.fullmatch(r"(\d{1,6}) (GB|MB)", field("spdisplays_vram", "_spdisplays_vram"))
    factor = {"GB": 1024**3, "MB": 1024**2}
    metal = field("spdisplays_mtlgpufamilysupport", "spdisplays_metalfamily", "spdisplays_metal")
    return Display(
        name=field("sppci_model", "_name") or "unknown",
        cores=whole(field("sppci_cores"), 4096),
        metal=metal.removeprefix("spdisplays_"),
        vram_bytes=int(vram[1]) * factor[vram[2]] if vram else None,
        builtin=field("sppci_bus") == "spdisplays_builtin",
    )


def wired_limit_bytes(total_bytes: int, limit_mb: int) -> int:
    """Tell how much of unified memory the GPU may hold.

    `iogpu.wired_limit_mb` where it is set; else macOS's own rule, two thirds of up to 36 GiB and
    three quarters of more. Source: Metal's recommendedMaxWorkingSetSize as llama.cpp logs it
    (16 GiB: 10.67, 32 GiB: 21.33, 64 GiB: 48, 128 GiB: 96).
    """
    if limit_mb > 0:
        return min(limit_mb * 1024**2, total_bytes)
    if total_bytes <= 36 * 1024**3:
        return total_bytes * 2 // 3
    return total_bytes * 3 // 4


def read_gpus(system: System, memory: Memory) -> tuple[tuple[Gpu, ...], tuple[Finding, ...]]:
    """Read the GPUs of a Mac.

    Apple's lie in the chip and share main memory up to the wired limit. Cards of Intel Macs are
    listed as what they are.
    """
    sysctl = read_sysctl(system)
    result = system.run(DISPLAYS, SECONDS)
    displays = parse_displays(result.stdout)
    chip = sysctl.get("machdep.cpu.brand_string", "")
    findings: list[Finding] = []
    if not displays:
        detail = f"system_profiler: {result.complaint}"
        findings.append(Finding("system_profiler", FindingKind.BROKEN, detail))
        if chip.startswith("Apple"):
            displays = (Display(chip, None, "", None, builtin=True),)
    limit = wired_limit_bytes(
        memory.total_bytes, whole(sysctl.get("iogpu.wired_limit_mb", ""), 1 << 40) or 0
    )
    gpus = (_gpu(display, memory, limit) for display in displays)
    return tuple(gpu for gpu in gpus if gpu is not None), tuple(findings)


def _gpu(display: Display, memory: Memory, limit: int) -> Gpu | None:
    if display.name.startswith("Apple"):
        cores = f" ({display.cores} GPU cores)" if display.cores else ""
        return Gpu(
            vendor=Vendor.APPLE,
            name=f"{display.name}{cores}",
            total_bytes=limit,
            free_bytes=min(limit, memory.available_bytes),
            unified=True,
            driver=display.metal,
            source="sysctl iogpu.wired_limit_mb and hw.memsize",
            integrated=True,
        )
    vram = min(display.vram_bytes or 0, MAX_BYTES)
    if not vram:
        return None
    lowered = display.name.lower()
    vendor = Vendor.AMD if "radeon" in lowered or "amd" in lowered else Vendor.OTHER
    vendor = Vendor.INTEL if "intel" in lowered else vendor
    vendor = Vendor.NVIDIA if "nvidia" in lowered or "geforce" in lowered else vendor
    return Gpu(
        vendor=vendor,
        name=display.name,
        total_bytes=vram,
        free_bytes=vram,
        unified=display.builtin,
        driver=display.metal,
        source="system_profiler",
        integrated=display.builtin,
    )


def parse_battery(text: str) -> tuple[bool | None, float | None]:
    """Read ``pmset -g batt``.

    Returns:
        Whether on battery (None without one), and its charge in percent.
    """
    charge = re.search(r"\b(\d{1,3})%;", text)
    if charge is None:
        return None, None
    return "'Battery Power'" in text, min(float(charge[1]), 100.0)


def read_power(system: System) -> Power:
    """Read mains, battery and Low Power Mode of a Mac."""
    on_battery, charge = parse_battery(system.run(BATTERY, SECONDS).stdout)
    settings = system.run(SETTINGS, SECONDS).stdout
    low = re.search(r"^\s*(?:lowpowermode|powermode)\s+1\b", settings, re.MULTILINE)
    laptop = charge is not None
    return Power(on_battery, "low power mode" if low else "", laptop, charge)
