"""Vulkan devices, where vulkaninfo is there: names, drivers, and which GPU is integrated."""

from __future__ import annotations

from dataclasses import dataclass

from setup_manager.machine.probe.pci import parse_hex
from setup_manager.machine.probe.system import System

NAME = "vulkaninfo"
COMMAND = ("vulkaninfo", "--summary")
SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class VulkanDevice:
    """A device of ``vulkaninfo --summary``.

    Attributes:
        name: Marketing name, as the driver says it.
        kind: ``"integrated"``, ``"discrete"``, ``"virtual"``, ``"cpu"`` or ``"other"``.
        vendor_id: PCI vendor.
        device_id: PCI device.
        driver: Driver and its version.
    """

    name: str
    kind: str
    vendor_id: int
    device_id: int
    driver: str


def parse_summary(text: str) -> tuple[VulkanDevice, ...]:
    """Read the devices of ``vulkaninfo --summary``; software renderers are left out."""
    devices: list[dict[str, str]] = []
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if line.startswith("GPU") and line.rstrip().endswith(":"):
            devices.append({})
        elif separator and devices:
            devices[-1].setdefault(key.strip(), value.strip())
    found = (_device(fields) for fields in devices)
    return tuple(device for device in found if device is not None and device.kind != "cpu")


def _device(fields: dict[str, str]) -> VulkanDevice | None:
    name = fields.get("deviceName", "")
    if not name:
        return None
    kind = fields.get("deviceType", "").removeprefix("PHYSICAL_DEVICE_TYPE_")
    driver = f"{fields.get('driverName', '')} {fields.get('driverInfo', '')}".strip()
    return VulkanDevice(
        name=name,
        kind=kind.removesuffix("_GPU").lower() or "other",
        vendor_id=parse_hex(fields.get("vendorID", "")) or 0,
        device_id=parse_hex(fields.get("deviceID", "")) or 0,
        driver=driver,
    )


def read_vulkan(system: System) -> tuple[VulkanDevice, ...]:
    """Ask vulkaninfo; empty where it is not there or says nothing."""
    return parse_summary(system.run(COMMAND, SECONDS).stdout)
