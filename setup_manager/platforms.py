"""Which operating system and processor family this is, in this project's words."""

from __future__ import annotations

import platform
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Platform:
    """Which operating system, in this project's words.

    Attributes:
        os: ``"linux"``, ``"macos"`` or ``"windows"``.
        version: Free text.
        arch: ``"x86_64"``, ``"arm64"``, …
    """

    os: str
    version: str
    arch: str


_OS_NAMES = {"darwin": "macos"}
_ARCH_NAMES = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64", "armv8l": "arm64"}


def this_platform() -> Platform:
    """Name the system that this process runs on."""
    system = platform.system().lower()
    machine = platform.machine().lower()
    version = platform.mac_ver()[0] if system == "darwin" else platform.release()
    return Platform(_OS_NAMES.get(system, system), version, _ARCH_NAMES.get(machine, machine))
