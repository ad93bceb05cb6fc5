"""Devices on the PCI bus, from sysfs."""

from __future__ import annotations

from setup_manager.machine.probe.system import System

_DEVICES = "/sys/bus/pci/devices"
_DISPLAY_CLASS = 0x03


def parse_hex(text: str) -> int | None:
    """Read a sysfs identifier such as ``"0x10de"``."""
    text = text.strip().lower()
    if not text.startswith("0x") or len(text) > 18:
        return None
    try:
        return int(text, 16)
    except ValueError:
        return None


def has_display_device(system: System, vendor: int) -> bool:
    """Whether a display controller of a vendor is on the bus, driver or not."""
    for name in system.names(_DEVICES):
        folder = f"{_DEVICES}/{name}"
        kind = parse_hex(system.read_word(f"{folder}/class"))
        is_display = kind is not None and kind >> 16 == _DISPLAY_CLASS
        if is_display and parse_hex(system.read_word(f"{folder}/vendor")) == vendor:
            return True
    return False
