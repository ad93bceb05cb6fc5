"""Machines to decide for: made up, with the figures of real parts."""

from __future__ import annotations

from setup_manager.machine.facts import (
    Bandwidth,
    Basis,
    Gpu,
    Machine,
    Memory,
    MemoryUser,
    Power,
    Processor,
    Vendor,
)
from setup_manager.units import GIB

AVX512 = frozenset({"avx2", "avx512f"})


def cpu_machine(
    available_gib: float = 20.0,
    total_gib: float = 24.0,
    *,
    cores: int = 8,
    features: frozenset[str] = AVX512,
    arch: str = "x86_64",
    bandwidth: float = 60e9,
    gpus: tuple[Gpu, ...] = (),
    limit_gib: float | None = None,
    users: tuple[MemoryUser, ...] = (),
    power: Power | None = None,
    basis: Basis = Basis.MEASURED,
) -> Machine:
    """A machine with these figures."""
    return Machine(
        os="linux",
        os_version="",
        arch=arch,
        cpu=Processor("a CPU", cores, cores, float(cores), features),
        memory=Memory(
            total_bytes=int(total_gib * GIB),
            limit_bytes=None if limit_gib is None else int(limit_gib * GIB),
            available_bytes=int(available_gib * GIB),
            source="test",
            users=users,
        ),
        memory_bandwidth_bytes_per_second=Bandwidth(bandwidth, basis),
        gpus=gpus,
        power=power or Power(),
    )


def card(
    name: str = "NVIDIA GeForce RTX 3090",
    total_gib: float = 24.0,
    free_gib: float | None = None,
    *,
    vendor: Vendor = Vendor.NVIDIA,
    bandwidth: float | None = 936e9,
) -> Gpu:
    """A card with memory of its own."""
    free = total_gib - 0.5 if free_gib is None else free_gib
    return Gpu(
        vendor=vendor,
        name=name,
        total_bytes=int(total_gib * GIB),
        free_bytes=int(free * GIB),
        unified=False,
        driver="",
        source="test",
        bandwidth_bytes_per_second=bandwidth,
    )


def mac(memory_gib: float = 32.0, available_gib: float = 24.0) -> Machine:
    """An Apple machine: the GPU may use three quarters of main memory."""
    gpu = Gpu(
        vendor=Vendor.APPLE,
        name="Apple M1 Max",
        total_bytes=int(memory_gib * 0.75 * GIB),
        free_bytes=int(min(memory_gib * 0.75, available_gib) * GIB),
        unified=True,
        driver="",
        source="test",
        bandwidth_bytes_per_second=400e9,
        integrated=True,
    )
    return cpu_machine(
        available_gib,
        memory_gib,
        cores=8,
        features=frozenset({"neon", "dotprod"}),
        arch="arm64",
        bandwidth=400e9,
        gpus=(gpu,),
    )
