"""The processor on Linux: cores, features, quotas, big and little."""

from __future__ import annotations

import re

from setup_manager.machine.facts import Processor
from setup_manager.machine.probe.cgroup import read_cpu_quota
from setup_manager.machine.probe.system import System, parse_cpu_list, whole

_CPU_FOLDER = "/sys/devices/system/cpu"
_MAX_PROCESSORS = 4096

FEATURES = {
    # Kernel spelling → llama.cpp's, where they differ; everything else of no interest to it
    # is left out. Source: llama.cpp, ggml CPU feature list; Linux, cpufeatures.h and hwcap.
    "sse3": "sse3", "pni": "sse3", "ssse3": "ssse3", "avx": "avx", "avx2": "avx2", "fma": "fma",
    "f16c": "f16c", "bmi2": "bmi2", "avx_vnni": "avx_vnni", "avx512f": "avx512f",
    "avx512bw": "avx512bw", "avx512vl": "avx512vl", "avx512vbmi": "avx512_vbmi",
    "avx512_vbmi2": "avx512_vbmi2", "avx512_vnni": "avx512_vnni", "avx512_bf16": "avx512_bf16",
    "amx_int8": "amx_int8", "amx_bf16": "amx_bf16", "amx_tile": "amx_tile",
    "asimd": "neon", "neon": "neon", "asimddp": "dotprod", "asimdhp": "fp16", "i8mm": "matmul_int8",
    "bf16": "bf16", "sve": "sve", "sve2": "sve2", "sme": "sme",
}  # fmt: skip

_ARM_PARTS = {
    # Implementer 0x41, ARM. Source: Linux, arch/arm64/include/asm/cputype.h.
    "0xd03": "Cortex-A53", "0xd05": "Cortex-A55", "0xd08": "Cortex-A72", "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1", "0xd40": "Neoverse-V1", "0xd41": "Cortex-A78", "0xd42": "Cortex-A78AE",
    "0xd49": "Neoverse-N2", "0xd4f": "Neoverse-V2", "0xd85": "Cortex-X925", "0xd87": "Cortex-A725",
}  # fmt: skip


def parse_cpuinfo(text: str) -> tuple[dict[str, str], ...]:
    """Read ``/proc/cpuinfo``.

    Returns:
        One mapping for each processor; a trailing part without a processor (ARM boards name the
        hardware there) is dropped.
    """
    processors: list[dict[str, str]] = []
    for block in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        for line in block.splitlines():
            key, separator, value = line.partition(":")
            if separator:
                fields.setdefault(key.strip(), value.strip())
        if "processor" in fields and len(processors) < _MAX_PROCESSORS:
            processors.append(fields)
    return tuple(processors)


def processor_features(fields: dict[str, str]) -> frozenset[str]:
    """Translate the flags of one processor into llama.cpp's names."""
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return frozenset(FEATURES[flag] for flag in flags if flag in FEATURES)


def model_name(processors: tuple[dict[str, str], ...], board: str) -> str:
    """Name the processor; ARM kernels give numbers only, and the board's name is said too."""
    for fields in processors:
        if name := fields.get("model name"):
            return re.sub(r"\s+", " ", name)
    parts = {fields.get("CPU part", "") for fields in processors}
    names = sorted({_ARM_PARTS[part] for part in parts if part in _ARM_PARTS})
    cores = " + ".join(names)
    return f"{board} ({cores})" if board and cores else board or cores or "unknown"


def physical_cores(processors: tuple[dict[str, str], ...]) -> int | None:
    """Count cores without hyper-threads; None where cpuinfo does not say."""
    pairs = {
        (fields.get("physical id", "0"), fields["core id"])
        for fields in processors
        if "core id" in fields
    }
    return len(pairs) or None


_LITTLE_ARM_PARTS = frozenset({"0xd03", "0xd04", "0xd05", "0xd46", "0xd80"})
"""Cortex-A53, A35, A55, A510 and A520. Source: Linux, arch/arm64/include/asm/cputype.h."""


def big_arm_threads(processors: tuple[dict[str, str], ...]) -> tuple[int, ...]:
    """Tell big cores from little ones by their part number; empty where all are alike."""
    little = [fields.get("CPU part", "") in _LITTLE_ARM_PARTS for fields in processors]
    if all(little) or not any(little):
        return ()
    return tuple(
        whole(fields["processor"], _MAX_PROCESSORS) or 0
        for fields, is_little in zip(processors, little, strict=True)
        if not is_little
    )


def _cores_of_threads(system: System, threads: tuple[int, ...]) -> int:
    """Count the cores that hardware threads belong to."""
    siblings = {
        system.read_word(f"{_CPU_FOLDER}/cpu{thread}/topology/thread_siblings_list") or str(thread)
        for thread in threads
    }
    return len(siblings)


def _performance_threads(system: System, threads: tuple[int, ...]) -> tuple[int, ...]:
    """Find the threads of big cores; empty where all are alike."""
    intel = parse_cpu_list(system.read("/sys/devices/cpu_core/cpus") or "")
    if intel:
        return intel if system.exists("/sys/devices/cpu_atom/cpus") else ()
    capacities = {
        thread: system.read_whole(f"{_CPU_FOLDER}/cpu{thread}/cpu_capacity") for thread in threads
    }
    return big_ones({thread: value for thread, value in capacities.items() if value})


def big_ones(capacities: dict[int, int]) -> tuple[int, ...]:
    """Pick the big cores by the scheduler's capacity (1024 is the biggest there is).

    Cores within a fifth of the best one are big: chips with "prime" cores have more than one size
    of big core, and llama.cpp runs well on all of them; a little core has half or less.

    Returns:
        Their numbers; empty where all are alike.
    """
    if not capacities or min(capacities.values()) == max(capacities.values()):
        return ()
    best = max(capacities.values())
    big = tuple(thread for thread, value in capacities.items() if value >= 0.8 * best)
    return big if len(big) < len(capacities) else ()


def _allowed_threads(system: System) -> int | None:
    match = re.search(
        r"^Cpus_allowed_list:\s*(\S+)", system.read("/proc/self/status") or "", re.MULTILINE
    )
    return len(parse_cpu_list(match[1])) or None if match else None


def _numa_nodes(system: System) -> int:
    return len(parse_cpu_list(system.read("/sys/devices/system/node/has_memory") or "")) or 1


def _logical_cores(system: System, processors: tuple[dict[str, str], ...]) -> int:
    online = parse_cpu_list(system.read(f"{_CPU_FOLDER}/online") or "")
    return max(len(online) or len(processors), 1)


def read_processor(system: System) -> Processor:
    """Read the processor as this process may use it.

    ``usable_cores`` counts hardware threads, as affinity and quotas do.
    """
    processors = parse_cpuinfo(system.read("/proc/cpuinfo") or "")
    logical = _logical_cores(system, processors)
    threads = tuple(whole(fields["processor"], _MAX_PROCESSORS) or 0 for fields in processors)
    threads = threads or tuple(range(logical))
    big = _performance_threads(system, threads) or big_arm_threads(processors)
    bounds = [float(logical), _allowed_threads(system), read_cpu_quota(system)]
    features = [processor_features(fields) for fields in processors]
    return Processor(
        model=model_name(processors, read_board(system)),
        physical_cores=physical_cores(processors) or _cores_of_threads(system, threads),
        logical_cores=logical,
        usable_cores=min(bound for bound in bounds if bound),
        features=frozenset.intersection(*features) if features else frozenset(),
        performance_cores=_cores_of_threads(system, big) if big else None,
        numa_nodes=_numa_nodes(system),
    )


def read_board(system: System) -> str:
    """Name a single-board computer as its device tree does, ``""`` on everything else."""
    return system.read_word("/proc/device-tree/model")[:80]


def last_level_cache_bytes(system: System) -> int:
    """Add up the last-level caches of the machine, each counted once; 0 if unknown."""
    caches: dict[str, int] = {}
    for name in system.names(_CPU_FOLDER):
        folder = f"{_CPU_FOLDER}/{name}/cache/index3"
        size = re.fullmatch(r"(\d{1,9})K", system.read_word(f"{folder}/size"))
        if size is not None:
            caches[system.read_word(f"{folder}/shared_cpu_list")] = int(size[1]) * 1024
    return sum(caches.values())
