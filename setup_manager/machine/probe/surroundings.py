"""What the system itself runs in: container, WSL, virtual machine."""

from __future__ import annotations

import re
from collections.abc import Mapping

from setup_manager.machine.facts import Container
from setup_manager.machine.probe.apple import read_sysctl
from setup_manager.machine.probe.cpu import read_board
from setup_manager.machine.probe.system import System

RELEASED = 1_775_001_600.0
"""2026-04-01: no clock that is right stands before the release of Gemma 4."""

_PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

_DOCKER_GROUP = re.compile(r"/docker[/-][0-9a-f]")
"""``/docker/<id>`` on v1, ``/system.slice/docker-<id>.scope`` under systemd."""

_HYPERVISORS = (
    # DMI vendor or product → name. Source: systemd-detect-virt(1).
    ("KVM", "kvm"), ("QEMU", "qemu"), ("VMware", "vmware"), ("VirtualBox", "virtualbox"),
    ("innotek", "virtualbox"), ("Xen", "xen"), ("Amazon EC2", "amazon"), ("Parallels", "parallels"),
    ("Google Compute Engine", "google"), ("Apple Virtualization", "apple"), ("BHYVE", "bhyve"),
    ("Bochs", "bochs"), ("Virtual Machine", "hyper-v"),
)  # fmt: skip


def wsl_version(proc_version: str) -> int:
    """Tell WSL 1 and 2 apart by the kernel's name; 0 elsewhere.

    WSL 1 imitates a kernel that ends in ``-Microsoft``, WSL 2 runs a real one of Microsoft's
    (``…-microsoft-standard-WSL2``), or one of the user's own, which carries ``WSL2`` as a rule.
    """
    if "WSL2" in proc_version or "microsoft-standard" in proc_version:
        return 2
    if re.search(r"\d-Microsoft\b", proc_version):
        return 1
    return 2 if "microsoft" in proc_version.lower() else 0


def container_kind(system: System, proc_version: str) -> str:
    """Name the kind of container, ``"none"`` outside."""
    groups = system.read("/proc/self/cgroup") or ""
    first = system.read_word("/run/systemd/container") or _first_process_container(system)
    if system.exists("/var/run/secrets/kubernetes.io") or "kubepods" in groups:
        return "kubernetes"
    if system.exists("/run/.containerenv") or first == "podman" or "/libpod" in groups:
        return "podman"
    if system.exists("/.dockerenv") or first == "docker" or _DOCKER_GROUP.search(groups):
        desktop = "linuxkit" in proc_version or wsl_version(proc_version) > 0
        return "docker-desktop" if desktop else "docker"
    if first.startswith("lxc") or re.search(r"/lxc[./]", groups) or _has_lxcfs(system):
        return "lxc"
    return "other" if first and first != "wsl" else "none"


def _first_process_container(system: System) -> str:
    match = re.search(r"(?:^|\0)container=([a-z-]{1,30})", _raw_environment(system))
    return match[1] if match else ""


def _raw_environment(system: System) -> str:
    return (system.read_bytes("/proc/1/environ") or b"").decode("utf-8", "replace")


def _has_lxcfs(system: System) -> bool:
    return "fuse.lxcfs" in (system.read("/proc/self/mountinfo") or "")


def virtual_machine(system: System) -> str:
    """Name the hypervisor, ``""`` on bare metal."""
    known = [
        system.read_word(f"/sys/class/dmi/id/{name}")
        for name in ("sys_vendor", "product_name", "board_vendor", "bios_vendor")
    ]
    for mark, name in _HYPERVISORS:
        if any(mark in entry for entry in known):
            return name
    if system.read_word("/sys/hypervisor/type") == "xen":
        return "xen"
    cpuinfo = system.read("/proc/cpuinfo") or ""
    is_guest = re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.MULTILINE)
    return "unknown hypervisor" if is_guest else ""


def read_surroundings(
    system: System, environment: Mapping[str, str], now: float | None
) -> Container:
    """Find out what the system runs in.

    Args:
        system: The machine.
        environment: Environment variables, for the proxies.
        now: The clock, in Unix seconds; None where it is not to be judged.
    """
    proxies = tuple(
        name for name in _PROXY_NAMES if environment.get(name) or environment.get(name.lower())
    )
    clock = now is None or now >= RELEASED
    if system.platform.os == "macos":
        guest = read_sysctl(system).get("kern.hv_vmm_present") == "1"
        return Container(
            virtual_machine="apple" if guest else "", proxies=proxies, clock_plausible=clock
        )
    if system.platform.os != "linux":
        return Container(proxies=proxies, clock_plausible=clock)
    proc_version = system.read("/proc/version") or ""
    wsl = wsl_version(proc_version)
    return Container(
        kind=container_kind(system, proc_version),
        wsl=wsl,
        virtual_machine="hyper-v" if wsl == 2 else virtual_machine(system),
        board=read_board(system),
        proxies=proxies,
        clock_plausible=clock,
    )
