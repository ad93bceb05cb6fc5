"""What every runtime is to the rest: found or not, able or not, and a way to run a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from setup_manager.runtimes.options import StartOptions


@dataclass(frozen=True, slots=True)
class RuntimeStatus:
    """One runtime as it was found on this machine; `data.runtimes[]` of `check`.

    Attributes:
        name: ``"llama.cpp"``, ``"ollama"`` or ``"embedded"``.
        found: Whether it is here.
        version: As it says of itself, ``""`` if unknown.
        endpoint: URL of a running server, ``""`` without.
        gemma4: Whether it can run Gemma 4; None if that could not be told.
        path: Its executable or package, ``""`` if unknown.
        detail: One line for people: what is wrong, or what it is.
        hint: What to do where something is wrong, ``""`` otherwise.
    """

    name: str
    found: bool
    version: str = ""
    endpoint: str = ""
    gemma4: bool | None = None
    path: str = ""
    detail: str = ""
    hint: str = ""

    @property
    def usable(self) -> bool:
        """Whether a model can be run with it now, as far as is known."""
        return self.found and self.gemma4 is not False


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files on this disk that are started together.

    Attributes:
        weights: The GGUF, the first shard of a split one.
        projector: Image projector, or None.
        drafter: Draft model, or None.
    """

    weights: Path
    projector: Path | None = None
    drafter: Path | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """A command that becomes a server speaking llama-server's HTTP interface.

    Attributes:
        name: Runtime, for messages.
        argv: Program and arguments; host, port and alias are appended.
        environment: The child's whole environment, None to inherit this process's.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] | None = field(default=None, hash=False)


class ServerRuntime(Protocol):
    """A runtime that is started for one model: llama.cpp or the embedded engine."""

    @property
    def name(self) -> str:
        """``"llama.cpp"`` or ``"embedded"``."""
        ...

    def launch(self, files: ModelFiles, options: StartOptions) -> Launch:
        """Say how to start a server for these files."""
        ...
