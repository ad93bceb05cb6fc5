"""From options to what the workflow takes."""

from __future__ import annotations

from pathlib import Path

from setup_manager.app.planning import Planning, read_machine_file
from setup_manager.cli.options import ModelOptions, PlanningOptions
from setup_manager.machine import Machine
from setup_manager.session import Session, Wanted


def planning_of(options: PlanningOptions, files: ModelOptions | None = None) -> Planning:
    """Turn planning options into a planning."""
    files = files or ModelOptions()
    return Planning(
        context=options.context,
        kv_type=options.kv_type,
        slots=options.slots,
        ubatch=options.ubatch,
        preference=options.prefer,
        runtime=options.runtime,
        projector=files.with_projector,
        drafter=files.with_drafter,
    )


def wanted_of(options: ModelOptions) -> Wanted:
    """Turn model options into the files that are wanted."""
    return Wanted(options.latest, options.with_projector, options.with_drafter)


def machine_for(session: Session, options: PlanningOptions) -> Machine:
    """Take the machine that was named, or this one.

    Raises:
        UsageError: If the file is no machine.
    """
    return read_machine_file(Path(options.machine)) if options.machine else session.machine


def planned_runtime(options: PlanningOptions) -> str:
    """Name the runtime that memory is worked out for when none needs to be here yet."""
    return "llama.cpp" if options.runtime == "auto" else options.runtime
