"""The machine document: `data.machine` of ``check --json``, written masked, read with suspicion.

A document made here and read elsewhere plans for the machine it describes; a document from
anywhere else is checked field by field, and the field is named.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from setup_manager.errors import UsageError
from setup_manager.machine.facts import (
    Bandwidth,
    Basis,
    Disk,
    Finding,
    FindingKind,
    Gpu,
    Machine,
    Memory,
    MemoryUser,
    Power,
    Processor,
    Surroundings,
    Thermal,
    Vendor,
)

MAX_BYTES = 1 << 60
MAX_CORES = 65_536
MAX_TEXT = 1_000
MAX_ITEMS = 512
MAX_BYTES_PER_SECOND = 1e15

E = TypeVar("E", bound=StrEnum)


# --- writing ---------------------------------------------------------------------------------

_HOMES = (
    (re.compile(r"(?<![\w.~-])/(?:home|Users|var/home)/[^/\\:\s\"']+"), "~"),
    (re.compile(r"((?:/mnt/[a-z]|/media|/run/media)(?:/Users)?)/[^/\\:\s\"']+"), r"\1/~"),
    (re.compile(r"\b[A-Za-z]:[\\/]+Users[\\/]+[^/\\:\"']+"), "~"),
    (re.compile(r"(?<![\w.~/-])/root(?=/|$)"), "~"),
)


def mask(text: str, private: Sequence[str] = ()) -> str:
    """Take out of a text what names a person or a machine.

    Args:
        text: Any text.
        private: Words to hide wherever they stand alone: user and host names.

    Returns:
        The text with home folders as ``~`` and each private word as ``***``.
    """
    for pattern, instead in _HOMES:
        text = pattern.sub(instead, text)
    for word in private:
        if len(word) > 1:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", "***", text)
    return text


def to_document(machine: Machine, private: Sequence[str] = ()) -> dict[str, Any]:
    """Write a machine down, masked, as plain JSON values.

    Args:
        machine: The machine.
        private: User and host names to hide.

    Returns:
        `data.machine` of the contract; further fields carry everything that decisions need.
    """
    document = {
        "os": machine.os,
        "os_version": machine.os_version,
        "arch": machine.arch,
        "cpu": _processor_document(machine.cpu),
        "memory": _memory_document(machine.memory),
        "gpus": [_gpu_document(gpu) for gpu in machine.gpus],
        "memory_bandwidth_bytes_per_second": {
            "value": machine.bandwidth.bytes_per_second,
            "source": machine.bandwidth.basis.value,
        },
        "disks": [_disk_document(disk) for disk in machine.disks],
        "power": {
            "on_battery": machine.power.on_battery,
            "mode": machine.power.mode,
            "laptop": machine.power.laptop,
            "charge_percent": machine.power.charge_percent,
        },
        "thermal": {
            "hottest_celsius": machine.thermal.hottest_celsius,
            "throttle_count": machine.thermal.throttle_count,
        },
        "container": _surroundings_document(machine.surroundings),
        "findings": [
            {
                "probe": finding.probe,
                "kind": finding.kind.value,
                "detail": finding.detail,
                "hint": finding.hint,
            }
            for finding in machine.findings
        ],
    }
    masked: dict[str, Any] = _mask_all(document, private)
    return masked


_FREE_TEXT = frozenset({"path", "device", "detail", "hint", "users"})
"""Fields that may hold a name; elsewhere a user called "linux" or "nvidia" must do no harm."""


def _mask_all(value: Any, private: Sequence[str], *, free_text: bool = False) -> Any:
    if isinstance(value, str):
        return mask(value, private if free_text else ())
    if isinstance(value, dict):
        return {
            key: _mask_all(entry, private, free_text=free_text or key in _FREE_TEXT)
            for key, entry in value.items()
        }
    if isinstance(value, list):
        return [_mask_all(entry, private, free_text=free_text) for entry in value]
    return value


def _processor_document(cpu: Processor) -> dict[str, Any]:
    return {
        "model": cpu.model,
        "physical_cores": cpu.physical_cores,
        "logical_cores": cpu.logical_cores,
        "usable_cores": cpu.usable_cores,
        "performance_cores": cpu.performance_cores,
        "numa_nodes": cpu.numa_nodes,
        "features": sorted(cpu.features),
    }


def _users_document(users: tuple[MemoryUser, ...]) -> list[dict[str, Any]]:
    return [
        {
            "name": user.name,
            "resident_bytes": user.resident_bytes,
            "processes": user.processes,
        }
        for user in users
    ]


def _memory_document(memory: Memory) -> dict[str, Any]:
    return {
        "total_bytes": memory.total_bytes,
        "limit_bytes": memory.limit_bytes,
        "available_bytes": memory.available_bytes,
        "source": memory.source,
        "swap_total_bytes": memory.swap_total_bytes,
        "swap_free_bytes": memory.swap_free_bytes,
        "zram_bytes": memory.zram_bytes,
        "pressure_percent": memory.pressure_percent,
        "users": _users_document(memory.users),
    }


def _gpu_document(gpu: Gpu) -> dict[str, Any]:
    return {
        "vendor": gpu.vendor.value,
        "name": gpu.name,
        "total_bytes": gpu.total_bytes,
        "free_bytes": gpu.free_bytes,
        "unified": gpu.unified,
        "integrated": gpu.integrated,
        "driver": gpu.driver,
        "source": gpu.source,
        "bandwidth_bytes_per_second": gpu.bandwidth_bytes_per_second,
        "carve_out_bytes": gpu.carve_out_bytes,
        "lent_bytes": gpu.lent_bytes,
        "users": _users_document(gpu.users),
    }


def _disk_document(disk: Disk) -> dict[str, Any]:
    return {
        "path": disk.path,
        "purpose": disk.purpose,
        "free_bytes": disk.free_bytes,
        "total_bytes": disk.total_bytes,
        "filesystem": disk.filesystem,
        "device": disk.device,
        "network": disk.network,
        "rotational": disk.rotational,
        "writable": disk.writable,
        "file_size_limit_bytes": disk.file_size_limit_bytes,
    }


def _surroundings_document(surroundings: Surroundings) -> dict[str, Any]:
    return {
        "kind": surroundings.container,
        "wsl": surroundings.wsl,
        "virtual_machine": surroundings.virtual_machine,
        "board": surroundings.board,
        "proxies": list(surroundings.proxies),
        "clock_plausible": surroundings.clock_plausible,
    }


# --- reading ---------------------------------------------------------------------------------

_HINT = "make the file anew on that machine: `gemma-setup check --json`, and take `data.machine`"
_MISSING = object()


def _refuse(path: str, problem: str) -> UsageError:
    return UsageError(f"the machine file is wrong: {path} {problem}", hint=_HINT, context=(path,))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of one object of the document, each read with its type and its bounds."""

    values: Mapping[str, Any]
    path: str = ""

    def name(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _value(self, key: str, default: Any) -> Any:
        value = self.values.get(key, default)
        if value is _MISSING:
            raise _refuse(self.name(key), "is missing")
        return value

    def text(self, key: str, default: Any = _MISSING) -> str:
        value = self._value(key, default)
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise _refuse(self.name(key), f"must be a short text, not {_shown(value)}")
        return value

    def flag(self, key: str, default: Any = _MISSING) -> bool:
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise _refuse(self.name(key), f"must be true or false, not {_shown(value)}")
        return value

    def flag_or_none(self, key: str) -> bool | None:
        return None if self.values.get(key) is None else self.flag(key)

    def whole(
        self,
        key: str,
        default: Any = _MISSING,
        *,
        low: int = 0,
        high: int = MAX_BYTES,
    ) -> int:
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise _refuse(self.name(key), f"must be a whole number, not {_shown(value)}")
        if not low <= value <= high:
            raise _refuse(
                self.name(key), f"must be from {low} to {high}, and {_shown(value)} is not"
            )
        return value

    def whole_or_none(self, key: str, *, low: int = 0, high: int = MAX_BYTES) -> int | None:
        return None if self.values.get(key) is None else self.whole(key, low=low, high=high)

    def number(
        self,
        key: str,
        default: Any = _MISSING,
        *,
        low: float,
        high: float,
    ) -> float:
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _refuse(self.name(key), f"must be a number, not {_shown(value)}")
        if not low <= value <= high or not math.isfinite(value):
            raise _refuse(
                self.name(key), f"must be from {low:g} to {high:g}, and {_shown(value)} is not"
            )
        return float(value)

    def number_or_none(self, key: str, *, low: float, high: float) -> float | None:
        return None if self.values.get(key) is None else self.number(key, low=low, high=high)

    def choice(self, key: str, kinds: type[E], default: Any = _MISSING) -> E:
        value = self._value(key, default)
        known = [kind.value for kind in kinds]
        if not isinstance(value, str) or value not in known:
            allowed = ", ".join(known)
            raise _refuse(self.name(key), f"must be one of {allowed}, not {_shown(value)}")
        return kinds(value)

    def section(self, key: str, *, required: bool) -> _Fields:
        value = self._value(key, _MISSING if required else {})
        if not isinstance(value, Mapping):
            raise _refuse(self.name(key), f"must be an object, not {_shown(value)}")
        return _Fields(value, self.name(key))

    def items(self, key: str, *, required: bool) -> list[Any]:
        value = self._value(key, _MISSING if required else [])
        if not isinstance(value, list) or len(value) > MAX_ITEMS:
            raise _refuse(self.name(key), f"must be a list, not {_shown(value)}")
        return value

    def sections(self, key: str, *, required: bool = False) -> list[_Fields]:
        entries = []
        for index, value in enumerate(self.items(key, required=required)):
            path = f"{self.name(key)}[{index}]"
            if not isinstance(value, Mapping):
                raise _refuse(path, f"must be an object, not {_shown(value)}")
            entries.append(_Fields(value, path))
        return entries

    def texts(self, key: str) -> tuple[str, ...]:
        values = self.items(key, required=False)
        for index, value in enumerate(values):
            if not isinstance(value, str) or len(value) > MAX_TEXT:
                path = f"{self.name(key)}[{index}]"
                raise _refuse(path, f"must be a short text, not {_shown(value)}")
        return tuple(values)

    def within(self, small: int | None, key: str, large: int, large_key: str) -> None:
        if small is not None and small > large:
            raise _refuse(self.name(key), f"({small}) is more than {self.name(large_key)}")


def from_document(document: object) -> Machine:
    """Read a machine document.

    Unknown fields are ignored, so that newer documents can be read. What decisions are made from
    must be there; the rest may be missing.

    Args:
        document: Decoded JSON: `data.machine`, or the whole of ``check --json`` around it.

    Raises:
        UsageError: If a field is missing or absurd; the error names it.
    """
    if not isinstance(document, Mapping):
        raise _refuse("the document", f"must be a JSON object, not {_shown(document)}")
    root = _Fields(document)
    if "data" in document and "memory" not in document:
        root = root.section("data", required=True).section("machine", required=True)
    bandwidth = root.section("memory_bandwidth_bytes_per_second", required=True)
    return Machine(
        os=root.text("os"),
        os_version=root.text("os_version", ""),
        arch=root.text("arch"),
        cpu=_read_processor(root.section("cpu", required=True)),
        memory=_read_memory(root.section("memory", required=True)),
        bandwidth=Bandwidth(
            bandwidth.number("value", low=1e6, high=MAX_BYTES_PER_SECOND),
            bandwidth.choice("source", Basis, Basis.GUESS.value),
        ),
        gpus=tuple(_read_gpu(fields) for fields in root.sections("gpus", required=True)),
        disks=tuple(_read_disk(fields) for fields in root.sections("disks")),
        power=_read_power(root.section("power", required=False)),
        thermal=_read_thermal(root.section("thermal", required=False)),
        surroundings=_read_surroundings(root.section("container", required=False)),
        findings=tuple(_read_finding(fields) for fields in root.sections("findings")),
    )


def _read_processor(fields: _Fields) -> Processor:
    physical = fields.whole("physical_cores", low=1, high=MAX_CORES)
    logical = fields.whole("logical_cores", low=1, high=MAX_CORES)
    fields.within(physical, "physical_cores", logical, "logical_cores")
    performance = fields.whole_or_none("performance_cores", low=1, high=MAX_CORES)
    fields.within(performance, "performance_cores", physical, "physical_cores")
    return Processor(
        model=fields.text("model"),
        physical_cores=physical,
        logical_cores=logical,
        usable_cores=fields.number("usable_cores", logical, low=0.001, high=logical),
        features=frozenset(fields.texts("features")),
        performance_cores=performance,
        numa_nodes=fields.whole("numa_nodes", 1, low=1, high=MAX_CORES),
    )


def _read_users(fields: _Fields) -> tuple[MemoryUser, ...]:
    return tuple(
        MemoryUser(
            entry.text("name"),
            entry.whole("resident_bytes"),
            entry.whole("processes", 1, low=1, high=1 << 30),
        )
        for entry in fields.sections("users")
    )


def _read_memory(fields: _Fields) -> Memory:
    total = fields.whole("total_bytes", low=1)
    available = fields.whole("available_bytes")
    fields.within(available, "available_bytes", total, "total_bytes")
    swap = fields.whole("swap_total_bytes", 0)
    swap_free = fields.whole("swap_free_bytes", 0)
    fields.within(swap_free, "swap_free_bytes", swap, "swap_total_bytes")
    return Memory(
        total_bytes=total,
        limit_bytes=fields.whole_or_none("limit_bytes"),
        available_bytes=available,
        source=fields.text("source", ""),
        swap_total_bytes=swap,
        swap_free_bytes=swap_free,
        pressure_percent=fields.number_or_none("pressure_percent", low=0, high=100),
        users=_read_users(fields),
        zram_bytes=fields.whole("zram_bytes", 0),
    )


def _read_gpu(fields: _Fields) -> Gpu:
    total = fields.whole("total_bytes")
    free = fields.whole("free_bytes")
    fields.within(free, "free_bytes", total, "total_bytes")
    return Gpu(
        vendor=fields.choice("vendor", Vendor),
        name=fields.text("name"),
        total_bytes=total,
        free_bytes=free,
        unified=fields.flag("unified"),
        driver=fields.text("driver", ""),
        source=fields.text("source", ""),
        bandwidth_bytes_per_second=fields.number_or_none(
            "bandwidth_bytes_per_second", low=1e6, high=MAX_BYTES_PER_SECOND
        ),
        integrated=fields.flag("integrated", fields.values.get("unified", False)),
        users=_read_users(fields),
        carve_out_bytes=fields.whole_or_none("carve_out_bytes"),
        lent_bytes=fields.whole_or_none("lent_bytes"),
    )


def _read_disk(fields: _Fields) -> Disk:
    total = fields.whole("total_bytes")
    free = fields.whole("free_bytes")
    fields.within(free, "free_bytes", total, "total_bytes")
    return Disk(
        path=fields.text("path"),
        free_bytes=free,
        total_bytes=total,
        filesystem=fields.text("filesystem", "unknown"),
        device=fields.text("device", ""),
        network=fields.flag("network", default=False),
        rotational=fields.flag_or_none("rotational"),
        purpose=fields.text("purpose", "models"),
        writable=fields.flag("writable", default=True),
        file_size_limit_bytes=fields.whole_or_none("file_size_limit_bytes"),
    )


def _read_power(fields: _Fields) -> Power:
    return Power(
        on_battery=fields.flag_or_none("on_battery"),
        mode=fields.text("mode", ""),
        laptop=fields.flag_or_none("laptop"),
        charge_percent=fields.number_or_none("charge_percent", low=0, high=100),
    )


def _read_thermal(fields: _Fields) -> Thermal:
    return Thermal(
        hottest_celsius=fields.number_or_none("hottest_celsius", low=-100, high=300),
        throttle_count=fields.whole_or_none("throttle_count"),
    )


def _read_surroundings(fields: _Fields) -> Surroundings:
    return Surroundings(
        container=fields.text("kind", "none"),
        wsl=fields.whole("wsl", 0, high=2),
        virtual_machine=fields.text("virtual_machine", ""),
        board=fields.text("board", ""),
        proxies=fields.texts("proxies"),
        clock_plausible=fields.flag("clock_plausible", default=True),
    )


def _read_finding(fields: _Fields) -> Finding:
    return Finding(
        probe=fields.text("probe"),
        kind=fields.choice("kind", FindingKind),
        detail=fields.text("detail", ""),
        hint=fields.text("hint", ""),
    )
