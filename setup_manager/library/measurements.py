"""Speeds that smoke tests measured on this machine; they narrow the next prediction."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from setup_manager.fit import KvType, Measurement, Settings
from setup_manager.fs import read_json, write_json

_SCHEMA = 1
_MOST_KEPT = 50


class Measurements:
    """The file of measurements.

    Args:
        path: Where it lies; made when first written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> tuple[Measurement, ...]:
        """Read them, the oldest first; a torn or foreign file counts as empty."""
        document = read_json(self._path)
        if not isinstance(document, dict) or document.get("schema") != _SCHEMA:
            return ()
        entries = document.get("measurements")
        parsed = [_measurement(entry) for entry in entries] if isinstance(entries, list) else []
        return tuple(measurement for measurement in parsed if measurement is not None)

    def add(self, measurement: Measurement) -> None:
        """Keep a measurement; the newest fifty stay.

        Raises:
            SetupError: If the state folder cannot be written.
        """
        kept = (*self.all(), measurement)[-_MOST_KEPT:]
        document = {"schema": _SCHEMA, "measurements": [asdict(entry) for entry in kept]}
        write_json(self._path, document)


def _measurement(document: Any) -> Measurement | None:
    try:
        settings = dict(document["settings"])
        settings["key_type"] = KvType(settings["key_type"])
        settings["value_type"] = KvType(settings["value_type"])
        predicted, measured = float(document["predicted"]), float(document["measured"])
        if not (predicted > 0 and measured > 0):
            return None
        return Measurement(str(document["model"]), Settings(**settings), predicted, measured)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
