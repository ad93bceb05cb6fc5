"""Sizes, rates and durations: parsed from people, printed for people.

Decimal units (GB) are for files, disks and transfer, as stores and drives count them; binary
units (GiB) are for memory, as operating systems and llama.cpp count it.
"""

from __future__ import annotations

import re

KB = 1000
MB = 1000**2
GB = 1000**3
KIB = 1024
MIB = 1024**2
GIB = 1024**3

_MULTIPLIERS = {
    "": 1, "b": 1,
    "k": KB, "kb": KB, "kib": KIB,
    "m": MB, "mb": MB, "mib": MIB,
    "g": GB, "gb": GB, "gib": GIB,
    "t": 1000 * GB, "tb": 1000 * GB, "tib": 1024 * GIB,
}  # fmt: skip
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Read a size such as ``"5M"``, ``"1.5 GiB"`` or ``"4096"``.

    Args:
        text: A number with an optional unit; K, M, G, T are decimal, KiB, MiB, … binary.

    Returns:
        Bytes.

    Raises:
        ValueError: If the text is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    multiplier = _MULTIPLIERS.get(match[2].lower()) if match else None
    if match is None or multiplier is None:
        raise ValueError(f"{text!r} is not a size such as 500K, 5M or 1.5GiB")
    return int(float(match[1]) * multiplier)


def parse_rate(text: str) -> int:
    """Read a transfer rate such as ``"5M"`` or ``"5MB/s"``.

    Returns:
        Bytes per second, at least 1.

    Raises:
        ValueError: If the text is no rate, or is zero.
    """
    rate = parse_size(re.sub(r"/s(ec)?$", "", text.strip()))
    if rate < 1:
        raise ValueError(f"{text!r} is not a rate above zero")
    return rate


def parse_tokens(text: str) -> int:
    """Read a number of tokens such as ``"32k"`` or ``"32768"``.

    Args:
        text: A number; k is 1024 and M is 1024², as contexts of models are counted.

    Raises:
        ValueError: If the text is no such number.
    """
    match = re.fullmatch(r"(\d{1,12})\s*([km]?)", text.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError(f"{text!r} is not a number of tokens such as 32768 or 32k")
    return int(match[1]) * {"": 1, "k": KIB, "m": MIB}[match[2].lower()]


def _scaled(value: float, step: int, names: tuple[str, ...]) -> str:
    index = 0
    while abs(value) >= step and index < len(names) - 1:
        value /= step
        index += 1
    if index == 0:
        return f"{value:.0f} {names[0]}"
    return f"{value:.{0 if abs(value) >= 100 else 1}f} {names[index]}"


def format_size(size_bytes: float) -> str:
    """Print bytes in decimal units: ``"4.9 GB"``."""
    return _scaled(size_bytes, 1000, ("B", "kB", "MB", "GB", "TB"))


def format_memory(size_bytes: float) -> str:
    """Print bytes in binary units: ``"4.6 GiB"``."""
    return _scaled(size_bytes, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))


def format_rate(bytes_per_second: float) -> str:
    """Print a transfer rate: ``"12.3 MB/s"``."""
    return f"{format_size(bytes_per_second)}/s"


def format_duration(seconds: float) -> str:
    """Print a duration in the two largest units: ``"3 min 05 s"``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
