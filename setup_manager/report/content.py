"""What a report tells, as data: the documents that other commands give, put side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SCHEMA_VERSION = 1

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Content:
    """All that a page is made of.

    Attributes:
        version: Of this program.
        created_at: RFC 3339 time, ``""`` where it is left out.
        anonymous: Whether what identifies a person was left out.
        model: Canonical name, ``""`` if no model fits and none was named.
        title: How people call it.
        machine: ``data.machine`` of `check`.
        explanation: ``data`` of `explain`, None where the architecture is unknown.
        contexts: The same for a rising series of contexts.
        recommendation: ``choices`` and ``rejected`` of `recommend`, None if nothing fits.
        nothing_fits: Why there is no recommendation, ``""`` otherwise.
        downloads: The runs that brought the model, the oldest first.
        files: Its files where they lie; empty before it is installed.
        smoke: ``data`` of `smoke`, None before it was tried.
        smoke_run: The machine over that test, None if it was not recorded.
        commands: How it is started and asked, None before it is registered.
    """

    version: str
    created_at: str
    anonymous: bool
    model: str
    title: str
    machine: Document
    explanation: Document | None = None
    contexts: tuple[Document, ...] = ()
    recommendation: Document | None = None
    nothing_fits: str = ""
    downloads: tuple[Document, ...] = ()
    files: tuple[Document, ...] = ()
    smoke: Document | None = None
    smoke_run: Document | None = None
    commands: Document | None = None

    def document(self) -> dict[str, Any]:
        """Return the JSON that is embedded in the page; every number on it stands here."""
        return {"schema": SCHEMA_VERSION, **asdict(self)}
