"""Settings for a run: what was asked for, what is left to choose, and what was measured before."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from setup_manager.app.requests import KvTypeName, PreferenceName
from setup_manager.errors import UsageError
from setup_manager.fit import (
    Settings,
    fit_of,
)
from setup_manager.machine import Machine, from_document
from setup_manager.session import Session, Subject

_MAX_MACHINE_FILE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Planning:
    """What was asked for on how a model is to run.

    Attributes:
        context: Tokens, None for what fits.
        kv_type: How keys and values are stored, None for f16.
        slots: Requests side by side, None for one.
        ubatch: Tokens computed at once, None for 512.
        preference: What to rank by.
        runtime: ``"auto"``, ``"llama.cpp"``, ``"ollama"`` or ``"embedded"``.
        projector: Whether images are wanted.
        drafter: Whether the drafter is wanted.
    """

    context: int | None = None
    kv_type: KvTypeName | None = None
    slots: int | None = None
    ubatch: int | None = None
    preference: PreferenceName = "balanced"
    runtime: str = "auto"
    projector: bool = False
    drafter: bool = False

    def settings(self, runtime: str) -> Settings:
        """Make settings; a context that was not asked for is the default's.

        Args:
            runtime: What will run the model.

        Raises:
            UsageError: If a number is out of range.
        """
        default = Settings()
        settings = Settings(
            context=default.context if self.context is None else self.context,
            slots=default.slots if self.slots is None else self.slots,
            ubatch=default.ubatch if self.ubatch is None else self.ubatch,
            projector=self.projector,
            drafter=self.drafter,
            runtime=runtime,
        )
        return settings.stored_as(self.kv_type) if self.kv_type else settings


def settings_for(subject: Subject, planning: Planning, machine: Machine, runtime: str) -> Settings:
    """Choose the settings of one model: the context asked for, or the longest usual that fits.

    Raises:
        UsageError: If they are out of range for the variant, or the variant is unknown.
    """
    settings = planning.settings(runtime)
    variant = subject.variant
    if variant is None:
        return settings
    end = variant.architecture.context_length
    if planning.context is None:
        settings = replace(settings, context=min(settings.context, end))
    load = subject.load(settings, machine)
    return settings if planning.context is not None else fit_of(load, context="usual").settings


def installed_settings(
    session: Session, subject: Subject | None, planning: Planning, runtime: str
) -> Settings:
    """Choose the settings for a model that is installed; its own files say what comes along.

    Raises:
        UsageError: If they are out of range.
    """
    if subject is None:
        return planning.settings(runtime)
    return settings_for(subject, planning, session.machine, runtime)


def read_machine_file(path: Path) -> Machine:
    """Read a machine that was described elsewhere.

    Args:
        path: ``data.machine`` of `check --json`, or the whole document.

    Raises:
        UsageError: If it cannot be read or is no machine, with the field named.
    """
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_MAX_MACHINE_FILE_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is no machine description.",
            code="bad-machine",
            context=[str(error)],
            hint="Make one with `gemma-setup check --json > machine.json` on that machine.",
        ) from error
    if isinstance(document, dict) and isinstance(document.get("data"), dict):
        document = document["data"].get("machine", document)
    return from_document(document)
