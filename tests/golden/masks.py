"""What varies from run to run and from machine to machine, and what stands in its place.

Two grades. Everywhere: folders, ports, times, the engine's version. In runs that look at the real
machine or time something (`live`), also what they measured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_EVERYWHERE = (
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)", "<TIME>"),
    (r"\b20\d\d\.\d+\.\d{4,}\b", "<ENGINE>"),
    (r"(127\.0\.0\.1|localhost):(?!9\b|8080\b)\d+", r"\1:<PORT>"),
    (r"gemma-setup-rehearsal-\w+", "gemma-setup-rehearsal-<RANDOM>"),
    (r"<ENVIRONMENT>/lib/python3\.\d+/site-packages", "<PACKAGES>"),
)
_LIVE = (
    # A stage's line, whose time is told from one second on; trouble on the line.
    (r"(?m) \(\d+(\.\d+)? (s|min)\)$", ""),
    (r"(?m)^  http://127\.0\.0\.1:<PORT>: .*\n", ""),
    (r"(?m)^  <HUB>: .*\n(?=(.*\n)*error: )", ""),
    (r"\d+ % here", "<PART> here"),
    (r"kept \d[\d.]* [kM]?B of", "kept <SIZE> of"),
    (r"(✓ check +).*", r"\1<SUMMARY>"),
    (r"\d[\d,.]* (ms|s|min)\b", "<DURATION>"),
    (r"\d[\d,.]* (tokens/s|[kMG]?B/s)", r"<RATE> \1"),
    (r"\d[\d,.]* [KMG]iB", "<MEMORY>"),
    (r"\b\d[\d.]* to \d[\d.]*\b", "<LOW> to <HIGH>"),
    (r"predicted \d[\d.]*", "predicted <NUMBER>"),
    (r"\d[\d.]* [kMGTP]?B free\b", "<SIZE> free"),
    (r"([Ff]ree) \d[\d.]* [kMGTP]?B", r"\1 <SIZE>"),
    (r"\(\d+ kB; open", "(<SIZE>; open"),
    (r"; \d+ retries", "; <NUMBER> retries"),
    # What an engine makes of noise depends on the processor.
    (r"(got|answer:) '.*'", r"\1 <GIBBERISH>"),
    (r".*\ufffd[\s\S]*", "<GIBBERISH>"),
)
# Of the table of `check`: everything about this machine but the names.
_MACHINE_GROUPS = ("machine", "memory", "gpu", "disk", "power", "surroundings")
_CHECK_LINE = re.compile(r"  \S (?P<name>\S+(?: \S+)?)  .*")
_NUMBERS = re.compile(
    r"(?:seconds|.*_seconds|.*tokens_per_second|.*bytes_per_second|low|high|.*_ratio"
    r"|peak_memory_bytes|peak_bytes|resident_bytes|anonymous_bytes|mapped_bytes|major_faults|swapped_in_pages|free_bytes"
    r"|retries|headroom_bytes|available_bytes|memory_bytes|served_bytes|sampled_bytes)"
)
_WORDS = {"basis", "limited_by"}
_ANYTHING = {"thermal", "gpus", "users", "findings", "features", "first_half_tokens_per_second"}


@dataclass(frozen=True)
class Masks:
    """Masks one scenario's output.

    Attributes:
        places: What stands for which folder or address; the longest are replaced first.
    """

    places: Mapping[str, str]

    def text(self, text: str, *, live: bool) -> str:
        """Mask a text."""
        for place in sorted(self.places, key=len, reverse=True):
            text = text.replace(place, self.places[place])
        for pattern, replacement in _EVERYWHERE:
            text = re.sub(pattern, replacement, text)
        if live:
            text = _masked_checks(text)
            for pattern, replacement in _LIVE:
                text = re.sub(pattern, replacement, text)
        return text

    def document(self, document: dict[str, Any], *, live: bool) -> dict[str, Any]:
        """Mask a command's JSON; keys and types stay.

        A live description of the machine is shown by `check` alone.
        """
        if live and document["command"] != "check":
            document = _without_machine(document)
        if document["command"] == "report" and document["data"]:
            document["data"]["bytes"] = "<number>"
        return {name: self._value(entry, live, name) for name, entry in document.items()}

    def _value(self, value: Any, live: bool, key: str) -> Any:
        if live and key == "machine" and isinstance(value, dict):
            return _shape(value)
        if live and key == "checks" and isinstance(value, dict):
            value = _masked_check(value)
        if isinstance(value, dict):
            return {name: self._value(entry, live, name) for name, entry in value.items()}
        if isinstance(value, list):
            return [self._value(entry, live, key) for entry in value]
        if live and _is_number(value) and _NUMBERS.fullmatch(key):
            return "<number>"
        if live and key in _WORDS:
            return "<text>"
        return self.text(value, live=live) if isinstance(value, str) else value


def _without_machine(value: Any, key: str = "") -> Any:
    if key == "machine":
        return "<as of check>"
    if isinstance(value, dict) and "group" in value:
        return value["name"]
    if isinstance(value, dict):
        return {name: _without_machine(entry, name) for name, entry in value.items()}
    return [_without_machine(entry, key) for entry in value] if isinstance(value, list) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shape(value: Any, key: str = "") -> Any:
    """The keys of a machine's description; what is in it differs from machine to machine."""
    if key in _ANYTHING:
        return "<anything>"
    if isinstance(value, dict):
        return {name: _shape(entry, name) for name, entry in value.items()}
    if isinstance(value, list):
        return [_shape(entry) for entry in value[:1]]
    return "<text>" if isinstance(value, str) else "<value>"


def _masked_check(check: dict[str, Any]) -> dict[str, Any]:
    if check["group"] not in _MACHINE_GROUPS:
        return check
    return {**check, "status": "<status>", "detail": "<text>", "hint": "<text>"}


def _masked_checks(text: str) -> str:
    """Reduce what `check` tells of this machine and its packages to names, if this is its table."""
    if not text.startswith("machine\n"):
        return text
    group, masked, lines = "", False, []
    for line in text.splitlines(keepends=True):
        found = _CHECK_LINE.match(line)
        if not line.startswith(" "):
            group, masked = line.strip(), False
        elif found:
            masked = group in _MACHINE_GROUPS or found["name"] == "runtime embedded"
        if not masked:
            lines.append(line)
        elif found:
            lines.append(f"  ? {found['name']}\n")
    return "".join(lines)
