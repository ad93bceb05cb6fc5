"""What would make a model fit: less context, a smaller cache, closed programs, more memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from setup_manager.fit.headroom import hold
from setup_manager.fit.load import Load
from setup_manager.fit.results import Fit
from setup_manager.fit.settings import Settings
from setup_manager.machine import Machine

_SHORTEST_CONTEXT = 2048


@dataclass(frozen=True, slots=True)
class Remedy:
    """What would make a model fit that does not.

    Attributes:
        settings: The nearest settings with which it runs, None if there are none.
        close: The fewest of the biggest programs that hold what is missing, and how many bytes each
            holds; empty if all of them together do not.
    """

    settings: Settings | None
    close: Mapping[str, int]


def remedy_of(load: Load, fit: Fit, headroom_bytes: int) -> Remedy:
    """Look for what would make a model fit."""
    start = load.started(fit.settings)
    smaller = (
        settings
        for settings in _smaller(fit.settings)
        if hold(start.started(settings), headroom_bytes).verdict != "no"
    )
    close = _programs_to_close(load.machine, fit.shortfall_bytes)
    return Remedy(next(smaller, None), close)


def _smaller(settings: Settings) -> Iterator[Settings]:
    quantizes = settings.flash_attention
    if quantizes and settings.kv_type.keys == "f16":
        yield settings.stored_as("q8_0")
    context = settings.context
    while context > _SHORTEST_CONTEXT:
        context //= 2
        shorter = replace(settings, context=context)
        yield shorter
        if quantizes:
            yield shorter.stored_as("q8_0")
    if settings.projector:
        yield replace(settings, projector=False)


def _programs_to_close(machine: Machine, shortfall: int) -> dict[str, int]:
    close: dict[str, int] = {}
    for user in machine.memory.users[:3]:
        close[user.name] = user.resident_bytes
        if sum(close.values()) >= shortfall:
            return close
    return {}
