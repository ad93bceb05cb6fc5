"""Why an engine fails, told from its last words: one table for every runtime."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from setup_manager.errors import RuntimeMissingError, SetupError, SmokeFailedError


class Cause(StrEnum):
    """What is behind a failure."""

    TOO_OLD = "too-old"
    PORT = "port"
    MEMORY = "memory"
    MISSING = "missing"
    KILLED = "killed"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an engine failed.

    Attributes:
        cause: The kind.
        message: One sentence.
        hint: What to do.
    """

    cause: Cause
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class _Sign:
    """Words by which a failure is known; ``{name}`` and ``{update}`` are filled in."""

    words: str
    cause: Cause
    message: str
    hint: str


SIGNS = (
    _Sign(
        r"unknown (model )?architecture",
        Cause.TOO_OLD,
        "{name} is too old for this model: it does not know the architecture.",
        "{update} Gemma 4 needs llama.cpp from about build 8639 (the 12B from 9503).",
    ),
    _Sign(
        r"unknown projector type",
        Cause.TOO_OLD,
        "{name} is too old for this projector.",
        "{update} It takes llama.cpp from build 9503; or leave out --with-projector.",
    ),
    _Sign(
        r"(invalid|unrecognized|unknown) arguments?: -",
        Cause.TOO_OLD,
        "{name} does not know one of its start options.",
        "{update}",
    ),
    _Sign(
        r"couldn't bind|address already in use|failed to bind",
        Cause.PORT,
        "The port was taken while {name} started.",
        "Run the same command again.",
    ),
    _Sign(
        r"out of memory|failed to allocate|cannot allocate memory|bad_alloc|unable to allocate",
        Cause.MEMORY,
        "{name} could not allocate the memory it needs.",
        "Use a smaller --context or quantization; `gemma-setup explain` shows the memory.",
    ),
    _Sign(
        r"^cannot run \S+: |error while loading shared libraries",
        Cause.MISSING,
        "{name} cannot be run.",
        "Install it again, or run `gemma-setup runtime install llama.cpp`.",
    ),
)
_SIGKILL = 9


def known_failure(name: str, update: str, words: str) -> Failure | None:
    """Find the failure that some last words tell of; None if they tell of none.

    Args:
        name: The runtime, for the message.
        update: One sentence: what brings a newer one.
        words: The end of what the engine wrote, or the error that it answered with.
    """
    for sign in SIGNS:
        if re.search(sign.words, words, re.IGNORECASE | re.MULTILINE):
            message, hint = (
                text.format(name=name, update=update) for text in (sign.message, sign.hint)
            )
            return Failure(sign.cause, message, hint)
    return None


def explain_end(name: str, update: str, returncode: int, words: str) -> Failure:
    """Say why a process ended by itself.

    Args:
        name: As in `known_failure`, like `update` and `words`.
        update: See there.
        returncode: As `subprocess` gives it: negative for a signal.
        words: See there.
    """
    if (known := known_failure(name, update, words)) is not None:
        return known
    if returncode == -_SIGKILL:
        return Failure(
            Cause.KILLED,
            f"{name} was killed, most likely by the system because memory ran out.",
            "Use a smaller model or --context, or close other programs.",
        )
    how = f"by signal {-returncode}" if returncode < 0 else f"with status {returncode}"
    return Failure(
        Cause.OTHER,
        f"{name} exited {how}.",
        "Update it, or choose another with --runtime; see its last output above.",
    )


def error_for(failure: Failure, facts: Sequence[str]) -> SetupError:
    """Make the error for a failure: a runtime that cannot run this, or a model that did not."""
    missing = failure.cause in {Cause.TOO_OLD, Cause.MISSING}
    kind = RuntimeMissingError if missing else SmokeFailedError
    return kind(failure.message, hint=failure.hint, context=facts)
