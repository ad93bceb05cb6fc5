"""Running a model in the foreground until somebody stops it, and how others are started."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from setup_manager.app.installed import model_files
from setup_manager.app.planning import Launch, plan_launch
from setup_manager.app.requests import Run
from setup_manager.app.verbs.runtime import (
    ChosenRuntime,
    choose_runtime,
    server_runtime,
)
from setup_manager.library import InstalledModel, Registration
from setup_manager.runtimes.base import RuntimeStatus
from setup_manager.runtimes.options import start_options
from setup_manager.runtimes.presets import router_command
from setup_manager.runtimes.server import LoadProgress, ServerProcess
from setup_manager.session import Session
from setup_manager.smoke import SmokeEvent

DEFAULT_PORT = 8080
_OLLAMA_ENDPOINT = "http://127.0.0.1:11434"


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
class Result:
    """A server that has ended.

    Attributes:
        model: Name of the model.
    """

    model: str

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `serve`."""
        return {"model": self.model}


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
    model, settings = plan.launch.model, plan.launch.settings
    files = model_files(model, with_drafter=settings.drafter)
    runtime = server_runtime(plan.launch.runtime.status)
    launch = runtime.launch(files, start_options(settings))

    def loading(progress: LoadProgress) -> None:
        event = SmokeEvent("load", progress.seconds, progress.last_words)
        session.observer.smoke(event)

    with ServerProcess(launch, alias=model.name, port=plan.port, observer=loading) as server:
        ready(server.endpoint)
        if server.wait() != 0:
            raise server.failure()
    return Result(model.name)


def _choose_server(statuses: Sequence[RuntimeStatus], wanted: str) -> ChosenRuntime:
    """Choose what serves: of the runtimes that are started for one model.

    Raises:
        RuntimeMissingError: If there is none, or Ollama was asked for, which serves by itself.
    """
    servers = [
        replace(status, found=False, endpoint="", hint="Ollama serves by itself: `ollama run`.")
        if status.name == "ollama"
        else status
        for status in statuses
    ]
    return choose_runtime(servers, wanted)


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
    endpoint = f"http://127.0.0.1:{DEFAULT_PORT}"
    if registration.runtime == "llama.cpp":
        server = str(registration.details.get("program", "llama-server"))
        start = f"{router_command(server, session.presets.path)} --port {DEFAULT_PORT}"
    elif registration.runtime == "ollama":
        endpoint = str(registration.details.get("endpoint") or _OLLAMA_ENDPOINT)
        start = f"ollama run {shlex.quote(registration.name)}"
    else:
        start = (
            f"{shlex.quote(session.program)} serve {shlex.quote(model.name)} --port {DEFAULT_PORT}"
        )
    return StartCommands(
        start, ask_command(endpoint, registration.name), endpoint, registration.name
    )


def ask_command(endpoint: str, model: str) -> str:
    """Return a curl command that asks a model over the OpenAI-style interface."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
    return (
        f"curl {endpoint}/v1/chat/completions -H 'Content-Type: application/json' "
        f"-d {shlex.quote(body)}"
    )
