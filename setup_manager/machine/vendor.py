"""Vendor figures for the memory bandwidth of GPUs and unified-memory chips."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from setup_manager.units import GIB

_TOKEN = re.compile(r"[a-z]+|[0-9]+")
_MARKS = re.compile(r"\((?:r|tm)\)")


@dataclass(frozen=True, slots=True)
class VendorFigure:
    """A line of the table.

    Attributes:
        chip: Marketing name, as short as it can be told apart.
        bytes_per_second: Bandwidth of its memory.
        total_gb: Memory in GB, where models of one name differ by it; None otherwise.
        cores: GPU cores, where chips of one name differ by them; None otherwise.
    """

    chip: str
    bytes_per_second: float
    total_gb: int | None = None
    cores: int | None = None


@cache
def vendor_figures() -> tuple[VendorFigure, ...]:
    """Load the table that ships with this package.

    Bandwidth there is given as bus width in bits and data rate in Gbit/s a pin, as vendors print
    it, or in GB/s where they print that.
    """
    text = files("setup_manager.machine").joinpath("vendor_bandwidth.json").read_text("utf-8")
    return tuple(
        VendorFigure(
            chip=entry["chip"],
            bytes_per_second=_bytes_per_second(entry),
            total_gb=entry.get("total_gb"),
            cores=entry.get("cores"),
        )
        for group in json.loads(text)["groups"]
        for entry in group["chips"]
    )


def _bytes_per_second(entry: dict[str, float]) -> float:
    if "gb_per_second" in entry:
        return entry["gb_per_second"] * 1e9
    return entry["bus_bits"] * entry["gbit_per_pin"] / 8 * 1e9


def _tokens(name: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(_MARKS.sub(" ", name.lower())))


def gpu_bandwidth(
    name: str, total_bytes: int, figures: Iterable[VendorFigure] | None = None
) -> float | None:
    """Look a GPU up.

    Its name must contain the table's as whole words in a row; the longest such entry wins, so that
    "RTX 4060 Ti" is not taken for "RTX 4060". A laptop part never borrows the desktop card's
    figure: they share the name and not the memory; nor does a MIG instance that of the whole GPU.

    Args:
        name: Marketing name as the driver says it.
        total_bytes: Its memory, which tells some models of one name apart.
        figures: The table; the one that ships by default.

    Returns:
        Bytes per second, None if unknown.
    """
    words = _tokens(name)
    best: tuple[int, VendorFigure] | None = None
    for figure in vendor_figures() if figures is None else figures:
        wanted = _tokens(figure.chip)
        if not _contains(words, wanted) or _narrowed(words) - set(wanted):
            continue
        if figure.cores is not None and not _contains(words, (str(figure.cores), "gpu", "cores")):
            continue
        # "8 GB" is 8 GiB on a card; anything else is another product of the name.
        if figure.total_gb is not None and abs(figure.total_gb - total_bytes / GIB) > 1:
            continue
        rank = len(wanted) + (1 if figure.cores is not None else 0)
        if best is None or rank > best[0]:
            best = (rank, figure)
    return best[1].bytes_per_second if best else None


def _narrowed(words: tuple[str, ...]) -> set[str]:
    """Find the words that turn a name into that of another product."""
    found = {"laptop", "mig"} & set(words)
    return found | ({"q"} if _contains(words, ("max", "q")) else set())


def _contains(words: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    length = len(wanted)
    return any(words[start : start + length] == wanted for start in range(len(words) - length + 1))
