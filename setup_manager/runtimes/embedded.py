"""The embedded engine: llama.cpp from a Python wheel, run in a child process."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

from setup_manager.fit import Settings
from setup_manager.hints import install_extra
from setup_manager.library import InstalledModel, Registration
from setup_manager.runtimes.base import (
    ModelFiles,
    Observer,
    Opening,
    RegisterOptions,
    Runtime,
    files_of,
)
from setup_manager.runtimes.llama_cpp import names_gemma4
from setup_manager.runtimes.options import StartOptions
from setup_manager.runtimes.server import HOST, USUAL_PORT, Launch, ServerProcess
from setup_manager.runtimes.status import RuntimeStatus
from setup_manager.units import MIB

NAME = "embedded"
_PACKAGE = "xllamacpp"


class Embedded(Runtime):
    """The engine in this Python environment, in a child process for each model."""

    name = NAME
    title = "built-in engine"
    program_bytes = 160 * MIB
    reason = "neither llama.cpp nor a running Ollama was found"

    @classmethod
    def how_to_get(cls) -> str:
        """Return what installs it."""
        return f"Run `{install_extra(NAME)}`."

    def find(self) -> RuntimeStatus:
        """Look for its package without loading it."""
        return find()

    def register(
        self,
        model: InstalledModel,
        status: RuntimeStatus,
        settings: Settings,
        options: RegisterOptions,
        observer: Observer,
        *,
        exact: bool,
    ) -> Registration:
        """Note that it may run the model: it is told the files at each start."""
        del status, options, observer, exact
        files_of(model, StartOptions.of(settings))
        return Registration(NAME, model.name)

    def unregister(self, registration: Registration) -> bool:
        """Do nothing more: it knows no model between two starts."""
        del registration
        return True

    def start_line(self, registration: Registration, model: str, program: str) -> str:
        """Return the command of this tool that serves the model."""
        del registration
        return f"{shlex.quote(program)} serve {shlex.quote(model)} --port {USUAL_PORT}"

    def endpoint_of(self, registration: Registration) -> str:
        """Return the address of that server."""
        del registration
        return f"http://{HOST}:{USUAL_PORT}"

    def open(
        self,
        model: InstalledModel,
        status: RuntimeStatus,
        options: StartOptions,
        opening: Opening,
    ) -> ServerProcess:
        """Prepare a child for the model."""
        del status
        launch = engine_launch(files_of(model, options), options)
        return ServerProcess(launch, opening)


def engine_launch(files: ModelFiles, options: StartOptions, python: str = sys.executable) -> Launch:
    """Say how to start the engine as a child.

    Args:
        files: What is loaded.
        options: How.
        python: Interpreter that has the engine's package.
    """
    argv = [python, "-m", "setup_manager.runtimes.embedded_child"]
    argv += ["--model", str(files.weights), "--options", json.dumps(asdict(options))]
    if files.projector is not None:
        argv += ["--mmproj", str(files.projector)]
    if files.drafter is not None:
        argv += ["--model-draft", str(files.drafter)]
    return Launch(NAME, tuple(argv), _update())


def _update() -> str:
    return f"Run `{install_extra(NAME, upgrade=True)}`."


def find() -> RuntimeStatus:
    """Look for the engine without loading it.

    Returns:
        Its status; ``gemma4`` is whether the library contains the architecture's name.
    """
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        hint = f"Run `{install_extra(NAME)}`."
        return RuntimeStatus(NAME, found=False, detail="xllamacpp is not installed", hint=hint)
    folder = Path(package.submodule_search_locations[0])
    libraries = [*folder.glob("*.so"), *folder.glob("*.pyd"), *folder.glob("*.dylib")]
    knows = any(names_gemma4(library) for library in libraries)
    return RuntimeStatus(
        NAME,
        found=True,
        version=importlib.metadata.version(_PACKAGE),
        gemma4=knows,
        path=str(folder),
        detail="llama.cpp in this Python environment",
        hint="" if knows else _update(),
    )
