"""Power, heat and what the system runs in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from setup_manager.machine.probe.power import (
    parse_throttled,
    read_power,
    read_thermal,
    read_undervoltage,
)
from setup_manager.machine.probe.surroundings import RELEASED, read_surroundings, wsl_version
from setup_manager.machine.probe.system import System
from tests.machine import recorded


def system(folder: Path, files: Mapping[str, str], os: str = "linux") -> System:
    return recorded.build({"files": files, "os": os, "arch": "x86_64", "version": ""}, folder)


def supply(name: str, **files: str) -> dict[str, str]:
    return {f"/sys/class/power_supply/{name}/{key}": f"{value}\n" for key, value in files.items()}


# --- power -----------------------------------------------------------------------------------


def test_battery_of_a_mouse_is_no_battery(tmp_path: Path) -> None:
    mouse = supply("hid", type="Battery", scope="Device", status="Discharging", capacity="5")
    assert read_power(system(tmp_path, mouse)).on_battery is None


def test_full_battery_on_mains(tmp_path: Path) -> None:
    files = supply("BAT0", type="Battery", status="Full", capacity="100")
    files |= supply("AC", type="Mains", online="1")
    found = read_power(system(tmp_path, files))
    assert (found.on_battery, found.charge_percent, found.laptop) == (False, 100.0, True)


def test_weak_charger_that_a_battery_helps_is_mains(tmp_path: Path) -> None:
    files = supply("BAT0", type="Battery", status="Discharging", capacity="80")
    files |= supply("USBC000", type="USB", online="1")
    assert read_power(system(tmp_path, files)).on_battery is False


def test_desktop_has_no_battery_and_is_no_laptop(tmp_path: Path) -> None:
    found = read_power(system(tmp_path, {"/sys/class/dmi/id/chassis_type": "3\n"}))
    assert (found.on_battery, found.laptop) == (None, False)


def test_profile_of_the_firmware_comes_before_the_governor(tmp_path: Path) -> None:
    frequency = "/sys/devices/system/cpu/cpu0/cpufreq"
    files = {f"{frequency}/scaling_governor": "powersave\n"}
    assert read_power(system(tmp_path / "a", files)).mode == "powersave"
    files[f"{frequency}/energy_performance_preference"] = "balance_performance\n"
    assert read_power(system(tmp_path / "b", files)).mode == "balance_performance"
    files["/sys/firmware/acpi/platform_profile"] = "low-power\n"
    assert read_power(system(tmp_path / "c", files)).mode == "low-power"


# --- heat ------------------------------------------------------------------------------------


def test_hottest_sensor_of_the_processor(tmp_path: Path) -> None:
    files = {
        "/sys/class/hwmon/hwmon0/name": "nvme\n",
        "/sys/class/hwmon/hwmon0/temp1_input": "99000\n",
        "/sys/class/hwmon/hwmon1/name": "k10temp\n",
        "/sys/class/hwmon/hwmon1/temp1_input": "61125\n",
        "/sys/class/hwmon/hwmon1/temp3_input": "70500\n",
        "/sys/class/thermal/thermal_zone0/type": "iwlwifi_1\n",
        "/sys/class/thermal/thermal_zone0/temp": "98000\n",
        "/sys/class/thermal/thermal_zone1/type": "x86_pkg_temp\n",
        "/sys/class/thermal/thermal_zone1/temp": "-274000\n",
        "/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3\n",
        "/sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count": "17\n",
    }
    found = read_thermal(system(tmp_path, files))
    assert (found.hottest_celsius, found.throttle_count) == (70.5, 17)


def test_no_sensors_is_unknown(tmp_path: Path) -> None:
    found = read_thermal(system(tmp_path, {}))
    assert (found.hottest_celsius, found.throttle_count) == (None, None)


@pytest.mark.parametrize(
    ("text", "bits"),
    [("throttled=0x50005\n", 0x50005), ("throttled=0x0", 0), ("VCHI failed", None)],
)
def test_throttled(text: str, bits: int | None) -> None:
    assert parse_throttled(text) == bits


def test_only_a_raspberry_pi_is_asked_for_its_supply(tmp_path: Path) -> None:
    assert read_undervoltage(system(tmp_path, {})) == ()


# --- surroundings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "wsl"),
    [
        ("Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com)", 1),
        ("Linux version 5.15.146.1-microsoft-standard-WSL2 (root@x)", 2),
        ("Linux version 6.11.0-WSL2-STABLE+", 2),
        ("Linux version 4.19.104-microsoft-standard (oe-user@oe-host)", 2),
        ("Linux version 6.1.0-13-amd64 (debian-kernel@lists.debian.org)", 0),
        ("Linux version 6.2.0-1018-azure (buildd@lcy02)", 0),
        ("", 0),
    ],
)
def test_wsl_version(version: str, wsl: int) -> None:
    assert wsl_version(version) == wsl


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, "none"),
        ({"/.dockerenv": ""}, "docker"),
        ({"/.dockerenv": "", "/proc/version": "5.15.49-linuxkit"}, "docker-desktop"),
        ({"/.dockerenv": "", "/proc/version": "5.15.0-microsoft-standard-WSL2"}, "docker-desktop"),
        ({"/run/.containerenv": 'engine="podman"'}, "podman"),
        ({"/run/systemd/container": "lxc\n"}, "lxc"),
        ({"/proc/1/environ": "PATH=/bin\0container=lxc\0TERM=x\0"}, "lxc"),
        ({"/run/systemd/container": "systemd-nspawn\n"}, "other"),
        ({"/run/systemd/container": "wsl\n"}, "none"),
        ({"/proc/self/cgroup": "0::/kubepods.slice/x\n"}, "kubernetes"),
        ({"/proc/self/cgroup": "4:memory:/docker/abc\n"}, "docker"),
        ({"/proc/self/cgroup": "4:memory:/lxc/name\n"}, "lxc"),
        ({"/proc/self/cgroup": "0::/system.slice/docker.service\n"}, "none"),
    ],
)
def test_container_kind(files: Mapping[str, str], kind: str, tmp_path: Path) -> None:
    assert read_surroundings(system(tmp_path, files), {}, None).kind == kind


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"/sys/class/dmi/id/sys_vendor": "QEMU\n"}, "qemu"),
        ({"/sys/class/dmi/id/product_name": "VMware Virtual Platform\n"}, "vmware"),
        (
            {
                "/sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n",
                "/sys/class/dmi/id/product_name": "Virtual Machine\n",
            },
            "hyper-v",
        ),
        ({"/sys/class/dmi/id/sys_vendor": "LENOVO\n"}, ""),
        ({"/proc/cpuinfo": "flags\t\t: fpu hypervisor avx\n"}, "unknown hypervisor"),
        ({"/proc/cpuinfo": "flags\t\t: fpu avx\n"}, ""),
    ],
)
def test_virtual_machine(files: Mapping[str, str], name: str, tmp_path: Path) -> None:
    assert read_surroundings(system(tmp_path, files), {}, None).virtual_machine == name


def test_proxies_are_named_and_never_quoted(tmp_path: Path) -> None:
    environment = {"https_proxy": "http://me:secret@proxy:3128", "NO_PROXY": "", "ALL_PROXY": "x"}
    found = read_surroundings(system(tmp_path, {}), environment, None)
    assert found.proxies == ("HTTPS_PROXY", "ALL_PROXY")


def test_clock_before_the_release_is_not_plausible(tmp_path: Path) -> None:
    empty = system(tmp_path, {})
    assert not read_surroundings(empty, {}, 0.0).clock_plausible
    assert read_surroundings(empty, {}, RELEASED + 1).clock_plausible
    assert read_surroundings(empty, {}, None).clock_plausible


def test_windows_has_no_proc(tmp_path: Path) -> None:
    assert read_surroundings(system(tmp_path, {}, os="windows"), {}, None).kind == "none"
