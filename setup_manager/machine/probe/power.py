"""Mains or battery, power profile, heat: what slows a machine without being a part of it."""

from __future__ import annotations

import re

from setup_manager.machine.facts import Finding, FindingKind, Power, Thermal
from setup_manager.machine.probe.cpu import read_board
from setup_manager.machine.probe.system import System, whole

_SUPPLIES = "/sys/class/power_supply"
_CPU = "/sys/devices/system/cpu"
_PORTABLE_CHASSIS = frozenset({"8", "9", "10", "11", "14", "30", "31", "32"})
"""Portable, laptop, notebook, hand-held, sub-notebook, tablet, convertible, detachable.
Source: DMTF SMBIOS specification, system enclosure types."""

_CPU_SENSORS = frozenset({"coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal"})
_CPU_ZONES = re.compile(r"x86_pkg_temp|cpu|soc|tj|acpitz", re.IGNORECASE)
_PLAUSIBLE_CELSIUS = range(1, 151)


def read_power(system: System) -> Power:
    """Read mains, battery and the power profile."""
    on_battery, charge = _supplies(system)
    chassis = system.read_word("/sys/class/dmi/id/chassis_type")
    laptop = chassis in _PORTABLE_CHASSIS if chassis else (True if charge is not None else None)
    return Power(on_battery, _mode(system), laptop, charge)


def _supplies(system: System) -> tuple[bool | None, float | None]:
    """Read whether a battery of the machine itself feeds it (mice have batteries too)."""
    charge: float | None = None
    discharging = mains = False
    for name in system.names(_SUPPLIES):
        folder = f"{_SUPPLIES}/{name}"
        kind = system.read_word(f"{folder}/type")
        if kind == "Battery" and system.read_word(f"{folder}/scope") != "Device":
            percent = whole(system.read_word(f"{folder}/capacity"), 200)
            charge = min(float(percent), 100.0) if percent is not None else charge
            discharging |= system.read_word(f"{folder}/status") == "Discharging"
        elif kind in ("Mains", "USB"):
            mains |= system.read_word(f"{folder}/online") == "1"
    if charge is None:
        return None, None
    return discharging and not mains, charge


def _mode(system: System) -> str:
    """Name the power profile, or the governor where the firmware has no profiles.

    The governor ``powersave`` of intel_pstate and amd-pstate in active mode is their normal one;
    what counts there is the preference that goes with it.
    """
    profile = system.read_word("/sys/firmware/acpi/platform_profile")
    if profile:
        return profile
    frequency = f"{_CPU}/cpu0/cpufreq"
    governor = system.read_word(f"{frequency}/scaling_governor")
    if governor == "powersave":
        return system.read_word(f"{frequency}/energy_performance_preference") or governor
    return governor


def read_thermal(system: System) -> Thermal:
    """Read the hottest processor sensor and the throttle counters."""
    readings = [*_hwmon(system), *_zones(system)]
    return Thermal(max(readings, default=None), _throttle_count(system))


def _celsius(text: str) -> float | None:
    milli = whole(text, 200_000)
    degrees = milli / 1000 if milli is not None else None
    return degrees if degrees is not None and int(degrees) in _PLAUSIBLE_CELSIUS else None


def _hwmon(system: System) -> list[float]:
    found = []
    for name in system.names("/sys/class/hwmon"):
        folder = f"/sys/class/hwmon/{name}"
        if system.read_word(f"{folder}/name") not in _CPU_SENSORS:
            continue
        sensors = (file for file in system.names(folder) if re.fullmatch(r"temp\d+_input", file))
        found += [_celsius(system.read_word(f"{folder}/{file}")) for file in sensors]
    return [value for value in found if value is not None]


def _zones(system: System) -> list[float]:
    found = []
    for name in system.names("/sys/class/thermal"):
        folder = f"/sys/class/thermal/{name}"
        if name.startswith("thermal_zone") and _CPU_ZONES.search(
            system.read_word(f"{folder}/type")
        ):
            found.append(_celsius(system.read_word(f"{folder}/temp")))
    return [value for value in found if value is not None]


def _throttle_count(system: System) -> int | None:
    """Read how often heat slowed the CPU since boot; packages count for all their cores."""
    counts = [
        count
        for name in system.names(_CPU)
        if re.fullmatch(r"cpu\d+", name)
        for kind in ("package", "core")
        if (count := system.read_whole(f"{_CPU}/{name}/thermal_throttle/{kind}_throttle_count"))
        is not None
    ]
    return max(counts, default=None)


_UNDERVOLTED_NOW, _SLOWED_NOW, _UNDERVOLTED_ONCE = 0x1, 0x4, 0x10000


def parse_throttled(text: str) -> int | None:
    """Read ``vcgencmd get_throttled``: ``throttled=0x50005``.

    Source: Raspberry Pi documentation, vcgencmd.
    """
    match = re.fullmatch(r"throttled=0x([0-9a-fA-F]{1,8})", text.strip())
    return int(match[1], 16) if match else None


def read_undervoltage(system: System) -> tuple[Finding, ...]:
    """Ask a Raspberry Pi whether its supply is too weak: it then runs at half speed."""
    if "Raspberry Pi" not in read_board(system):
        return ()
    bits = parse_throttled(system.run(("vcgencmd", "get_throttled"), 2.0).stdout)
    if bits is None or not bits & (_UNDERVOLTED_NOW | _SLOWED_NOW | _UNDERVOLTED_ONCE):
        return ()
    now = bool(bits & (_UNDERVOLTED_NOW | _SLOWED_NOW))
    detail = f"the supply voltage {'is' if now else 'was at some time'} too low (0x{bits:x})"
    hint = "use a 5 V 5 A supply and a short cable: under-voltage halves the clock"
    return (Finding("power-supply", FindingKind.BROKEN, detail, hint),)
