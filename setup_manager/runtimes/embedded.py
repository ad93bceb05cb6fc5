"""The embedded engine: llama.cpp from a Python wheel, run in a child process."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from setup_manager.hints import install_extra
from setup_manager.runtimes.base import Launch, ModelFiles, RuntimeStatus
from setup_manager.runtimes.capability import ARCHITECTURE, file_contains
from setup_manager.runtimes.options import StartOptions

NAME = "embedded"
_PACKAGE = "xllamacpp"


@dataclass(frozen=True, slots=True)
class EmbeddedEngine:
    """The engine in this Python environment.

    Attributes:
        python: Interpreter that has the engine's package.
    """

    python: str = sys.executable

    @property
    def name(self) -> str:
        """``"embedded"``."""
        return NAME

    def launch(self, files: ModelFiles, options: StartOptions) -> Launch:
        """Say how to start a server child for these files."""
        argv = [self.python, "-m", "setup_manager.runtimes.embedded_child"]
        argv += ["--model", str(files.weights), "--options", json.dumps(asdict(options))]
        if files.projector is not None:
            argv += ["--mmproj", str(files.projector)]
        if files.drafter is not None:
            argv += ["--model-draft", str(files.drafter)]
        return Launch(NAME, tuple(argv))


def find() -> RuntimeStatus:
    """Look for the engine without loading it.

    Returns:
        Its status; ``gemma4`` is whether the library contains the architecture's name.
    """
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        hint = f"Run `{install_extra('embedded')}`."
        return RuntimeStatus(NAME, found=False, detail="xllamacpp is not installed", hint=hint)
    folder = Path(package.submodule_search_locations[0])
    libraries = [*folder.glob("*.so"), *folder.glob("*.pyd"), *folder.glob("*.dylib")]
    knows = any(file_contains(library, ARCHITECTURE) for library in libraries)
    return RuntimeStatus(
        NAME,
        found=True,
        version=importlib.metadata.version(_PACKAGE),
        gemma4=knows,
        path=str(folder),
        detail="llama.cpp in this Python environment",
        hint="" if knows else f"Run `{install_extra('embedded', upgrade=True)}`.",
    )
