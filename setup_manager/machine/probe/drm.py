"""AMD and Intel GPUs on Linux, as the kernel shows them under ``/sys/class/drm``."""

from __future__ import annotations

import re
from dataclasses import replace

from setup_manager.machine.facts import Finding, FindingKind, Gpu, Memory, MemoryUser, Vendor
from setup_manager.machine.probe import rocm
from setup_manager.machine.probe.gpu_users import read_gpu_users
from setup_manager.machine.probe.pci import has_display_device, parse_hex
from setup_manager.machine.probe.rocm import AmdMemory
from setup_manager.machine.probe.system import MAX_BYTES, System
from setup_manager.machine.probe.vulkan import VulkanDevice

AMD_PCI_VENDOR = 0x1002
INTEL_PCI_VENDOR = 0x8086
_CARD = re.compile(r"card\d+")

AMD_INTEGRATED = {
    # PCI device → name. Source: Linux, amdgpu (devices of the APU families); libdrm amdgpu.ids.
    0x15DD: "Radeon Vega (Raven)", 0x15D8: "Radeon Vega (Picasso)",
    0x1636: "Radeon Graphics (Renoir)", 0x164C: "Radeon Graphics (Lucienne)",
    0x1638: "Radeon Graphics (Cezanne)", 0x163F: "Custom GPU 0405 (Van Gogh)",
    0x1435: "Custom GPU 0932 (Sephiroth)", 0x164E: "Radeon Graphics (Raphael)",
    0x13C0: "Radeon Graphics (Granite Ridge)", 0x1681: "Radeon 680M",
    0x1506: "Radeon 610M", 0x15BF: "Radeon 780M", 0x1900: "Radeon 780M", 0x15C8: "Radeon 740M",
    0x1901: "Radeon 740M", 0x150E: "Radeon 890M", 0x1114: "Radeon 860M",
    0x1586: "Radeon 8060S",
}  # fmt: skip


def read_drm(
    system: System, memory: Memory, vulkan: tuple[VulkanDevice, ...]
) -> tuple[tuple[Gpu, ...], tuple[Finding, ...]]:
    """Read every AMD and Intel GPU.

    Args:
        system: The machine.
        memory: Main memory, which integrated GPUs share.
        vulkan: What Vulkan says, for names and kinds.

    Returns:
        The GPUs, never added up, and what went wrong.
    """
    gpus: list[Gpu] = []
    findings: list[Finding] = []
    users: dict[str, tuple[MemoryUser, ...]] | None = None
    for card in system.names("/sys/class/drm"):
        if not _CARD.fullmatch(card):
            continue
        folder = f"/sys/class/drm/{card}/device"
        vendor = parse_hex(system.read_word(f"{folder}/vendor"))
        device_id = parse_hex(system.read_word(f"{folder}/device")) or 0
        device = _matching(vulkan, vendor or 0, device_id)
        if vendor == AMD_PCI_VENDOR:
            gpu = _amd(system, folder, device_id, device, memory)
        elif vendor == INTEL_PCI_VENDOR:
            gpu = _intel(system, f"/sys/class/drm/{card}", device_id, device, memory)
            findings += [] if gpu else [_hidden_memory(device_id)]
        else:
            continue
        if gpu is not None:
            users = read_gpu_users(system) if users is None else users
            gpus.append(replace(gpu, users=users.get(_address(system, folder), ())))
    if not any(gpu.vendor is Vendor.AMD for gpu in gpus):
        gpus += _from_rocm(system, memory)
    findings += _missing(system, gpus) if not findings else []
    return tuple(gpus), tuple(findings)


def _address(system: System, folder: str) -> str:
    match = re.search(r"^PCI_SLOT_NAME=(\S+)$", system.read(f"{folder}/uevent") or "", re.MULTILINE)
    return match[1] if match else ""


def _matching(vulkan: tuple[VulkanDevice, ...], vendor: int, device_id: int) -> VulkanDevice | None:
    same = (entry for entry in vulkan if (entry.vendor_id, entry.device_id) == (vendor, device_id))
    return next(same, None)


def _hidden_memory(device_id: int) -> Finding:
    return Finding(
        "intel-gpu",
        FindingKind.BROKEN,
        f"the Intel card {device_id:04x} does not report its memory size",
        "turn on resizable BAR in the BIOS (also called Above 4G decoding)",
    )


def _missing(system: System, gpus: list[Gpu]) -> list[Finding]:
    findings = []
    for vendor, number, probe, driver in (
        (Vendor.AMD, AMD_PCI_VENDOR, "amdgpu", "amdgpu"),
        (Vendor.INTEL, INTEL_PCI_VENDOR, "intel-gpu", "-e i915 -e xe"),
    ):
        if any(gpu.vendor is vendor for gpu in gpus):
            continue
        if has_display_device(system, number):
            detail = f"a GPU of {vendor.value} was found, but its memory size is unknown"
            hint = f"load its kernel driver; `sudo dmesg | grep -i {driver}` shows what is wrong"
            findings.append(Finding(probe, FindingKind.BROKEN, detail, hint))
        else:
            findings.append(Finding(probe, FindingKind.NOT_FOUND, f"no GPU of {vendor.value}"))
    return findings


def _amd(
    system: System, folder: str, device_id: int, vulkan: VulkanDevice | None, memory: Memory
) -> Gpu | None:
    card = AmdMemory(
        name=_amd_name(system, folder, device_id, vulkan),
        device_id=device_id,
        vram_bytes=system.read_whole(f"{folder}/mem_info_vram_total") or 0,
        vram_used_bytes=system.read_whole(f"{folder}/mem_info_vram_used") or 0,
        lent_bytes=system.read_whole(f"{folder}/mem_info_gtt_total") or 0,
        lent_used_bytes=system.read_whole(f"{folder}/mem_info_gtt_used") or 0,
    )
    integrated = _amd_is_integrated(system, folder, device_id, vulkan)
    driver = vulkan.driver if vulkan else system.read_word("/sys/module/amdgpu/version")
    return amd_gpu(card, memory, integrated=integrated, driver=driver, source="sysfs mem_info")


def amd_gpu(
    card: AmdMemory, memory: Memory, *, integrated: bool, driver: str, source: str
) -> Gpu | None:
    """Describe an AMD GPU by its two pools: memory of its own, and what the driver lends it.

    A model lies in one pool, so they are not added up. An APU's carve-out is no longer part of
    main memory: where it is the larger pool, the GPU behaves like a card with slow memory.

    Returns:
        The GPU, None where it has no memory at all.
    """
    unified = integrated and card.lent_bytes > card.vram_bytes
    total = card.lent_bytes if unified else card.vram_bytes
    if unified and memory.total_bytes:
        # The driver may be told to lend more than there is (`amdgpu.gttsize`).
        total = min(total, memory.total_bytes)
    held = card.lent_used_bytes if unified else card.vram_used_bytes
    if not total:
        return None
    free = max(total - held, 0)
    return Gpu(
        vendor=Vendor.AMD,
        name=card.name or AMD_INTEGRATED.get(card.device_id, f"AMD GPU {card.device_id:04x}"),
        total_bytes=total,
        free_bytes=min(free, memory.available_bytes) if unified else free,
        unified=unified,
        driver=driver,
        source=source,
        integrated=integrated,
        carve_out_bytes=card.vram_bytes if integrated else None,
        lent_bytes=card.lent_bytes if integrated else None,
    )


def _from_rocm(system: System, memory: Memory) -> list[Gpu]:
    found = (
        amd_gpu(
            card,
            memory,
            integrated=card.device_id in AMD_INTEGRATED,
            driver="",
            source=rocm.NAME,
        )
        for card in rocm.read_cards(system)
    )
    return [gpu for gpu in found if gpu is not None]


def _amd_name(system: System, folder: str, device_id: int, vulkan: VulkanDevice | None) -> str:
    if vulkan is not None:
        return vulkan.name
    said = system.read_word(f"{folder}/product_name")
    return said or AMD_INTEGRATED.get(device_id, "")


def _amd_is_integrated(
    system: System, folder: str, device_id: int, vulkan: VulkanDevice | None
) -> bool:
    """Tell an APU from a card.

    The header of ``gpu_metrics`` says so: format 1 belongs to cards, 2 and 3 to APUs. Source:
    Linux, drivers/gpu/drm/amd/include/kgd_pp_interface.h.
    """
    if vulkan is not None and vulkan.kind in ("integrated", "discrete"):
        return vulkan.kind == "integrated"
    metrics = system.read_bytes(f"{folder}/gpu_metrics")
    if metrics is not None and len(metrics) > 3 and metrics[2] in (1, 2, 3):
        return metrics[2] > 1
    return device_id in AMD_INTEGRATED


def parse_resource(text: str) -> int | None:
    """Read the size of the second memory region of a PCI ``resource`` file.

    Intel maps a card's local memory there; with resizable BAR on, all of it.

    Returns:
        Bytes, None where there is no such region.
    """
    lines = text.splitlines()
    fields = lines[2].split() if len(lines) > 2 else []
    if len(fields) < 2:
        return None
    start, end = parse_hex(fields[0]), parse_hex(fields[1])
    if start is None or end is None or end <= start:
        return None
    size = end - start + 1
    return size if size <= MAX_BYTES else None


_INTEL_CARDS = (range(0x4905, 0x490A), range(0x5690, 0x56C2), range(0xE202, 0xE224))
"""DG1, Arc A series and Arc B series. Source: Linux, include/drm/intel/pciids.h."""


def _intel(
    system: System, card: str, device_id: int, vulkan: VulkanDevice | None, memory: Memory
) -> Gpu | None:
    driver = vulkan.driver if vulkan else ""
    name = vulkan.name if vulkan else f"Intel GPU {device_id:04x}"
    integrated = not any(device_id in known for known in _INTEL_CARDS)
    if vulkan is not None and vulkan.kind in ("integrated", "discrete"):
        integrated = vulkan.kind == "integrated"
    if not integrated:
        local = _intel_local_memory(system, card)
        if local is None:
            return None
        total, free, source = local
        return Gpu(Vendor.INTEL, name, total, free, unified=False, driver=driver, source=source)
    total = intel_share(memory.total_bytes)
    return Gpu(
        vendor=Vendor.INTEL,
        name=name,
        total_bytes=total,
        free_bytes=min(total, memory.available_bytes),
        unified=True,
        driver=driver,
        source="share of main memory that the driver lends",
        integrated=True,
        lent_bytes=total,
    )


def intel_share(total_bytes: int) -> int:
    """Tell how much of main memory an integrated Intel GPU may use.

    Half of up to 4 GiB, three quarters of more. Source: Mesa, anv, heap size of the system.
    """
    return total_bytes // 2 if total_bytes <= 4 * 1024**3 else total_bytes * 3 // 4


def _intel_local_memory(system: System, card: str) -> tuple[int, int, str] | None:
    total = system.read_whole(f"{card}/lmem_total_bytes")
    if total:
        free = system.read_whole(f"{card}/lmem_avail_bytes")
        return total, min(total if free is None else free, total), "sysfs lmem_total_bytes"
    size = parse_resource(system.read(f"{card}/device/resource") or "")
    # Without resizable BAR the region shows 256 MiB of the card only.
    return (size, size, "PCI memory region") if size and size > 1024**3 else None
