"""The runtimes that there are, the preferred one first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from setup_manager.runtimes.base import Runtime


class Registry(Mapping[str, "type[Runtime]"]):
    """Runtimes by name; names cost nothing, and a class is imported when it is asked for.

    Args:
        homes: For each name the module below this package and the class in it.
    """

    def __init__(self, homes: Mapping[str, str]) -> None:
        self._homes = homes

    def __getitem__(self, name: str) -> type[Runtime]:
        module, _, kind = self._homes[name].partition(":")
        found: type[Runtime] = getattr(import_module(f"{__package__}.{module}"), kind)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)

    @property
    def first(self) -> str:
        """The one that is planned for where none was named and none needs to be here yet."""
        return next(iter(self))


REGISTRY = Registry(
    {
        "llama.cpp": "llama_cpp:LlamaCpp",
        "ollama": "ollama:Ollama",
        "embedded": "embedded:Embedded",
    }
)
