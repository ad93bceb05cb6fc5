"""The Ollama server: finding it, and what it says of itself and of its models."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup_manager.errors import RegistrationFailedError, RuntimeMissingError
from setup_manager.net import BadAnswerError, LocalClient, RequestError
from setup_manager.runtimes.ollama.address import Address, parse_host
from setup_manager.runtimes.ollama.names import full_name
from setup_manager.runtimes.ollama.versions import assess
from setup_manager.runtimes.status import RuntimeStatus

NAME = "ollama"
UPDATE = "Update Ollama (https://ollama.com/download)."
_USUAL_PROGRAMS = (
    "/usr/local/bin/ollama",
    "/usr/bin/ollama",
    "/opt/homebrew/bin/ollama",
    "/Applications/Ollama.app/Contents/Resources/ollama",
)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model that the server knows.

    Attributes:
        name: With its tag.
        digest: Of its manifest, hexadecimal.
        size_bytes: Of its blobs.
        family: Architecture, e.g. ``"gemma4"``.
    """

    name: str
    digest: str
    size_bytes: int
    family: str


def find(environment: Mapping[str, str]) -> RuntimeStatus:
    """Look for a running server, and for a program if none runs.

    Args:
        environment: For OLLAMA_HOST and PATH.

    Returns:
        Its status. A program without a server is found, but ``gemma4`` is None and the hint says
        how to start it.
    """
    address = parse_host(environment.get("OLLAMA_HOST", ""))
    program = _program(environment.get("PATH", ""))
    try:
        version = read_version(LocalClient(address.endpoint, timeout_seconds=3.0))
    except BadAnswerError as error:
        return RuntimeStatus(
            NAME,
            found=False,
            path=program,
            detail=f"what answers at {address.endpoint} is not Ollama ({error.detail[:80]})",
            hint="Set OLLAMA_HOST to the address of your Ollama server.",
        )
    except RequestError:
        return _without_server(address, program)
    assessment = assess(version)
    return RuntimeStatus(
        NAME,
        found=True,
        version=version,
        endpoint=address.endpoint,
        gemma4=assessment.gemma4,
        path=program,
        detail=assessment.detail or "a running server",
        hint=UPDATE if assessment.detail and assessment.gemma4 is not None else "",
    )


def connect(endpoint: str) -> LocalClient:
    """Return HTTP to a server.

    Raises:
        RuntimeMissingError: If no Ollama answers there.
    """
    client = LocalClient(endpoint, timeout_seconds=30.0)
    try:
        read_version(client)
    except RequestError as error:
        raise RuntimeMissingError(
            f"No Ollama server answers at {endpoint}.",
            context=(str(error),),
            hint="Start it with `ollama serve`, or set OLLAMA_HOST.",
        ) from error
    return client


def read_version(client: LocalClient) -> str:
    """Ask for the version.

    Raises:
        RequestError: If nothing answers.
        BadAnswerError: If it is something else than Ollama.
    """
    answer = client.get("/api/version")
    if not isinstance(answer, dict) or not isinstance(answer.get("version"), str):
        raise BadAnswerError(200, f"no version: {str(answer)[:100]}")
    return str(answer["version"])


def find_model(client: LocalClient, name: str) -> RegisteredModel | None:
    """Look a model up in ``/api/tags``; None if the server does not know it.

    Raises:
        RegistrationFailedError: If the server does not answer as Ollama does.
    """
    wanted = full_name(name)
    return next((model for model in list_models(client) if model.name == wanted), None)


def list_models(client: LocalClient) -> tuple[RegisteredModel, ...]:
    """List what the server knows; raises as `find_model`."""
    answer = ask(client, "GET", "/api/tags")
    entries = answer.get("models") or []
    try:
        return tuple(_model(entry) for entry in entries)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise unexpected("/api/tags", repr(error)) from error


def show(client: LocalClient, name: str) -> Mapping[str, Any]:
    """Return ``/api/show`` of a model; raises as `find_model`."""
    return ask(client, "POST", "/api/show", {"model": name})


def ask(client: LocalClient, method: str, path: str, body: Any = None) -> Mapping[str, Any]:
    """Send a request whose answer is a JSON object.

    Raises:
        RegistrationFailedError: If the server is gone, refuses, or answers something else.
    """
    try:
        answer = client.get(path) if method == "GET" else client.post(path, body)
    except RequestError as error:
        raise unexpected(path, str(error)) from error
    if not isinstance(answer, dict):
        raise unexpected(path, str(answer)[:200])
    return answer


def unexpected(path: str, detail: str) -> RegistrationFailedError:
    """Return the error for an answer that makes no sense."""
    return RegistrationFailedError(
        "Ollama reported an error.",
        context=(f"{path}: {detail}",),
        hint="Check Ollama's log, update it if it is old, then run the same command again.",
    )


def _model(entry: Mapping[str, Any]) -> RegisteredModel:
    return RegisteredModel(
        name=str(entry["name"]),
        digest=str(entry.get("digest", "")),
        size_bytes=int(entry.get("size", 0)),
        family=str((entry.get("details") or {}).get("family", "")),
    )


def _program(search_path: str) -> str:
    on_path = shutil.which("ollama", path=search_path) if search_path else None
    return on_path or next((path for path in _USUAL_PROGRAMS if Path(path).is_file()), "")


def _without_server(address: Address, program: str) -> RuntimeStatus:
    if not program:
        return RuntimeStatus(NAME, found=False, detail="not installed, and no server answers")
    return RuntimeStatus(
        NAME,
        found=True,
        path=program,
        detail=f"installed, but no server answers at {address.endpoint}",
        hint="Start it with `ollama serve` (or the Ollama app), or set OLLAMA_HOST.",
    )
