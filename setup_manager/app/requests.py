"""The parts that requests share, each defined once and checked when a request is made.

A field that is None, or has its default, was not asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from setup_manager.codec import CodecError, parse
from setup_manager.errors import UsageError
from setup_manager.fit import Settings, fit_of
from setup_manager.machine import Machine, from_document
from setup_manager.runtimes import REGISTRY
from setup_manager.session import Companions, Session, Subject

KvTypeName = Literal["f16", "q8_0", "q4_0"]
PreferenceName = Literal["speed", "quality", "balanced"]
TaskName = Literal["chat", "coding", "vision", "long documents"]
StrPath = str | os.PathLike[str]

_MAX_MACHINE_FILE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Files(Companions):
    """Which files of a model are fetched.

    Attributes:
        latest: The newest upload that the hub has instead of the pinned one.
    """

    latest: bool = False


@dataclass(frozen=True, kw_only=True)
class Run(Companions):
    """How a model is to run.

    Attributes:
        context: Tokens that one conversation may hold, None for what fits.
        kv_type: How keys and values are stored, None for f16.
        slots: Requests served side by side, None for one.
        ubatch: Tokens computed at once, None for 512.
        runtime: The name of a runtime, or ``"auto"``.

    Raises:
        UsageError: If a value is out of range.
    """

    context: int | None = None
    kv_type: KvTypeName | None = None
    slots: int | None = None
    ubatch: int | None = None
    runtime: str = "auto"

    def __post_init__(self) -> None:
        require("kv_type", self.kv_type, (None, *get_args(KvTypeName)))
        require("runtime", self.runtime, ("auto", *REGISTRY))
        self.settings()

    @property
    def planned_runtime(self) -> str:
        """The runtime that memory is worked out for when none needs to be here yet."""
        return REGISTRY.first if self.runtime == "auto" else self.runtime

    def settings(self, runtime: str | None = None) -> Settings:
        """Make settings; what was not asked for is the default's.

        Args:
            runtime: What will run the model, None for the runtime planned for.

        Raises:
            UsageError: If a number is out of range.
        """
        default = Settings()
        engine = REGISTRY[runtime or self.planned_runtime]
        settings = Settings(
            context=default.context if self.context is None else self.context,
            slots=default.slots if self.slots is None else self.slots,
            ubatch=default.ubatch if self.ubatch is None else self.ubatch,
            projector=self.with_projector,
            drafter=self.with_drafter,
            runtime=engine.name,
            program_bytes=engine.program_bytes,
            bounds_caches=engine.bounds_caches,
        )
        return settings.stored_as(self.kv_type) if self.kv_type else settings


@dataclass(frozen=True, kw_only=True)
class OnMachine:
    """Which machine is planned for.

    Attributes:
        machine: Another machine than this one: ``data.machine`` of `check --json` run there, or
            the file that has it.
    """

    machine: Machine | StrPath | None = None

    def machine_in(self, session: Session) -> Machine:
        """Take the machine that was named, or the session's own.

        Raises:
            UsageError: If a file that was named is no machine.
        """
        if self.machine is None:
            return session.machine
        if isinstance(self.machine, Machine):
            return self.machine
        return _read_machine_file(Path(self.machine))


@dataclass(frozen=True, kw_only=True)
class RankedRun(Run):
    """How a model is to run that is chosen from a ranking.

    Attributes:
        prefer: What to rank by.
    """

    prefer: PreferenceName = "balanced"

    def __post_init__(self) -> None:
        super().__post_init__()
        require("prefer", self.prefer, get_args(PreferenceName))


def settings_for(subject: Subject, asked: Run, machine: Machine, runtime: str) -> Settings:
    """Choose the settings of one model: the context asked for, or the longest usual that fits.

    Raises:
        UsageError: If they are out of range for the variant, or the variant is unknown.
    """
    settings = asked.settings(runtime)
    variant = subject.variant
    if variant is None:
        return settings
    if asked.context is not None:
        return subject.load(settings, machine).settings
    shortest = min(settings.context, variant.architecture.context_length)
    load = subject.load(replace(settings, context=shortest), machine)
    return fit_of(load, context="usual").settings


def require(field: str, value: object, known: Iterable[object]) -> None:
    """Refuse a value that types alone do not keep out.

    Raises:
        UsageError: If it is none of the known ones.
    """
    choices = tuple(known)
    if value not in choices:
        raise UsageError(
            f"{field} cannot be {value!r}.",
            code="bad-argument",
            hint=f"Give one of: {', '.join(map(str, choices))}.",
        )


def _read_machine_file(path: Path) -> Machine:
    """Read `data.machine` of `check --json`, or the whole document."""
    try:
        with path.open("rb") as file:
            document = parse(file.read(_MAX_MACHINE_FILE_BYTES))
    except (OSError, CodecError) as error:
        raise UsageError(
            f"{path} is not a machine description.",
            code="bad-machine",
            context=[str(error)],
            hint="Make one with `gemma-setup check --json > machine.json` on that machine.",
        ) from error
    return from_document(document)
