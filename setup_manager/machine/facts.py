"""What is known of a machine: frozen facts, passed from the probes to every decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


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

    model: str
    physical_cores: int
    logical_cores: int
    usable_cores: float
    features: frozenset[str] = frozenset()
    performance_cores: int | None = None
    numa_nodes: int = 1


@dataclass(frozen=True, slots=True)
class MemoryUser:
    """A program that holds much memory; processes of one program are added up.

    Attributes:
        name: Program name, e.g. ``"firefox"``.
        resident_bytes: Memory it holds.
        processes: How many processes that is.
    """

    name: str
    resident_bytes: int
    processes: int


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

    total_bytes: int
    limit_bytes: int | None
    available_bytes: int
    source: str
    swap_total_bytes: int = 0
    swap_free_bytes: int = 0
    pressure_percent: float | None = None
    users: tuple[MemoryUser, ...] = ()
    zram_bytes: int = 0


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
    name: str
    total_bytes: int
    free_bytes: int
    unified: bool
    driver: str
    source: str
    bandwidth_bytes_per_second: float | None = None
    integrated: bool = False
    users: tuple[MemoryUser, ...] = ()
    carve_out_bytes: int | None = None
    lent_bytes: int | None = None


class Basis(StrEnum):
    """Where a number comes from."""

    MEASURED = "measured here"
    VENDOR = "vendor figure"
    GUESS = "guess"


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Bytes per second that main memory gives to all usable cores together."""

    bytes_per_second: float
    basis: Basis


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

    path: str
    free_bytes: int
    total_bytes: int
    filesystem: str
    device: str = ""
    network: bool = False
    rotational: bool | None = None
    purpose: str = "models"
    writable: bool = True
    file_size_limit_bytes: int | None = None


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
    mode: str = ""
    laptop: bool | None = None
    charge_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Thermal:
    """Heat.

    Attributes:
        hottest_celsius: Highest sensor that belongs to a processor, None if unknown.
        throttle_count: Times the CPU was slowed by heat since boot, None if unknown.
    """

    hottest_celsius: float | None = None
    throttle_count: int | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the system itself runs in.

    Attributes:
        container: ``"none"``, ``"docker"``, ``"docker-desktop"``, ``"podman"``, ``"lxc"``,
            ``"kubernetes"``, ``"other"``.
        wsl: 0, 1 or 2.
        virtual_machine: Hypervisor name, ``""`` on bare metal or if unknown.
        board: Single-board computer or module, as its device tree names it.
        proxies: Names of the proxy variables that are set; their values may hold passwords.
        clock_plausible: False when the clock stands before this program's release: every
            certificate will be refused.
    """

    container: str = "none"
    wsl: int = 0
    virtual_machine: str = ""
    board: str = ""
    proxies: tuple[str, ...] = ()
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

    probe: str
    kind: FindingKind
    detail: str
    hint: str = ""


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
        bandwidth: Main memory bandwidth.
        disks: File systems that matter.
        power: Mains or battery.
        thermal: Heat.
        surroundings: Container, WSL, VM.
        findings: What the probes had to say.
    """

    os: str
    os_version: str
    arch: str
    cpu: Processor
    memory: Memory
    bandwidth: Bandwidth
    gpus: tuple[Gpu, ...] = ()
    disks: tuple[Disk, ...] = ()
    power: Power = field(default_factory=Power)
    thermal: Thermal = field(default_factory=Thermal)
    surroundings: Surroundings = field(default_factory=Surroundings)
    findings: tuple[Finding, ...] = ()
