"""Settings for a run: what was asked for, and what is left to choose."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from setup_manager.app.installed import find_installed
from setup_manager.app.requests import OnMachine, Run
from setup_manager.app.verbs.runtime import ChosenRuntime
from setup_manager.errors import UsageError
from setup_manager.fit import (
    USUAL_CONTEXTS,
    Settings,
    check_settings,
    compare,
    default_context,
    default_headroom,
    memory_use,
)
from setup_manager.library import InstalledModel
from setup_manager.machine import Machine, from_document
from setup_manager.session import Session, Subject

_MAX_MACHINE_FILE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Launch:
    """An installed model, and how it is started.

    Attributes:
        model: The model.
        subject: What the catalogue knows of it, None where it knows nothing.
        runtime: What will run it.
        settings: How.
    """

    model: InstalledModel
    subject: Subject | None
    runtime: ChosenRuntime
    settings: Settings


def plan_launch(session: Session, text: str, asked: Run, runtime: ChosenRuntime) -> Launch:
    """Say how an installed model is started.

    Args:
        session: What to work with.
        text: MODEL argument.
        asked: What was asked for.
        runtime: What will run it.

    Raises:
        UsageError: If the model is not installed, or a number is out of range for it.
    """
    model, subject = find_installed(session, text, asked)
    if subject is None:
        return Launch(model, None, runtime, asked.settings(runtime.name))
    settings = settings_for(subject, asked, session.machine, runtime.name)
    return Launch(model, subject, runtime, settings)


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
        check_settings(settings, variant.architecture)
        return settings
    headroom = default_headroom(machine)
    longest = variant.architecture.context_length
    usual = [context for context in USUAL_CONTEXTS if context <= longest] or [longest]
    chosen = default_context(
        usual,
        settings,
        lambda tried: compare(
            memory_use(variant.architecture, subject.weights, tried, machine), machine, headroom
        ),
    )
    return replace(chosen, gpu_layers=None)


def machine_for(session: Session, asked: OnMachine) -> Machine:
    """Take the machine that was named, or this one.

    Raises:
        UsageError: If a file that was named is no machine.
    """
    if asked.machine is None:
        return session.machine
    if isinstance(asked.machine, Machine):
        return asked.machine
    return _read_machine_file(Path(asked.machine))


def _read_machine_file(path: Path) -> Machine:
    """Read `data.machine` of `check --json`, or the whole document."""
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
