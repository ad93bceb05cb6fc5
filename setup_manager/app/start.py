"""How a registered model is started and talked to from now on: commands that work as printed."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from setup_manager.library import InstalledModel, Registration
from setup_manager.runtimes.presets import router_command
from setup_manager.session import Session

DEFAULT_PORT = 8080
_OLLAMA_ENDPOINT = "http://127.0.0.1:11434"


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
    session: Session, model: InstalledModel, registration: Registration, program: str
) -> StartCommands:
    """Say how to start a registered model.

    Args:
        session: What to work with.
        model: The model.
        registration: Where it is registered.
        program: How this program was called.
    """
    endpoint = f"http://127.0.0.1:{DEFAULT_PORT}"
    if registration.runtime == "llama.cpp":
        server = str(registration.details.get("program", "llama-server"))
        start = f"{router_command(server, session.presets.path)} --port {DEFAULT_PORT}"
    elif registration.runtime == "ollama":
        endpoint = str(registration.details.get("endpoint") or _OLLAMA_ENDPOINT)
        start = f"ollama run {shlex.quote(registration.name)}"
    else:
        start = f"{shlex.quote(program)} serve {shlex.quote(model.name)} --port {DEFAULT_PORT}"
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
