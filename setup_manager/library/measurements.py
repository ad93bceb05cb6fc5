"""Speeds that smoke tests measured on this machine; they narrow the next prediction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup_manager.codec import CodecError, from_plain
from setup_manager.errors import UsageError
from setup_manager.fit import Measurement
from setup_manager.library.records import read_record, write_record

_MOST_KEPT = 50


@dataclass(frozen=True, slots=True)
class _Kept:
    measurements: tuple[Any, ...] = ()


class Measurements:
    """The file of measurements.

    Args:
        path: Where it lies; made when first written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> tuple[Measurement, ...]:
        """Read them, the oldest first; a torn or foreign file counts as empty."""
        kept = read_record(self._path, _Kept) or _Kept()
        parsed = (_measurement(entry) for entry in kept.measurements)
        return tuple(measurement for measurement in parsed if measurement is not None)

    def add(self, measurement: Measurement) -> None:
        """Keep a measurement; the newest fifty stay.

        Raises:
            SetupError: If the state folder cannot be written.
        """
        kept = (*self.all(), measurement)[-_MOST_KEPT:]
        write_record(self._path, _Kept(kept))


def _measurement(entry: object) -> Measurement | None:
    """Read one; what another version wrote in another form is left out."""
    try:
        return from_plain(Measurement, entry)
    except (CodecError, UsageError):
        return None
