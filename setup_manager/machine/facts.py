"""What is known of a machine: frozen facts, passed from the probes to every decision.

The field names are those of ``data.machine``; the bounds are those that a document is held to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from setup_manager.codec import Bytes, BytesPerSecond, Celsius, Cores, Count, Percent, Text


@dataclass(frozen=True, slots=True)
class Processor:
    """The CPU as this process may use it.

    Attributes:
        model: Marketing name.
        physical_cores: Cores of the machine, without hyper-threads.
        logical_cores: Hardware threads of the machine.
        usable_cores: What affinity and a container's CPU quota leave, may be a fraction.
        features: Instruction-set names in llama.cpp's spelling, lower case: ``"avx2"``,
            ``"avx512f"``, ``"avx512_vnni"``, ``"amx_int8"``, ``"neon"``, ``"sve"`` …
        performance_cores: Big cores of a hybrid CPU, None where all are alike.
        numa_nodes: Memory nodes.
    """

    model: Text
    physical_cores: Cores
    logical_cores: Cores
    usable_cores: Annotated[float, Meta(gt=0, le=65_536)]
    features: frozenset[Text] = frozenset()
    performance_cores: Cores | None = None
    numa_nodes: Cores = 1


@dataclass(frozen=True, slots=True)
class MemoryUser:
    """A program that holds much memory; processes of one program are added up.

    Attributes:
        name: Program name, e.g. ``"firefox"``.
        resident_bytes: Memory it holds.
        processes: How many processes that is.
    """

    name: Text
    resident_bytes: Bytes
    processes: Annotated[int, Meta(ge=1, le=1 << 30)] = 1


@dataclass(frozen=True, slots=True)
class Memory:
    """Main memory as this process may use it, in bytes.

    Attributes:
        total_bytes: Of the machine.
        limit_bytes: The lowest container limit among all ancestors, None without one.
        available_bytes: What can be had now without swapping, the limit included.
        source: Where ``available_bytes`` comes from, e.g. ``"cgroup v2 memory.max"``.
        swap_total_bytes: Swap of the machine.
        swap_free_bytes: Of it, unused.
        pressure_percent: Share of the last ten seconds in which tasks waited for memory
            (PSI ``some avg10``), None where there is no PSI.
        users: The biggest users, largest first.
        zram_bytes: Of the swap, how much lies compressed in main memory itself: it gains a
            factor of two or three at most and model weights do not compress.
    """

    total_bytes: Annotated[int, Meta(ge=1, le=1 << 60)]
    limit_bytes: Bytes | None
    available_bytes: Bytes
    source: Text
    swap_total_bytes: Bytes = 0
    swap_free_bytes: Bytes = 0
    pressure_percent: Percent | None = None
    users: tuple[MemoryUser, ...] = ()
    zram_bytes: Bytes = 0


class Vendor(StrEnum):
    """Who made a GPU."""

    NVIDIA = "nvidia"
    AMD = "amd"
    INTEL = "intel"
    APPLE = "apple"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics processor.

    Attributes:
        vendor: Who made it.
        name: Marketing name.
        total_bytes: Memory a model may use at most: VRAM of a card, the share that the system
            lends to an integrated GPU.
        free_bytes: Of it, free now.
        unified: Whether that memory is the machine's main memory (never to be added to it).
        driver: Driver or API version, ``""`` if unknown.
        source: Which probe said so.
        bandwidth_bytes_per_second: Vendor figure, None if unknown.
        integrated: Whether it is part of the CPU and no card.
        users: Programs that hold its memory, largest first.
        carve_out_bytes: What the BIOS set aside for an integrated GPU (no longer part of main
            memory), None where that is unknown or meaningless.
        lent_bytes: What the driver lends it of main memory at most (AMD: GTT), None likewise.
    """

    vendor: Vendor
    name: Text
    total_bytes: Bytes
    free_bytes: Bytes
    unified: bool
    driver: Text
    source: Text
    bandwidth_bytes_per_second: BytesPerSecond | None = None
    integrated: bool = False
    users: tuple[MemoryUser, ...] = ()
    carve_out_bytes: Bytes | None = None
    lent_bytes: Bytes | None = None


class Basis(StrEnum):
    """Where a number comes from."""

    MEASURED = "measured here"
    VENDOR = "vendor figure"
    GUESS = "guess"


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """What main memory gives to all usable cores together.

    Attributes:
        value: Bytes per second.
        source: Where the number comes from.
    """

    value: BytesPerSecond
    source: Basis = Basis.GUESS


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system under a path that matters.

    Attributes:
        path: The path that was asked about.
        free_bytes: Free for this user.
        total_bytes: Size.
        filesystem: Type, e.g. ``"ext4"``.
        device: Identifies the file system (paths with the same value share it).
        network: Whether it is a network mount.
        rotational: Whether it is a spinning disk, None if unknown.
        purpose: What is kept there: ``"models"``, ``"ollama"``, ``"temporary"``, ``"state"``.
        writable: Whether this user may write there.
        file_size_limit_bytes: Largest file (FAT32), None without a limit that matters.
    """

    path: Text
    free_bytes: Bytes
    total_bytes: Bytes
    filesystem: Text = "unknown"
    device: Text = ""
    network: bool = False
    rotational: bool | None = None
    purpose: Text = "models"
    writable: bool = True
    file_size_limit_bytes: Bytes | None = None


@dataclass(frozen=True, slots=True)
class Power:
    """Mains or battery.

    Attributes:
        on_battery: None where unknown (most desktops and servers: no battery).
        mode: Power profile or governor, e.g. ``"power-saver"``, ``""`` if unknown.
        laptop: Whether it is one, None if unknown.
        charge_percent: Of the battery, None without.
    """

    on_battery: bool | None = None
    mode: Text = ""
    laptop: bool | None = None
    charge_percent: Percent | None = None


@dataclass(frozen=True, slots=True)
class Thermal:
    """Heat.

    Attributes:
        hottest_celsius: Highest sensor that belongs to a processor, None if unknown.
        throttle_count: Times the CPU was slowed by heat since boot, None if unknown.
    """

    hottest_celsius: Celsius | None = None
    throttle_count: Count | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """What the system itself runs in.

    Attributes:
        kind: ``"none"``, ``"docker"``, ``"docker-desktop"``, ``"podman"``, ``"lxc"``,
            ``"kubernetes"``, ``"other"``.
        wsl: 0, 1 or 2.
        virtual_machine: Hypervisor name, ``""`` on bare metal or if unknown.
        board: Single-board computer or module, as its device tree names it.
        proxies: Names of the proxy variables that are set; their values may hold passwords.
        clock_plausible: False when the clock stands before this program's release: every
            certificate will be refused.
    """

    kind: Text = "none"
    wsl: Annotated[int, Meta(ge=0, le=2)] = 0
    virtual_machine: Text = ""
    board: Text = ""
    proxies: tuple[Text, ...] = ()
    clock_plausible: bool = True


class FindingKind(StrEnum):
    """How a probe ended other than well."""

    NOT_FOUND = "not found"
    BROKEN = "found but broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """A probe that has something to say beside its values.

    Attributes:
        probe: Its name, e.g. ``"nvidia-smi"``.
        kind: Not there, or there and broken: never the same.
        detail: The facts.
        hint: What to do, ``""`` when nothing needs doing.
    """

    probe: Text
    kind: FindingKind
    detail: Text = ""
    hint: Text = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything that decisions are made from.

    Attributes:
        os: ``"linux"``, ``"macos"``, ``"windows"``.
        os_version: Free text.
        arch: ``"x86_64"``, ``"arm64"``, …
        cpu: The processor.
        memory: Main memory.
        gpus: Every GPU, cards first.
        memory_bandwidth_bytes_per_second: Main memory bandwidth.
        disks: File systems that matter.
        power: Mains or battery.
        thermal: Heat.
        container: Container, WSL, VM.
        findings: What the probes had to say.
    """

    os: Text
    os_version: Text
    arch: Text
    cpu: Processor
    memory: Memory
    memory_bandwidth_bytes_per_second: Bandwidth
    gpus: tuple[Gpu, ...] = ()
    disks: tuple[Disk, ...] = ()
    power: Power = field(default_factory=Power)
    thermal: Thermal = field(default_factory=Thermal)
    container: Container = field(default_factory=Container)
    findings: tuple[Finding, ...] = ()
