"""Speeds that smoke tests measured on this machine; they narrow the next prediction."""

from __future__ import annotations

from pathlib import Path

from setup_manager.codec import CodecError, from_plain, to_plain
from setup_manager.errors import UsageError
from setup_manager.fit import Measurement
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
        write_json(self._path, {"schema": _SCHEMA, "measurements": to_plain(kept)})


def _measurement(entry: object) -> Measurement | None:
    """Read one; what another version wrote in another form is left out."""
    try:
        return from_plain(Measurement, entry)
    except (CodecError, UsageError):
        return None
