"""Putting a report onto one page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from setup_manager.report import planned_charts as planned
from setup_manager.report import recorded_charts as recorded
from setup_manager.report.content import Content, Document
from setup_manager.report.drawing import draw, require_extra
from setup_manager.report.frame import FORMATS, Format, Key, Spec
from setup_manager.units import format_duration, format_memory, format_rate, format_size

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart as it stands on the page.

    Attributes:
        title: What it shows.
        summary: What it says, for those who do not see it.
        drawings: The SVG for each format's name.
        keys: Its legend.
    """

    title: str
    summary: str
    drawings: Mapping[str, str]
    keys: tuple[Key, ...] = ()


def render(content: Content) -> str:
    """Make the page.

    Args:
        content: What it tells. Every text in it is escaped on its way into the page.

    Returns:
        One HTML document; it loads nothing and lets no script run but its own.

    Raises:
        SetupError: If the extra ``report`` is not installed.
    """
    require_extra()
    script = _resource("page.js")
    template = _environment().from_string(_resource("page.html"))
    page = template.render(
        content=content,
        document=content.document(),
        figures=_Figures(content).all(),
        style=_resource("page.css"),
        script=script,
        script_digest=_digest(script),
        colours=planned.PART_COLOURS,
        time_of_download=sum(run["seconds"] for run in content.downloads),
        rate_of_download=recorded.whole_rate(content.downloads) if content.downloads else "",
        incidents=[incident for run in content.downloads for incident in run["incidents"]],
        further_incidents=sum(run["further_incidents"] for run in content.downloads),
    )
    # Names of files may hold bytes that are no text; a page is text throughout.
    return page.encode("utf-8", "replace").decode()


def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "memory": format_memory,
        "size": format_size,
        "duration": format_duration,
        "rate": format_rate,
        "count": lambda number: f"{number:,}",
        "one": lambda number: f"{number:,.1f}",
        "sentence": lambda text: text[:1].upper() + text[1:],
    }
    return environment


def _resource(name: str) -> str:
    return (resources.files("setup_manager.report") / "template" / name).read_text("utf-8")


def _digest(script: str) -> str:
    """Return the script's digest for the page's Content-Security-Policy (CSP level 2)."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


class _Figures:
    """Every chart for which there is data, by the name that the template asks for."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._drawn: dict[str, Figure] = {}

    def all(self) -> dict[str, Figure]:
        self._memory()
        self._choices()
        self._download()
        self._smoke_run()
        self._comparison()
        return self._drawn

    def _add(
        self,
        name: str,
        title: str,
        summary: str,
        chart: Callable[[Format], Spec],
        keys: tuple[Key, ...] = (),
    ) -> None:
        from markupsafe import Markup

        drawings = {
            # Vega escapes the texts of its SVG; see the tests of hostile names.
            form.name: Markup(draw(chart(form), f"{name}-{form.name}-"))  # noqa: S704
            for form in FORMATS
        }
        self._drawn[name] = Figure(title, summary, drawings, keys)

    def _memory(self) -> None:
        rows = self._content.contexts
        scale = planned.memory_scale_bytes(rows)
        for row in rows:
            self._memory_at(row, scale)
        if rows:
            first, last = rows[0], rows[-1]
            self._add(
                "context-speed",
                "Speed as the context fills",
                f"from {first['tokens_per_second']:,.1f} tokens/s at {first['context']:,} tokens "
                f"to {last['tokens_per_second']:,.1f} at {last['context']:,}",
                lambda form: planned.context_speed_chart(rows, form),
            )

    def _memory_at(self, row: Document, scale_bytes: int) -> None:
        memory = row["memory"]
        self._add(
            f"memory-{row['context']}",
            f"Memory at {row['context']:,} tokens of context",
            f"{format_memory(memory['total_bytes'])} in all, of which "
            f"{format_memory(memory['needed_bytes'])} of main memory must be free; "
            f"{format_memory(row['available_bytes'])} are available",
            lambda form: planned.memory_chart(row, scale_bytes, form),
        )

    def _choices(self) -> None:
        recommendation = self._content.recommendation
        if recommendation is None:
            return
        choices = recommendation["choices"]
        best = choices[0]
        self._add(
            "choices",
            "Expected speed of what runs here, best choice first",
            f"{best['model']} would write {best['speed']['low']:,.1f} to "
            f"{best['speed']['high']:,.1f} tokens/s",
            lambda form: planned.choices_chart(choices, form),
            planned.choices_keys(choices),
        )

    def _download(self) -> None:
        runs = self._content.downloads
        if not runs:
            return
        count = sum(len(run["incidents"]) + run["further_incidents"] for run in runs)
        self._add(
            "download",
            "Download progress, and what went wrong",
            f"{format_size(runs[-1]['samples'][-1]['bytes'])} of "
            f"{format_size(runs[-1]['total_bytes'])} in "
            f"{format_duration(sum(run['seconds'] for run in runs))}, {count} mishaps",
            lambda form: recorded.download_chart(runs, form),
            recorded.download_keys(runs),
        )
        self._add(
            "rate",
            "Rate",
            f"{recorded.whole_rate(runs)} on the whole",
            lambda form: recorded.rate_chart(runs, form),
        )

    def _smoke_run(self) -> None:
        run, smoke = self._content.smoke_run, self._content.smoke
        if run is not None:
            least = min(sample["available_bytes"] for sample in run["samples"])
            self._add(
                "smoke-memory",
                "Memory while the model loaded and ran",
                f"at least {format_memory(least)} stayed available",
                lambda form: recorded.smoke_memory_chart(run, form),
                recorded.smoke_memory_keys(run),
            )
            celsius = [s["celsius"] for s in run["samples"] if s["celsius"] is not None]
            if celsius:
                self._add(
                    "heat",
                    "Temperature of the processor",
                    f"from {celsius[0]:.0f} °C, at most {max(celsius):.0f} °C",
                    lambda form: recorded.heat_chart(run, form),
                )
        if smoke is not None and (series := smoke["series_tokens_per_second"]):
            self._add(
                "rounds",
                "Speed of each round",
                f"from {series[0]:,.1f} to {series[-1]:,.1f} tokens/s",
                lambda form: recorded.rounds_chart(series, form),
            )

    def _comparison(self) -> None:
        smoke = self._content.smoke
        if smoke is None or not smoke["predicted"]:
            return
        predicted: dict[str, Any] = smoke["predicted"]
        self._add(
            "speed-check",
            "Speed",
            f"measured {smoke['tokens_per_second']:,.1f} tokens/s, predicted "
            f"{predicted['low']:,.1f} to {predicted['high']:,.1f}",
            lambda form: recorded.speed_check_chart(smoke, form),
        )
        self._add(
            "memory-check",
            "Memory",
            f"measured {format_memory(smoke['peak_memory_bytes'])} at the peak, predicted "
            f"{format_memory(predicted['memory_bytes'])}",
            lambda form: recorded.memory_check_chart(smoke, form),
        )
