"""What was found of a runtime on this machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuntimeStatus:
    """One runtime as it was found on this machine; `data.runtimes[]` of `check`.

    Attributes:
        name: Its key in `REGISTRY`.
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
