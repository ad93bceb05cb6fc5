"""All that is known of a model on a machine: memory, speed, verdict, the longest context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from setup_manager.fit.headroom import default_headroom, hold, longest_context
from setup_manager.fit.load import Load
from setup_manager.fit.results import Fit
from setup_manager.fit.speed import Measurement, speed_of

# Contexts to choose from when none is asked for, the best first. 32,768 tokens hold a long
# conversation or a hundred pages; below 4,096 a chat forgets its beginning.
_USUAL_CONTEXTS = (32768, 16384, 8192, 4096)
_LONG_CONTEXTS = (131072, 65536, *_USUAL_CONTEXTS)

ContextRule = Literal["as asked", "usual", "long"]


def fit_of(
    load: Load,
    *,
    context: ContextRule = "as asked",
    headroom_bytes: int | None = None,
    measurements: Sequence[Measurement] = (),
) -> Fit:
    """Work out what a model takes, how fast it is, and whether it works.

    Args:
        load: What runs, how and where.
        context: Whether the context of the settings counts, or the first of the usual (or long)
            ones that leaves the headroom alone, else the last. A variant whose context ends earlier
            than all of them gets what it has.
        headroom_bytes: Main memory to leave free, None for the rule in `headroom`.
        measurements: Speeds measured on this machine before.
    """
    headroom = default_headroom(load.machine) if headroom_bytes is None else headroom_bytes
    longest = longest_context(load, headroom)
    if context != "as asked":
        load = load.at(_chosen_context(load, longest, long=context == "long"))
    held = hold(load, headroom)
    return Fit(
        settings=load.settings,
        memory=held.memory,
        speed=speed_of(load, measurements=measurements),
        verdict=held.verdict,
        available_bytes=held.available_bytes,
        headroom_bytes=headroom,
        shortfall_bytes=held.shortfall_bytes,
        longest_context=longest,
    )


def _chosen_context(load: Load, longest: int, *, long: bool) -> int:
    end = load.architecture.context_length
    possible = [c for c in (_LONG_CONTEXTS if long else _USUAL_CONTEXTS) if c <= end] or [end]
    return next((context for context in possible if context <= longest), possible[-1])
