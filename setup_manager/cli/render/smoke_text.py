"""A smoke test: the answer, the verdict, the measurements beside the prediction."""

from __future__ import annotations

from collections.abc import Iterator

from setup_manager.cli.terminal import Terminal
from setup_manager.smoke import SmokeReport
from setup_manager.units import format_duration, format_memory

_SHOWN_ANSWER = 200


def smoke_text(report: SmokeReport, terminal: Terminal, *, image: bool = False) -> str:
    """Print a report.

    Args:
        report: The report.
        terminal: Where.
        image: Whether the question was about a picture.
    """
    mark = terminal.mark("ok" if report.passed else "fail")
    asked = "about a picture" if image else "for France's capital"
    answer = " ".join(report.text.split())[:_SHOWN_ANSWER]
    lines = [f"{mark} {report.model} on {report.runtime}, asked {asked}: {answer!r}"]
    lines += [f"  {reason}" for reason in report.reasons]
    return "\n".join([*lines, *(f"  {name:<13} {value}" for name, value in _rows(report))])


def _rows(report: SmokeReport) -> Iterator[tuple[str, str]]:
    completion = report.completion
    yield "load", format_duration(report.load_seconds)
    yield "first token", f"{1000 * completion.first_token_seconds:.0f} ms"
    yield "prompt", f"{completion.prompt_tokens_per_second:.0f} tokens/s"
    yield "generation", _generation(report)
    yield "peak memory", _memory(report)
    if report.memory is not None:
        private = format_memory(report.memory.anonymous_bytes)
        yield "of which", f"{private} private, {format_memory(report.memory.mapped_bytes)} mapped"
    if report.heat.peak_celsius is not None:
        yield "hottest", f"{report.heat.peak_celsius:.0f} °C"
    if report.drafter is not None:
        yield "with drafter", f"{report.drafter.tokens_per_second:.1f} tokens/s"
    if report.series:
        first, last = report.series[0], report.series[-1]
        yield "sustained", f"{first:.1f} tokens/s at the start, {last:.1f} at the end"


def _generation(report: SmokeReport) -> str:
    measured, predicted = report.completion.tokens_per_second, report.predicted
    words = f"{measured:.1f} tokens/s"
    if predicted is None:
        return words
    low, high = f"{predicted.low:.1f}", f"{predicted.high:.1f}"
    return f"{words}  (predicted {predicted.tokens_per_second:.1f}: {low} to {high})"


def _memory(report: SmokeReport) -> str:
    words = format_memory(report.memory_bytes)
    if report.predicted is None:
        return words
    return f"{words}  (predicted {format_memory(report.predicted.memory_bytes)})"
