"""Pre-flight: one line a finding, judged from frozen facts alone.

A `fail` is what really stops everything; what only makes it slower or smaller is a `warn`, and
what there is no question about here is a `skip`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from setup_manager.machine.facts import (
    Basis,
    Disk,
    FindingKind,
    Gpu,
    Machine,
    MemoryUser,
    Vendor,
)
from setup_manager.units import GB, GIB, MB, MIB, format_memory, format_rate, format_size

SMALLEST_MODEL_BYTES = 2 * GIB
"""Below this much memory no Gemma 4 variant runs: E2B at 4 bit reads 1.5 GB a token and holds
about 2 GiB that cannot be reclaimed."""
COMFORTABLE_BYTES = 8 * GIB
"""What E4B, the default for an ordinary computer, takes with its context and a margin."""
SMALLEST_FILE_BYTES = 4 * GB
PAGE_BYTES = 4096


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `check`.

    Attributes:
        name: Stable name, e.g. ``"memory"``.
        status: How it ended.
        detail: The facts, in one line.
        hint: The exact thing to do, ``""`` when nothing needs doing.
        group: What it belongs to: machine, memory, gpu, disk, power, surroundings.
    """

    name: str
    status: Status
    detail: str
    hint: str = ""
    group: str = "machine"

    @property
    def advice(self) -> str:
        """The hint as a sentence."""
        ended = self.hint if not self.hint or self.hint[-1] in ".!?" else f"{self.hint}."
        return ended[:1].upper() + ended[1:]


def machine_checks(machine: Machine) -> tuple[Check, ...]:
    """Judge a machine by itself, without a model in mind.

    Returns:
        Checks by group, in the order they are to be shown.
    """
    return (
        *_machine_group(machine),
        *_memory_group(machine),
        *_gpu_group(machine),
        *_disk_group(machine),
        *_power_group(machine),
        *_surroundings_group(machine),
    )


def _machine_group(machine: Machine) -> Iterator[Check]:
    yield _processor(machine)
    rate = format_rate(machine.memory_bandwidth_bytes_per_second.value)
    detail = (
        f"main memory is read at {rate} ({machine.memory_bandwidth_bytes_per_second.source.value})"
    )
    hint = ""
    if machine.memory_bandwidth_bytes_per_second.source is Basis.GUESS:
        hint = "run it again when the machine is less busy"
    yield Check("memory-bandwidth", Status.WARN if hint else Status.OK, detail, hint)
    yield from _broken(machine, "machine")


_GPU_PROBES = frozenset({"nvidia-smi", "amdgpu", "intel-gpu", "gpus", "system_profiler", "rocm"})
_POWER_PROBES = frozenset({"power", "thermal", "power-supply"})


def _group_of(probe: str) -> str:
    if probe in _GPU_PROBES:
        return "gpu"
    return "power" if probe in _POWER_PROBES else "machine"


_REPORT = "not blocking; to report it, include `gemma-setup check --json`"


def _broken(machine: Machine, group: str) -> Iterator[Check]:
    """List the probes of a group that found something broken, or are broken themselves."""
    for finding in machine.findings:
        if finding.kind is FindingKind.BROKEN and _group_of(finding.probe) == group:
            detail = finding.detail or finding.kind.value
            yield Check(finding.probe, Status.WARN, detail, finding.hint or _REPORT, group)


def _processor(machine: Machine) -> Check:
    cpu = machine.cpu
    detail = f"{cpu.model}: {_count(cpu.physical_cores, 'core')}"
    if cpu.performance_cores is not None:
        detail += f", {cpu.performance_cores} of them big"
    if cpu.usable_cores < cpu.logical_cores:
        detail += f"; {cpu.usable_cores:g} of {cpu.logical_cores} threads usable here"
    if cpu.usable_cores < 2 and cpu.logical_cores >= 2:
        hint = "give this container more CPUs (Docker: `--cpus`)"
        return Check("processor", Status.WARN, detail, hint)
    if machine.arch == "x86_64" and cpu.features and "avx2" not in cpu.features:
        detail += "; no AVX2"
        hint = "expect it to be several times slower; in a VM, pass the host CPU through"
        return Check("processor", Status.WARN, detail, hint)
    return Check("processor", Status.OK, detail)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _memory_group(machine: Machine) -> Iterator[Check]:
    yield _available(machine)
    if machine.memory.limit_bytes is not None:
        yield _limit(machine)
    pressure = machine.memory.pressure_percent
    if pressure is not None and pressure >= 10:
        detail = f"programs wait for memory {pressure:.0f} % of the time"
        yield Check("memory-pressure", Status.WARN, detail, _close_something(machine), "memory")
    yield _swap(machine)


def _available(machine: Machine) -> Check:
    memory = machine.memory
    total = memory.total_bytes if memory.limit_bytes is None else memory.limit_bytes
    detail = (
        f"{format_memory(memory.available_bytes)} available of {format_memory(total)} "
        f"({memory.source})"
    )
    if memory.users:
        detail += f"; most is used by {_described(memory.users[0])}"
    card = max((gpu.free_bytes for gpu in machine.gpus if not gpu.unified), default=0)
    if memory.total_bytes == 0:
        detail = "the amount of memory cannot be read"
        return Check("memory", Status.WARN, detail, "make /proc/meminfo readable", "memory")
    if max(memory.available_bytes, card) < SMALLEST_MODEL_BYTES:
        detail += "; too little for any Gemma 4 model"
        return Check("memory", Status.FAIL, detail, _more_memory(machine), "memory")
    if memory.available_bytes < COMFORTABLE_BYTES and card < COMFORTABLE_BYTES:
        return Check("memory", Status.WARN, detail, _more_memory(machine), "memory")
    return Check("memory", Status.OK, detail, "", "memory")


def _described(user: MemoryUser) -> str:
    processes = f" in {user.processes} processes" if user.processes > 1 else ""
    return f"{user.name} ({format_memory(user.resident_bytes)}{processes})"


def _close(machine: Machine) -> str:
    big = [user for user in machine.memory.users if user.resident_bytes >= GIB // 2]
    return f"close {' or '.join(_described(user) for user in big[:2])}" if big else ""


def _close_something(machine: Machine) -> str:
    return _close(machine) or "close programs that use a lot of memory"


def _more_memory(machine: Machine) -> str:
    """Tell what gives this machine more memory: a limit raised, or a program closed."""
    parts = [_close(machine)]
    if machine.memory.limit_bytes is not None:
        parts.append(_raise_limit(machine))
    elif machine.container.wsl == 2 or machine.container.kind == "docker-desktop":
        parts.append(_virtual_machine_memory(machine))
    elif carved := _large_carve_out(machine):
        parts.append(carved)
    return "; ".join(part for part in parts if part) or "use a smaller model, or add memory"


def _virtual_machine_memory(machine: Machine) -> str:
    # WSL takes half of Windows' memory by default: half as much again is three quarters of it.
    wanted = max(8, -(-machine.memory.total_bytes * 3 // (2 * GIB)))
    if machine.container.wsl == 2:
        return (
            f"give WSL more: in %UserProfile%\\.wslconfig, under [wsl2], set memory={wanted}GB "
            "(it takes half of Windows' memory otherwise), then `wsl --shutdown`"
        )
    return f"Docker Desktop: Settings > Resources > Advanced > Memory limit, {wanted} GB or more"


def _raise_limit(machine: Machine) -> str:
    kind = machine.container.kind
    if kind == "docker-desktop":
        return (
            "raise the container's limit (`docker run --memory`); the whole of Docker Desktop has "
            f"{format_memory(machine.memory.total_bytes)} (Settings > Resources > Memory limit)"
        )
    ways = {
        "docker": "raise the container's limit: "
        "`docker update --memory 12g --memory-swap 12g NAME`",
        "podman": "raise the container's limit: `podman update --memory 12g NAME`",
        "kubernetes": "raise `resources.limits.memory` of the pod",
        "lxc": "raise the container's limit: `lxc config set NAME limits.memory 12GiB`, "
        "Proxmox: `pct set ID --memory 12288`",
    }
    return ways.get(
        kind, "raise the limit of this session's group: `systemctl set-property SLICE MemoryMax=…`"
    )


def _limit(machine: Machine) -> Check:
    memory = machine.memory
    limit = memory.limit_bytes or 0
    detail = (
        f"this container is limited to {format_memory(limit)} of the machine's "
        f"{format_memory(memory.total_bytes)}"
    )
    if limit < COMFORTABLE_BYTES <= memory.total_bytes:
        return Check("memory-limit", Status.WARN, detail, _raise_limit(machine), "memory")
    return Check("memory-limit", Status.OK, detail, "", "memory")


def _swap(machine: Machine) -> Check:
    memory = machine.memory
    if memory.swap_total_bytes == 0:
        return Check("swap", Status.SKIP, "no swap", "", "memory")
    used = memory.swap_total_bytes - memory.swap_free_bytes
    detail = f"{format_memory(used)} of {format_memory(memory.swap_total_bytes)} swap in use"
    if memory.zram_bytes:
        detail += f", {format_memory(memory.zram_bytes)} of it zram (in main memory itself)"
    if used > memory.swap_total_bytes // 2 and used > GIB:
        return Check("swap", Status.WARN, detail, _close_something(machine), "memory")
    return Check("swap", Status.OK, detail, "", "memory")


def _gpu_group(machine: Machine) -> Iterator[Check]:
    for index, gpu in enumerate(machine.gpus):
        yield _gpu(machine, gpu, index)
    broken = tuple(_broken(machine, "gpu"))
    yield from broken
    if not machine.gpus and not broken:
        yield Check("gpu", Status.SKIP, "none found: models run on the CPU", "", "gpu")


def _gpu(machine: Machine, gpu: Gpu, index: int) -> Check:
    kind = "unified memory" if gpu.unified else "integrated" if gpu.integrated else "card"
    detail = (
        f"{gpu.name} ({kind}): {format_memory(gpu.free_bytes)} free of "
        f"{format_memory(gpu.total_bytes)}"
    )
    if gpu.driver:
        detail += f", driver {gpu.driver}"
    name = f"gpu-{index}"
    hint = _share_hint(machine, gpu)
    if hint:
        small = gpu.total_bytes < COMFORTABLE_BYTES
        return Check(name, Status.WARN if small else Status.OK, detail, hint, "gpu")
    if not gpu.unified and gpu.free_bytes < gpu.total_bytes * 3 // 4:
        held = f"; used by {', '.join(_described(user) for user in gpu.users[:3])}"
        return Check(
            name,
            Status.WARN,
            detail + (held if gpu.users else ""),
            _free_card(machine, gpu),
            "gpu",
        )
    return Check(name, Status.OK, detail, "", "gpu")


def _free_card(machine: Machine, gpu: Gpu) -> str:
    if gpu.users:
        return f"end {' or '.join(user.name for user in gpu.users[:2])} to free its memory"
    if machine.container.wsl:
        return "Windows programs use it: see the GPU column of Task Manager"
    return "stop what uses it (see `nvidia-smi`), or connect the displays to another GPU"


def _share_hint(machine: Machine, gpu: Gpu) -> str:
    """Tell how an integrated GPU gets a larger share of main memory, ``""`` if it has enough."""
    if gpu.vendor is Vendor.APPLE:
        return _apple_hint(machine, gpu)
    if gpu.vendor is Vendor.AMD and gpu.integrated and machine.os == "linux":
        return _amd_hint(machine, gpu)
    return ""


def _apple_hint(machine: Machine, gpu: Gpu) -> str:
    """Suggest the wired limit that leaves macOS a quarter, and 8 GiB at most."""
    total = machine.memory.total_bytes
    possible = total - min(max(total // 4, 4 * GIB), 8 * GIB)
    if gpu.total_bytes + GIB > possible:
        return ""
    return (
        f"for larger models, raise the GPU's limit: `sudo sysctl "
        f"iogpu.wired_limit_mb={possible // MIB}` (until the next restart)"
    )


def _amd_hint(machine: Machine, gpu: Gpu) -> str:
    carved = _large_carve_out(machine)
    if carved:
        return carved
    total = machine.memory.total_bytes
    if not gpu.unified or gpu.total_bytes >= total * 6 // 10 or total < 12 * GIB:
        return ""
    pages = total * 3 // 4 // PAGE_BYTES
    return (
        "the driver lends it half of main memory; for larger models, add "
        f"`ttm.pages_limit={pages} ttm.page_pool_size={pages}` to the kernel's command line"
    )


def _large_carve_out(machine: Machine) -> str:
    """Find a carve-out that starves main memory while the GPU could borrow instead."""
    carved = max((gpu.carve_out_bytes or 0 for gpu in machine.gpus), default=0)
    if carved < 4 * GIB or machine.memory.total_bytes > 3 * carved:
        return ""
    return (
        f"the BIOS sets {format_memory(carved)} aside for the GPU; set its UMA frame buffer "
        "to the minimum (512 MB): the driver borrows what it needs from main memory"
    )


def _disk_group(machine: Machine) -> Iterator[Check]:
    if not machine.disks:
        yield Check("disk", Status.SKIP, "no folder to check", "", "disk")
    for disk in machine.disks:
        yield _disk(machine, disk)
    sharing = _sharing(machine.disks)
    if sharing:
        yield Check("disk-sharing", Status.OK, sharing, "", "disk")


def _disk(machine: Machine, disk: Disk) -> Check:
    name = f"disk-{disk.purpose}"
    detail = f"{disk.path}: {format_size(disk.free_bytes)} free ({disk.filesystem})"
    status, hint = _disk_problem(machine, disk)
    return Check(name, status, detail + _disk_remarks(disk), hint, "disk")


def _disk_remarks(disk: Disk) -> str:
    remarks = []
    if disk.network:
        remarks.append("a network mount")
    if disk.rotational:
        remarks.append("a spinning disk: models load slowly")
    if not disk.writable:
        remarks.append("not writable")
    return "".join(f"; {remark}" for remark in remarks)


def _disk_problem(machine: Machine, disk: Disk) -> tuple[Status, str]:
    if disk.purpose != "models":
        if disk.free_bytes < 100 * MB:
            return Status.WARN, "free some space there"
        return Status.OK, ""
    elsewhere = "choose another folder with `--models-dir DIR`"
    if not disk.writable:
        return Status.FAIL, f"make the folder writable, or {elsewhere}"
    if disk.free_bytes < 100 * MB:
        return Status.FAIL, f"free some space there, or {elsewhere}"
    if disk.file_size_limit_bytes is not None:
        limit = format_size(disk.file_size_limit_bytes)
        return Status.WARN, f"no file there can be larger than {limit}: {elsewhere}"
    if disk.free_bytes < SMALLEST_FILE_BYTES:
        return Status.WARN, f"free some space there, or {elsewhere}"
    if disk.filesystem in ("tmpfs", "ramfs"):
        return Status.WARN, f"this is in RAM and lost on restart: {elsewhere}"
    if machine.container.wsl and disk.filesystem in ("9p", "drvfs", "v9fs", "wslfs"):
        return Status.WARN, f"a Windows drive is slow from WSL; {elsewhere} inside Linux"
    if disk.network:
        return Status.WARN, f"loading over the network is slow; {elsewhere} on a local disk"
    return Status.OK, ""


def _sharing(disks: tuple[Disk, ...]) -> str:
    """Tell which folders take their room from one file system."""
    purposes: dict[str, list[str]] = defaultdict(list)
    for disk in disks:
        if disk.device and disk.purpose not in purposes[disk.device]:
            purposes[disk.device].append(disk.purpose)
    shared = [" and ".join(names) for names in purposes.values() if len(names) > 1]
    return f"{'; '.join(shared)} share one file system" if shared else ""


_SLOW_MODES = frozenset({"power-saver", "low-power", "quiet", "powersave", "power", "cool"})


def _power_group(machine: Machine) -> Iterator[Check]:
    yield _power(machine)
    hottest = machine.thermal.hottest_celsius
    if hottest is not None:
        detail = f"the processor is at {hottest:.0f} °C"
        if machine.thermal.throttle_count:
            detail += f", throttled by heat {machine.thermal.throttle_count} times since the start"
        hint = "let it cool down: heat throttles it" if hottest >= 90 else ""
        yield Check("heat", Status.WARN if hint else Status.OK, detail, hint, "power")
    yield from _broken(machine, "power")


def _power(machine: Machine) -> Check:
    power = machine.power
    mode = f", mode {power.mode}" if power.mode else ""
    if power.on_battery:
        charge = "" if power.charge_percent is None else f" ({power.charge_percent:.0f} %)"
        hint = "plug it in: on battery a laptop runs 1.4 to 3.8 times slower"
        return Check("power", Status.WARN, f"on battery{charge}{mode}", hint, "power")
    if power.mode in _SLOW_MODES or power.mode == "low power mode":
        return Check("power", Status.WARN, f"saving power{mode}", _faster(machine), "power")
    if power.on_battery is None and not power.mode:
        return Check("power", Status.SKIP, "no battery, no power profile", "", "power")
    return Check("power", Status.OK, f"on mains{mode}", "", "power")


def _faster(machine: Machine) -> str:
    if machine.os == "macos":
        return "`sudo pmset -a lowpowermode 0`"
    if machine.power.mode in ("powersave", "power"):
        return "`sudo cpupower frequency-set -g performance`"
    return "`powerprofilesctl set performance`, or the system's power settings"


def _surroundings_group(machine: Machine) -> Iterator[Check]:
    around = machine.container
    yield _enclosure(machine)
    if around.proxies:
        detail = f"{', '.join(around.proxies)} {'is' if len(around.proxies) == 1 else 'are'} set"
        yield Check("proxy", Status.OK, detail, "", "surroundings")
    if not around.clock_plausible:
        hint = "set the clock (`sudo timedatectl set-ntp true`): certificates are refused"
        yield Check("clock", Status.WARN, "is set before April 2026", hint, "surroundings")


def _enclosure(machine: Machine) -> Check:
    around = machine.container
    if around.wsl == 1:
        hint = (
            "convert it to WSL 2, which supports GPUs and is faster: `wsl --set-version DISTRO 2`"
        )
        return Check("surroundings", Status.WARN, "WSL 1", hint, "surroundings")
    parts = []
    if around.kind != "none":
        parts.append(f"{around.kind} container")
    if around.wsl:
        parts.append("WSL 2")
    elif around.virtual_machine:
        parts.append(f"virtual machine ({around.virtual_machine})")
    if around.board:
        parts.append(around.board)
    detail = ", ".join(parts) or "no container or virtual machine detected"
    return Check("surroundings", Status.OK, detail, "", "surroundings")
