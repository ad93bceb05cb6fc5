"""From options to the request of a verb."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def request_of(kind: type[T], *groups: Any, **own: Any) -> T:
    """Make a request from option groups, whose fields have the names of the request's.

    Args:
        kind: A frozen request class; options that it does not have are left out.
        groups: Option groups of a command.
        own: What else the request has.

    Raises:
        UsageError: If a value is out of range.
    """
    wanted = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    given = {field.name: getattr(group, field.name) for group in groups for field in fields(group)}
    return kind(**{name: value for name, value in given.items() if name in wanted}, **own)
