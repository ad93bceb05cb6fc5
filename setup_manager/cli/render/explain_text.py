"""An explanation on a screen: short lines, no colour codes of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from setup_manager.app import recommend
from setup_manager.cli.terminal import Terminal
from setup_manager.fit import Choice, Explanation, Fit
from setup_manager.units import format_memory, format_size

_LABEL_WIDTH = 21
_SCREEN_LINES = 30
_SHOWN_QUANTIZATIONS = 3
Style = Callable[[str, str], str]


def plain(text: str, role: str) -> str:
    """Leave text as it is; the style of a screen without colours."""
    del role
    return text


@dataclass(frozen=True, slots=True)
class Screen:
    """What a screen can show.

    Attributes:
        width: Columns.
        unicode: Whether block characters can be drawn.
        style: Wraps a text in what its role looks like; roles are ``"title"``, ``"good"``,
            ``"warn"``, ``"bad"`` and ``"dim"``.
        verbose: Whether everything is shown.
    """

    width: int = 80
    unicode: bool = True
    style: Style = plain
    verbose: bool = False


_STYLES = {
    "title": ("bold",),
    "dim": ("dim",),
    "good": ("green",),
    "warn": ("magenta",),
    "bad": ("red",),
}
_ROLE = {"fits": "good", "tight": "warn", "no": "bad"}
_SAID = {"fits": "fits", "tight": "tight", "no": "does not fit"}


def explanation_text(explanation: Explanation, terminal: Terminal, *, verbose: bool) -> str:
    """Print an explanation for a terminal."""
    screen = Screen(
        width=terminal.width,
        unicode=terminal.unicode,
        verbose=verbose,
        style=lambda text, role: terminal.styled(text, *_STYLES[role]),
    )
    return "\n".join(explanation_lines(explanation, screen))


def explanation_lines(explanation: Explanation, screen: Screen | None = None) -> list[str]:
    """Render an explanation; a screen of 30 lines at most unless verbose."""
    screen = screen or Screen()
    lines = [*_head(explanation, screen), "", *_bar_lines(explanation, screen), ""]
    lines += [*_context_lines(explanation, screen), ""]
    if explanation.quantizations:
        lines += [*_quantization_lines(explanation, screen), ""]
    for reason in recommend.explanation_reasons(explanation):
        sentence = _wrapped(reason, screen)
        if screen.verbose or len(lines) + len(sentence) <= _SCREEN_LINES:
            lines += sentence
    return lines


def speed_text(found: Fit | Choice | Explanation) -> str:
    """Put a speed in words: ``"4.3 tokens/s (3.1 to 6.0)"``."""
    speed = found.speed
    digits = 0 if speed.tokens_per_second >= 20 else 1
    return (
        f"{speed.tokens_per_second:.{digits}f} tokens/s "
        f"({speed.low:.{digits}f} to {speed.high:.{digits}f})"
    )


def basis_words(basis: str) -> str:
    """Say where a speed comes from."""
    return "estimated; not measured here" if basis == "guess" else basis


def _head(explanation: Explanation, screen: Screen) -> Iterable[str]:
    style = screen.style
    settings = explanation.settings
    yield style(f"{explanation.name}  {explanation.model}", "title")
    slots = f", {settings.slots} at a time" if settings.slots > 1 else ""
    kinds = dict.fromkeys((settings.kv_type.keys, settings.kv_type.values))
    yield style(f"{settings.context:,} tokens of context{slots}, cache in {'/'.join(kinds)}", "dim")
    verdict = style(_SAID[explanation.verdict], _ROLE[explanation.verdict])
    needed = format_memory(explanation.memory.needed_bytes)
    free = format_memory(explanation.available_bytes)
    yield f"Memory  {verdict}: {needed} of {free} available main memory"
    for device in explanation.memory.devices:
        used, free = format_memory(device.used_bytes), format_memory(device.free_bytes)
        yield f"        {used} of {free} free on {device.name}"
    speed = explanation.speed
    yield f"Speed   {speed_text(explanation)}"
    best = f"at best {explanation.ceiling_tokens_per_second:.1f}"
    yield style(f"        {best}; limited by {speed.limited_by}; {basis_words(speed.basis)}", "dim")


def _bar_lines(explanation: Explanation, screen: Screen) -> Iterable[str]:
    total = sum(part.size_bytes for part in explanation.parts)
    width = max(8, min(28, screen.width - _LABEL_WIDTH - 31))
    for part in explanation.parts:
        yield _bar_line(part.label, part.size_bytes, total, width, screen)
    summed = f"{'total':{_LABEL_WIDTH}}{format_memory(total):>9}"
    reclaimable = explanation.memory.reclaimable_bytes
    if reclaimable:
        summed += f"  of which {format_memory(reclaimable)} the system may take back"
    yield screen.style(summed, "dim")


def _bar_line(label: str, size_bytes: int, total: int, width: int, screen: Screen) -> str:
    full = "█" if screen.unicode else "#"
    cells = max(1, round(width * size_bytes / total))
    share = 100 * size_bytes / total
    line = f"{label:{_LABEL_WIDTH}}{format_memory(size_bytes):>9} {share:3.0f}%  "
    note = recommend.PART_NOTES[label]
    if screen.verbose and len(line) + len(note) <= screen.width:
        return line + screen.style(note, "dim")
    return line + full * cells


def _context_lines(explanation: Explanation, screen: Screen) -> Iterable[str]:
    yield screen.style(
        f"{'context':>10}{'KV cache':>12}{'needs':>12}{'tokens/s when full':>20}", "dim"
    )
    for row in explanation.contexts:
        mark = "  <" if row.context == explanation.settings.context else ""
        verdict = screen.style(_SAID[row.verdict], _ROLE[row.verdict])
        yield (
            f"{row.context:>10,}{format_memory(row.kv_cache_bytes):>12}"
            f"{format_memory(row.needed_bytes):>12}{row.tokens_per_second:>20.1f}  {verdict}{mark}"
        )


def _quantization_lines(explanation: Explanation, screen: Screen) -> Iterable[str]:
    rows = explanation.quantizations
    if not screen.verbose:
        at = [row.quantization for row in rows].index(explanation.quantization)
        start = max(0, min(at - 1, len(rows) - _SHOWN_QUANTIZATIONS))
        rows = rows[start : start + _SHOWN_QUANTIZATIONS]
    yield screen.style(
        f"{'quantization':18}{'file':>10}{'memory':>11}{'tokens/s':>10}{'quality':>9}", "dim"
    )
    for row in rows:
        mark = "  <" if row.quantization == explanation.quantization else ""
        loss = "?" if row.quality_loss is None else f"{-row.quality_loss:.1f}"
        verdict = screen.style(_SAID[row.verdict], _ROLE[row.verdict])
        yield (
            f"{row.quantization:18}{format_size(row.size_bytes):>10}"
            f"{format_memory(row.needed_bytes):>11}{row.tokens_per_second:>10.1f}"
            f"{loss:>9}  {verdict}{mark}"
        )


def _wrapped(sentence: str, screen: Screen) -> list[str]:
    """Break a sentence at spaces, with a hanging indent."""
    bullet = "· " if screen.unicode else "- "
    lines, line = [], bullet
    for word in sentence.split():
        if len(line) + len(word) > screen.width and line.strip():
            lines.append(line.rstrip())
            line = "  "
        line += word + " "
    return [*lines, line.rstrip()]
