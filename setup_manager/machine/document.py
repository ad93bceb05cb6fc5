"""The machine document, `data.machine` of ``check --json``, read with suspicion.

A document made here and read elsewhere plans for the machine it describes; a document from
anywhere else is checked field by field, and the field is named.
"""

from __future__ import annotations

from collections.abc import Mapping

from setup_manager.codec import CodecError, from_plain
from setup_manager.errors import UsageError
from setup_manager.machine.facts import Disk, Gpu, Machine

_HINT = "Make it again on that machine with `gemma-setup check --json`, and use `data.machine`."


def from_document(document: object) -> Machine:
    """Read a machine document.

    Unknown fields are ignored, so that newer documents can be read. What decisions are made from
    must be there; the rest may be missing.

    Args:
        document: Decoded JSON: `data.machine`, or the whole of ``check --json`` around it.

    Raises:
        UsageError: If a field is missing or absurd; the error names it.
    """
    try:
        machine = from_plain(Machine, _completed(_inner(document)))
        _refuse_contradictions(machine)
    except CodecError as error:
        raise UsageError(
            f"The machine file is wrong: {error.path or 'the document'} {error.problem}.",
            code="bad-machine",
            hint=_HINT,
            context=(error.path,) if error.path else (),
        ) from error
    return machine


def _inner(document: object) -> object:
    if isinstance(document, Mapping) and "data" in document and "memory" not in document:
        data = document["data"]
        return data.get("machine") if isinstance(data, Mapping) else data
    return document


def _completed(document: object) -> object:
    """Fill in what follows from other fields, for a machine that was written down by hand."""
    if not isinstance(document, Mapping):
        return document
    if "gpus" not in document:
        raise CodecError("gpus", "is missing")  # a machine without one says so
    filled = {"os_version": "", **document}
    cpu, gpus = filled.get("cpu"), filled.get("gpus")
    if isinstance(cpu, Mapping) and "logical_cores" in cpu:
        filled["cpu"] = {"usable_cores": cpu["logical_cores"], **cpu}
    if isinstance(memory := filled.get("memory"), Mapping):
        filled["memory"] = {"source": "", **memory}
    if isinstance(gpus, list):
        filled["gpus"] = [_completed_gpu(gpu) for gpu in gpus]
    return filled


def _completed_gpu(gpu: object) -> object:
    """A card is described well enough by its vendor, its name and its memory."""
    if not isinstance(gpu, Mapping) or "total_bytes" not in gpu:
        return gpu
    unified = gpu.get("unified", False)
    defaults = {"free_bytes": gpu["total_bytes"], "unified": False, "integrated": unified}
    return {**defaults, "driver": "", "source": "", **gpu}


def _refuse_contradictions(machine: Machine) -> None:
    """Hold fields against each other.

    Raises:
        CodecError: If a part is more than its whole.
    """
    cpu, memory = machine.cpu, machine.memory
    parts: list[tuple[str, float | None, str, float]] = [
        ("cpu.physical_cores", cpu.physical_cores, "cpu.logical_cores", cpu.logical_cores),
        ("cpu.usable_cores", cpu.usable_cores, "cpu.logical_cores", cpu.logical_cores),
        ("cpu.performance_cores", cpu.performance_cores, "cpu.physical_cores", cpu.physical_cores),
        (
            "memory.available_bytes", memory.available_bytes,
            "memory.total_bytes", memory.total_bytes,
        ),
        (
            "memory.swap_free_bytes", memory.swap_free_bytes,
            "memory.swap_total_bytes", memory.swap_total_bytes,
        ),
    ]  # fmt: skip
    places: list[tuple[str, Gpu | Disk]]
    places = [(f"gpus[{index}]", gpu) for index, gpu in enumerate(machine.gpus)]
    places += [(f"disks[{index}]", disk) for index, disk in enumerate(machine.disks)]
    parts += [
        (f"{name}.free_bytes", place.free_bytes, f"{name}.total_bytes", place.total_bytes)
        for name, place in places
    ]
    for name, part, whole_name, whole in parts:
        if part is not None and part > whole:
            raise CodecError(name, f"({part}) is more than {whole_name}")
