"""NVIDIA GPUs, through nvidia-smi: cards, unified parts, MIG, and all the ways it breaks."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from setup_manager.machine.facts import Finding, FindingKind, Gpu, Memory, MemoryUser, Vendor
from setup_manager.machine.probe.cpu import read_board
from setup_manager.machine.probe.memory import MAX_USERS
from setup_manager.machine.probe.pci import has_display_device
from setup_manager.machine.probe.surroundings import wsl_version
from setup_manager.machine.probe.system import MAX_BYTES, CommandResult, Outcome, System, whole

GpuAnswer = tuple[tuple[Gpu, ...], tuple[Finding, ...]]

NAME = "nvidia-smi"
SECONDS = 3.0
NVIDIA_PCI_VENDOR = 0x10DE

_COLUMNS = "uuid,name,driver_version,memory.total,memory.free,memory.used"
QUERY = ("nvidia-smi", f"--query-gpu={_COLUMNS},mig.mode.current", "--format=csv")
OLD_QUERY = ("nvidia-smi", f"--query-gpu={_COLUMNS}", "--format=csv")
"""Drivers before 450 know no MIG and refuse the whole query for it."""

USERS_QUERY = (
    "nvidia-smi",
    "--query-compute-apps=gpu_uuid,process_name,used_gpu_memory",
    "--format=csv",
)
LIST = ("nvidia-smi", "-L")

_UNITS = {"B": 1, "KIB": 1024, "MIB": 1024**2, "GIB": 1024**3, "MB": 1024**2}
_SIZE = re.compile(r"([0-9]{1,12})\s*([A-Za-z]{0,3})")


@dataclass(frozen=True, slots=True)
class Row:
    """One GPU as nvidia-smi lists it; None for what it does not say (``[N/A]``).

    Attributes:
        uuid: Identifies the GPU, ``""`` if not asked for.
        name: Marketing name.
        driver: Driver version.
        total_bytes: Memory of the GPU.
        free_bytes: Of it, free.
        mig: Whether it is cut into MIG instances.
        trouble: What it says in the place of the memory when something is wrong, such as
            ``"Insufficient Permissions"`` or ``"GPU is lost"``; ``[N/A]`` is nothing wrong.
    """

    uuid: str
    name: str
    driver: str
    total_bytes: int | None
    free_bytes: int | None
    mig: bool
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class MigInstance:
    """A part of a GPU that is used as a GPU of its own.

    Attributes:
        gpu_uuid: The GPU that is cut up.
        uuid: Of the instance.
        profile: Its kind, e.g. ``"3g.20gb"``.
        total_bytes: Its memory.
    """

    gpu_uuid: str
    uuid: str
    profile: str
    total_bytes: int


def parse_table(text: str) -> tuple[dict[str, str], ...]:
    """Read nvidia-smi's CSV with its header; columns are found by name, in whatever order.

    Returns:
        One mapping for each row, keyed by column name and unit, e.g. ``"memory.total [MiB]"``.
        Text before the header (warnings) is skipped.
    """
    lines = [line for line in text.splitlines() if "," in line or line.strip() == "name"]
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, skipinitialspace=True)]
    except csv.Error:
        return ()
    start = next((i for i, row in enumerate(rows) if {"name", "process_name"} & set(row)), None)
    if start is None:
        return ()
    header = rows[start]
    return tuple(
        dict(zip(header, row, strict=True)) for row in rows[start + 1 :] if len(row) == len(header)
    )


def _cell(row: Mapping[str, str], column: str) -> str:
    """Find a column whatever unit its header carries; the unit is put behind a bare number."""
    for key, value in row.items():
        name, _, unit = key.partition(" ")
        if name == column:
            bare = whole(value) is not None
            return f"{value} {unit.strip('[]')}" if bare and unit else value
    return ""


def parse_amount(text: str) -> int | None:
    """Read ``"24564 MiB"``; None for ``[N/A]``, ``[Not Supported]`` and rubbish.

    Returns:
        Bytes; a bare number counts MiB, as nvidia-smi does under ``nounits``.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    amount = int(match[1]) * _UNITS.get((match[2] or "MiB").upper(), 0)
    return amount if 0 < amount <= MAX_BYTES or match[1].strip("0") == "" else None


def parse_gpus(text: str) -> tuple[Row, ...]:
    """Read the answer to a ``--query-gpu`` of any columns that include the name."""
    found = []
    for row in parse_table(text):
        name = _cell(row, "name")
        if not name or name.startswith("["):
            continue
        total = parse_amount(_cell(row, "memory.total")) or None
        free = parse_amount(_cell(row, "memory.free"))
        used = parse_amount(_cell(row, "memory.used"))
        if free is None and total is not None and used is not None:
            free = total - used
        if free is not None and total is not None:
            free = max(0, min(free, total))
        found.append(
            Row(
                uuid=_cell(row, "uuid"),
                name=name,
                driver=_known(_cell(row, "driver_version")),
                total_bytes=total,
                free_bytes=free,
                mig=_cell(row, "mig.mode.current") == "Enabled",
                trouble=_trouble(_cell(row, "memory.total")),
            )
        )
    return tuple(found)


def _trouble(text: str) -> str:
    inside = text.strip("[]")
    return inside if text.startswith("[") and inside not in ("N/A", "Not Supported") else ""


def _known(text: str) -> str:
    return "" if text.startswith("[") else text


def parse_users(text: str) -> dict[str, tuple[MemoryUser, ...]]:
    """Read the answer to ``--query-compute-apps``.

    Returns:
        The users of each GPU's memory, by the GPU's uuid; empty under WSL, where Windows keeps
        that to itself.
    """
    held: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in parse_table(text):
        amount = parse_amount(_cell(row, "used_gpu_memory") or _cell(row, "used_memory"))
        program = re.split(r"[\\/]", _cell(row, "process_name").split(" ")[0])[-1]
        if amount and program and not program.startswith("["):
            held[_cell(row, "gpu_uuid")][program].append(amount)
    return {
        uuid: tuple(
            sorted(
                (MemoryUser(name, sum(sizes), len(sizes)) for name, sizes in programs.items()),
                key=lambda user: (-user.resident_bytes, user.name),
            )[:MAX_USERS]
        )
        for uuid, programs in held.items()
    }


_GPU_LINE = re.compile(r"GPU \d+: .* \(UUID: (\S+)\)")
_MIG_LINE = re.compile(r"\s+MIG (\S*?(\d{1,3})gb\S*)\s+Device\s+\d+: \(UUID: (\S+)\)")


def parse_mig_instances(text: str) -> tuple[MigInstance, ...]:
    """Read the MIG instances in ``nvidia-smi -L``.

    The memory in a profile's name is rounded up by the vendor, so a twentieth is taken off: an
    A100's 3g.20gb has 19.6 GiB, its 1g.5gb 4.75 GiB. Source: NVIDIA, MIG user guide.
    """
    found: list[MigInstance] = []
    gpu_uuid = ""
    for line in text.splitlines():
        if gpu := _GPU_LINE.match(line):
            gpu_uuid = gpu[1]
        elif mig := _MIG_LINE.match(line):
            size = int(mig[2]) * 1024**3 * 19 // 20
            found.append(MigInstance(gpu_uuid, mig[3], mig[1], size))
    return tuple(found)


_WSL_ADVICE = (
    "under Windows: `wsl --update`, update the NVIDIA driver there, then `wsl --shutdown`; "
    "do not install a driver inside WSL"
)
_ADVICE = {
    "couldn't communicate with the NVIDIA driver": (
        "the driver is installed but not loaded: after a kernel update rebuild it "
        "(`sudo dkms autoinstall`, or reinstall the driver package), then restart; "
        "with Secure Boot on, its module must be signed"
    ),
    "Driver/library version mismatch": (
        "the driver was updated while in use: restart, or reload its modules"
    ),
    "No devices were found": (
        "the driver runs but sees no GPU: check `sudo dmesg | grep -i nvrm`; "
        "a card that has fallen off the bus needs a restart"
    ),
    "GPU is lost": ("the card has fallen off the bus: restart the machine, check its power cables"),
    "Insufficient Permissions": (
        "this user cannot read the GPU's memory: check the permissions of /dev/nvidia*"
    ),
    "GPU access blocked by the operating system": _WSL_ADVICE,
    "Failed to initialize NVML": (
        "in a container: start it with `--gpus all` and the NVIDIA container toolkit; "
        "elsewhere reinstall the driver and restart"
    ),
}


def advise(complaint: str) -> str:
    """Tell what to do about a complaint of nvidia-smi."""
    lowered = complaint.lower()
    for symptom, advice in _ADVICE.items():
        if symptom.lower() in lowered:
            return advice
    return "reinstall the NVIDIA driver, then restart"


def _broken(system: System, result: CommandResult) -> Finding:
    if result.outcome is Outcome.TIMED_OUT:
        detail = f"nvidia-smi did not answer within {SECONDS:.0f} s"
        hint = "the driver hangs: restart the machine; see `sudo dmesg | grep -i -e nvrm -e xid`"
        return Finding(NAME, FindingKind.BROKEN, detail, hint)
    hint = advise(f"{result.stdout}\n{result.stderr}")
    if wsl_version(system.read("/proc/version") or ""):
        hint = _WSL_ADVICE
    return Finding(NAME, FindingKind.BROKEN, f"nvidia-smi: {result.complaint}", hint)


def _without_tool(system: System, memory: Memory) -> GpuAnswer:
    """Explain why there is no nvidia-smi: no GPU, no driver, or a Jetson, which has none."""
    if "nvidia,tegra" in (system.read("/proc/device-tree/compatible") or ""):
        name = read_board(system) or "NVIDIA Jetson"
        row = Row("", name, "", None, None, mig=False)
        return (_unified(row, memory, ()),), ()
    return (), (_missing(system),)


def _missing(system: System) -> Finding:
    if has_display_device(system, NVIDIA_PCI_VENDOR):
        return Finding(
            NAME,
            FindingKind.BROKEN,
            "an NVIDIA GPU was found, but nvidia-smi is not installed",
            "install the NVIDIA driver (nouveau cannot run models)",
        )
    return Finding(NAME, FindingKind.NOT_FOUND, "no nvidia-smi")


def read_nvidia(system: System, memory: Memory) -> GpuAnswer:
    """Ask nvidia-smi for every GPU.

    Args:
        system: The machine.
        memory: Main memory, which a unified part shares.

    Returns:
        The GPUs, never added up, and what went wrong.
    """
    with ThreadPoolExecutor(1) as side:  # each call takes up to a second on a sleeping card
        asked = side.submit(system.run, USERS_QUERY, SECONDS)
        result = system.run(QUERY, SECONDS)
        users = parse_users(asked.result().stdout)
    if result.outcome is Outcome.NOT_FOUND:
        return _without_tool(system, memory)
    if "not a valid field" in result.stdout + result.stderr:
        result = system.run(OLD_QUERY, SECONDS)
    rows = parse_gpus(result.stdout) if result.outcome is Outcome.RAN else ()
    if not rows:
        return (), (_broken(system, result),)
    whole_gpus = [_gpu(row, memory, users.get(row.uuid, ())) for row in rows if not row.mig]
    instances, findings = _mig(system, tuple(row for row in rows if row.mig), users)
    gpus = [gpu for gpu, _ in whole_gpus if gpu is not None]
    findings += [finding for _, finding in whole_gpus if finding is not None]
    return (*instances, *gpus), tuple(findings)


def _mig(
    system: System, parents: tuple[Row, ...], users: Mapping[str, tuple[MemoryUser, ...]]
) -> tuple[list[Gpu], list[Finding]]:
    """Put MIG instances in the place of GPUs that are cut up: nothing can use all of one."""
    if not parents:
        return [], []
    instances = parse_mig_instances(system.run(LIST, SECONDS).stdout)
    if not instances:
        detail = "MIG is on, but nvidia-smi -L lists no instance that can be used"
        hint = (
            "create one: `sudo nvidia-smi mig -cgi 0 -C`, or turn MIG off: `sudo nvidia-smi -mig 0`"
        )
        return [], [Finding(NAME, FindingKind.BROKEN, detail, hint)]
    by_uuid = {row.uuid: row for row in parents}
    gpus = []
    for instance in instances:
        parent = by_uuid.get(instance.gpu_uuid, parents[0])
        held = users.get(instance.uuid, ())
        used = sum(user.resident_bytes for user in held)
        row = replace(
            parent,
            name=f"{parent.name} MIG {instance.profile}",
            total_bytes=instance.total_bytes,
            free_bytes=max(instance.total_bytes - used, 0),
        )
        gpus.append(_card(row, instance.total_bytes, held))
    return gpus, []


def _gpu(
    row: Row, memory: Memory, users: tuple[MemoryUser, ...]
) -> tuple[Gpu | None, Finding | None]:
    if row.total_bytes is not None:
        unknown = Finding(
            NAME, FindingKind.BROKEN, f"{row.name}: nvidia-smi does not say how much memory is free"
        )
        return _card(row, row.total_bytes, users), unknown if row.free_bytes is None else None
    if row.trouble:
        detail = f"{row.name}: nvidia-smi reports for its memory: {row.trouble}"
        return None, Finding(NAME, FindingKind.BROKEN, detail, advise(row.trouble))
    return _unified(row, memory, users), None


def _card(row: Row, total_bytes: int, users: tuple[MemoryUser, ...]) -> Gpu:
    return Gpu(
        vendor=Vendor.NVIDIA,
        name=row.name,
        total_bytes=total_bytes,
        free_bytes=total_bytes if row.free_bytes is None else row.free_bytes,
        unified=False,
        driver=row.driver,
        source=NAME,
        users=users,
    )


def _unified(row: Row, memory: Memory, users: tuple[MemoryUser, ...]) -> Gpu:
    """Describe a part that says [N/A] of its memory: GB10 and Jetson have none of their own.

    Source: NVIDIA, DGX Spark known issues, "nvidia-smi reports memory usage not supported".
    """
    return Gpu(
        vendor=Vendor.NVIDIA,
        name=row.name,
        total_bytes=memory.total_bytes,
        free_bytes=memory.available_bytes,
        unified=True,
        driver=row.driver,
        source=f"{NAME} and {memory.source}",
        integrated=True,
        users=users,
    )
