"""Dropping partial downloads and what interrupted work left."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything that may go is asked for."""
