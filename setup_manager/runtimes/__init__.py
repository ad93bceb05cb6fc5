"""The programs that run a model: found, given models, and opened to run one. One class each.

May import: library and the rooms below.
Invariant: what a runtime is stands in its class; nobody outside compares its name.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.runtimes.base import (
        Opening,
        RegisterOptions,
        Runtime,
        RuntimeEvent,
        Served,
    )
    from setup_manager.runtimes.chat import Completion, Question
    from setup_manager.runtimes.llama_builds import InstalledBuild
    from setup_manager.runtimes.options import StartOptions
    from setup_manager.runtimes.registry import REGISTRY
    from setup_manager.runtimes.releases import Build
    from setup_manager.runtimes.status import RuntimeStatus

__all__ = [
    "REGISTRY",
    "Build",
    "Completion",
    "InstalledBuild",
    "Opening",
    "Question",
    "RegisterOptions",
    "Runtime",
    "RuntimeEvent",
    "RuntimeStatus",
    "Served",
    "StartOptions",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        base="Opening RegisterOptions Runtime RuntimeEvent Served",
        chat="Completion Question",
        llama_builds="InstalledBuild",
        options="StartOptions",
        registry="REGISTRY",
        releases="Build",
        status="RuntimeStatus",
    )
