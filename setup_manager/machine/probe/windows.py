"""Windows, and any system without a probe of its own: what psutil says."""

from __future__ import annotations

import platform
import sys

from setup_manager.machine.facts import Gpu, Memory, Power, Processor, Vendor
from setup_manager.machine.probe.memory import group_users
from setup_manager.machine.probe.system import MAX_BYTES, System


def read_memory(system: System) -> Memory:
    """Read main memory; a recording of such a system carries none."""
    if not system.is_live:
        return Memory(0, None, 0, "unknown")
    import psutil

    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    processes = [
        (entry.info["name"] or "unknown", getattr(entry.info["memory_info"], "rss", 0))
        for entry in psutil.process_iter(["name", "memory_info"])
    ]
    return Memory(
        total_bytes=memory.total,
        limit_bytes=None,
        available_bytes=memory.available,
        source="psutil virtual_memory",
        swap_total_bytes=swap.total,
        swap_free_bytes=swap.free,
        users=group_users(processes),
    )


def read_processor(system: System) -> Processor:
    """Read the processor; its instruction sets stay unknown."""
    if not system.is_live:
        return Processor("unknown", 1, 1, 1.0)
    import psutil

    logical = psutil.cpu_count() or 1
    return Processor(
        model=_model_name() or "unknown",
        physical_cores=psutil.cpu_count(logical=False) or logical,
        logical_cores=logical,
        usable_cores=float(logical),
    )


def _model_name() -> str:
    if sys.platform == "win32":
        import winreg

        place = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
    return platform.processor()


def read_power(system: System) -> Power:
    """Read mains or battery."""
    if not system.is_live:
        return Power()
    import psutil

    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery is None:
        return Power()
    return Power(
        on_battery=not battery.power_plugged if battery.power_plugged is not None else None,
        laptop=True,
        charge_percent=min(max(float(battery.percent), 0.0), 100.0),
    )


_DISPLAY_CLASS = r"SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}"
_VENDOR_WORDS = (("radeon", Vendor.AMD), ("amd", Vendor.AMD), ("intel", Vendor.INTEL))
_SMALLEST_CARD_BYTES = 3 * 1024**3


def gpu_from_registry(name: str, dedicated_bytes: int, memory: Memory) -> Gpu | None:
    """Describe a GPU by what its driver wrote into the registry.

    NVIDIA's are left to nvidia-smi. Windows lends any integrated GPU half of main memory.

    Args:
        name: ``DriverDesc``.
        dedicated_bytes: ``HardwareInformation.qwMemorySize``.
        memory: Main memory.
    """
    lowered = name.lower()
    vendor = next((vendor for word, vendor in _VENDOR_WORDS if word in lowered), None)
    if vendor is None or not 0 <= dedicated_bytes <= MAX_BYTES:
        return None
    if dedicated_bytes >= _SMALLEST_CARD_BYTES:
        return Gpu(
            vendor,
            name,
            dedicated_bytes,
            dedicated_bytes,
            unified=False,
            driver="",
            source="registry",
        )
    share = memory.total_bytes // 2
    return Gpu(
        vendor=vendor,
        name=name,
        total_bytes=share,
        free_bytes=min(share, memory.available_bytes),
        unified=True,
        driver="",
        source="registry",
        integrated=True,
        carve_out_bytes=dedicated_bytes,
        lent_bytes=share,
    )


def read_gpus(system: System, memory: Memory) -> tuple[Gpu, ...]:
    """Read AMD's and Intel's GPUs from the registry; NVIDIA's come from nvidia-smi."""
    entries = _registry_gpus() if system.is_live else []
    found = (gpu_from_registry(name, size, memory) for name, size in entries)
    return tuple(gpu for gpu in found if gpu is not None)


def _registry_gpus() -> list[tuple[str, int]]:
    entries: list[tuple[str, int]] = []
    if sys.platform == "win32":
        import winreg

        for number in range(16):
            try:
                place = rf"{_DISPLAY_CLASS}\{number:04d}"
                with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
                    name = str(winreg.QueryValueEx(key, "DriverDesc")[0])
                    size = winreg.QueryValueEx(key, "HardwareInformation.qwMemorySize")[0]
            except OSError:
                continue
            entries.append((name, int(size)))
    return entries
