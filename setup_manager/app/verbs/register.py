"""Making a runtime know an installed model, and taking that back.

What was registered is kept with the model in the inventory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from setup_manager.app.planning import Launch, plan_launch
from setup_manager.app.requests import Run
from setup_manager.app.verbs.serve import StartCommands, start_commands
from setup_manager.catalog import Model, Role
from setup_manager.library import InstalledModel, Registration
from setup_manager.runtimes import RegisterOptions, RuntimeEvent
from setup_manager.session import Session
from setup_manager.units import format_size


@dataclass(frozen=True, kw_only=True)
class Request(Run, RegisterOptions):
    """What is registered, and with what.

    Attributes:
        model: MODEL argument of an installed model.
    """

    model: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be registered.

    Attributes:
        launch: The model, what is to know it, and how it will be started.
        options: How it gets in.
        exact: Whether the settings were asked for: a registration with others is made anew.
    """

    launch: Launch
    options: RegisterOptions
    exact: bool = False

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `register` before anything is done."""
        return {"model": self.launch.model.name, "runtime": self.launch.runtime.name}


@dataclass(frozen=True, slots=True)
class Result:
    """A registration.

    Attributes:
        model: The installed model, with the registration in it.
        registration: What the runtime knows now.
        already: Whether it was registered just so before.
        commands: How it is started and asked from now on.
    """

    model: InstalledModel
    registration: Registration
    already: bool
    commands: StartCommands

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `register`."""
        return {
            "model": self.model.name,
            "runtime": self.registration.runtime,
            "name": self.registration.name,
            "already": self.already,
            "details": dict(self.registration.details),
            "start": self.commands.start,
            "ask": self.commands.ask,
        }


def plan(session: Session, request: Request) -> Plan:
    """Say what will be registered, and that there is room for the copies.

    Raises:
        RuntimeMissingError: If what is to know it is not here.
        UsageError: If the model is not installed.
        InsufficientDiskError: If there is no room for the runtime's copies.
    """
    launch = plan_launch(session, request.model, request)
    runtime, status = session.runtime(launch.runtime.name), launch.runtime.status
    copies = runtime.copies(_files_of(launch.model), status, request)
    session.downloader.plan((), copied_bytes=copies.peak_bytes, copied_to=copies.store).check_room()
    return Plan(launch, request, exact=request.context is not None)


def run(session: Session, plan: Plan) -> Result:
    """Make a runtime know a model.

    Raises:
        RegistrationFailedError: If the runtime does not take it, or the name is taken.
    """
    launch, model = plan.launch, plan.launch.model
    made = session.runtime(launch.runtime.name).register(
        model,
        launch.runtime.status,
        launch.settings,
        plan.options,
        lambda event: session.observer.smoke(_worded(event)),
        exact=plan.exact,
    )
    # Read again: an older registration may have been taken out on the way.
    current = session.inventory.update(model, lambda known: known.with_registration(made))
    commands = start_commands(session, current, made)
    return Result(current, made, made in model.registrations, commands)


def _worded(event: RuntimeEvent) -> RuntimeEvent:
    if not event.total_bytes:
        return event
    done = f"{format_size(event.done_bytes)} of {format_size(event.total_bytes)}"
    return replace(event, detail=f"{event.detail} {done}".strip())


def _files_of(installed: InstalledModel) -> Model:
    weights = (file.artifact for file in installed.files if file.artifact.role is Role.WEIGHTS)
    return Model(
        installed.name, installed.variant, installed.quantization, installed.qat, tuple(weights)
    )


def unregister(session: Session, model: InstalledModel, registration: Registration) -> bool:
    """Take a registration out of its runtime and out of the inventory.

    Returns:
        Whether the runtime still knew it.

    Raises:
        RegistrationFailedError: If the runtime refuses, or Ollama's server does not answer.
    """
    there = session.runtime(registration.runtime).unregister(registration)
    session.inventory.update(model, lambda known: known.without_registration(registration))
    return there
