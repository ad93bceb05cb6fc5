"""Running a model in the foreground until somebody stops it, and how others are started."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from setup_manager.app.contract import Document
from setup_manager.app.planning import Launch, plan_launch
from setup_manager.app.requests import Run
from setup_manager.app.verbs.runtime import ChosenRuntime, choose_runtime
from setup_manager.library import InstalledModel, Registration
from setup_manager.runtimes import REGISTRY, Opening, RuntimeStatus, StartOptions
from setup_manager.session import Session

__all__ = [
    "InstalledModel",
    "Plan",
    "Request",
    "Result",
    "StartCommands",
    "ask_command",
    "plan",
    "run",
    "start_commands",
]


@dataclass(frozen=True, kw_only=True)
class Request(Run):
    """What is served.

    Attributes:
        model: MODEL argument of an installed model.
        port: Port on 127.0.0.1, None for a free one.
    """

    model: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be served.

    Attributes:
        launch: The model, what runs it, and how.
        port: A fixed port, None for a free one.
    """

    launch: Launch
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Result(Document):
    """A server that has ended.

    Attributes:
        model: Name of the model.
    """

    model: str


def plan(session: Session, request: Request) -> Plan:
    """Say what will be served, and how.

    Raises:
        RuntimeMissingError: If there is no runtime that is started for one model.
        UsageError: If the model is not installed.
    """
    return Plan(plan_launch(session, request.model, request, _choose_server), request.port)


def run(session: Session, plan: Plan, ready: Callable[[str], None] = lambda _: None) -> Result:
    """Run a model as a server on 127.0.0.1; returns when the server ends by itself.

    Args:
        session: What to work with.
        plan: What is served.
        ready: Told the endpoint once it answers.

    Raises:
        SetupError: If the engine dies; its last words are in the error.
        KeyboardInterrupt: If the user stops it; the engine is ended first.
    """
    launch, model = plan.launch, plan.launch.model
    opening = Opening(alias=model.name, port=plan.port, observer=session.observer.smoke)
    runtime = session.runtime(launch.runtime.name)
    options = StartOptions.of(launch.settings)
    with runtime.open(model, launch.runtime.status, options, opening) as served:
        ready(served.endpoint)
        served.wait()
    return Result(model.name)


def _choose_server(
    statuses: Sequence[RuntimeStatus], wanted: str, variant: str | None
) -> ChosenRuntime:
    """Choose what serves: of the runtimes that are started for one model.

    Raises:
        RuntimeMissingError: If there is none, or one was asked for that serves by itself.
    """
    return choose_runtime([_as_server(status) for status in statuses], wanted, variant)


def _as_server(status: RuntimeStatus) -> RuntimeStatus:
    own = REGISTRY[status.name].own_server
    if not own:
        return status
    hint = f"{status.name} has its own server: `{own}`."
    return replace(status, found=False, endpoint="", hint=hint)


@dataclass(frozen=True, slots=True)
class StartCommands:
    """What to type.

    Attributes:
        start: Starts the model, or chats with it.
        ask: Asks it a question over HTTP once it runs.
        endpoint: Base URL of its OpenAI-style interface.
        model: Its name in requests.
    """

    start: str
    ask: str
    endpoint: str
    model: str


def start_commands(
    session: Session, model: InstalledModel, registration: Registration
) -> StartCommands:
    """Say how to start a registered model.

    Args:
        session: What to work with.
        model: The model.
        registration: Where it is registered.
    """
    runtime, name = session.runtime(registration.runtime), registration.name
    endpoint = runtime.endpoint_of(registration)
    start = runtime.start_line(registration, model.name, session.program)
    return StartCommands(start, ask_command(endpoint, name), endpoint, name)


def ask_command(endpoint: str, model: str) -> str:
    """Return a curl command that asks a model over the OpenAI-style interface."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
    return (
        f"curl {endpoint}/v1/chat/completions -H 'Content-Type: application/json' "
        f"-d {shlex.quote(body)}"
    )
