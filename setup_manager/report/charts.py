"""The charts of a report, as Vega-Lite specifications; all pure.

Colours are names of CSS variables, so that one drawing serves light and dark. Every mark carries
a sentence with its number (`says`), which a pointer over it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from setup_manager.report.content import Document
from setup_manager.units import GIB, MB, format_duration, format_memory, format_rate, format_size

Spec = dict[str, Any]
Row = dict[str, Any]

# Each purpose of memory keeps its colour, whichever of them a model has.
_PART_COLOURS = {
    "weights": "var(--blue)",
    "per-layer embeddings": "var(--teal)",
    "rearranged copy": "var(--purple)",
    "copy on the GPU": "var(--purple)",
    "KV cache": "var(--orange)",
    "scratch": "var(--olive)",
    "projector": "var(--pink)",
    "other": "var(--grey)",
}
_INCIDENTS = {
    "retry": ("asked again", "var(--orange)", "triangle-up"),
    "wait": ("waited", "var(--purple)", "square"),
    "damaged": ("wrong bytes", "var(--pink)", "cross"),
    "dropped": ("source given up", "var(--grey)", "diamond"),
    "failed": ("stopped", "var(--red)", "triangle-down"),
}
_VERDICTS = {
    "fits": ("fits", "var(--teal)"),
    "tight": ("tight", "var(--orange)"),
    "no": ("does not fit", "var(--red)"),
}
_MOST_COMPARED = 10


@dataclass(frozen=True, slots=True)
class Format:
    """How wide a chart is drawn; a page carries each chart once for every format.

    Attributes:
        name: CSS class.
        width: Pixels in all.
        legend_columns: Entries of a legend side by side.
        font_size: Pixels.
    """

    name: str
    width: int
    legend_columns: int
    font_size: int


WIDE = Format("wide", 780, 5, 12)
NARROW = Format("narrow", 328, 2, 12)
FORMATS = (WIDE, NARROW)


def memory_chart(row: Document, scale_bytes: int, form: Format) -> Spec:
    """Draw where the memory goes at one context.

    Args:
        row: One entry of ``contexts``.
        scale_bytes: Right end of the scale, the same for every context.
        form: How wide.
    """
    bars, labels = memory_rows(row)
    present = [bar["part"] for bar in bars]
    names = list(dict.fromkeys(present))
    encoding = {
        "y": {"field": "place", "type": "nominal", "sort": labels, "title": None,
              "axis": _AXIS_NAMES | {"labelLimit": 120}},
        "x": {"field": "gib", "type": "quantitative", "title": "GiB", "stack": "zero",
              "scale": {"domain": [0, scale_bytes / GIB], "nice": False}},
        "color": {"field": "part", "type": "nominal", "title": None,
                  "scale": {"domain": names, "range": [_bar_colour(name) for name in names]}},
        "order": {"field": "order"},
        "description": {"field": "says"},
    }  # fmt: skip
    bar = {"type": "bar", "height": {"band": 0.62}, "stroke": "var(--card)", "strokeWidth": 1}
    return _spec(form, 46 * len(labels) + 10, bars, bar, encoding)


def memory_rows(row: Document) -> tuple[list[Row], list[str]]:
    """List the pieces of the memory bars, and the bars from top to bottom."""
    memory = row["memory"]
    free = row["available_bytes"]
    headroom = min(row["headroom_bytes"], free)
    pieces = [("All of it", part["label"], part["size_bytes"]) for part in row["parts"]]
    pieces += [
        ("Must be free", "main memory that must be free", memory["needed_bytes"]),
        ("Available", "available", free - headroom),
        ("Available", "to be left free", headroom),
    ]
    vram = memory["by_place"]["vram_bytes"]
    if vram:
        pieces.append(("On the GPU", "GPU memory taken", vram))
        unused = sum(max(0, d["free_bytes"] - d["used_bytes"]) for d in memory["devices"])
        pieces.append(("On the GPU", "GPU memory still free", unused))
    bars = [
        {"place": place, "part": part, "gib": size / GIB, "order": order,
         "says": f"{place}: {part}, {format_memory(size)}"}
        for order, (place, part, size) in enumerate(pieces)
        if size > 0
    ]  # fmt: skip
    return bars, list(dict.fromkeys(bar["place"] for bar in bars))


def _bar_colour(part: str) -> str:
    others = {
        "main memory that must be free": "var(--red)",
        "available": "var(--green)",
        "to be left free": "var(--pale)",
        "GPU memory taken": "var(--red)",
        "GPU memory still free": "var(--green)",
    }
    return _PART_COLOURS.get(part) or others.get(part, "var(--grey)")


def memory_scale_bytes(rows: Iterable[Document]) -> int:
    """Find the right end of the memory scale that holds every context."""
    ends = []
    for row in rows:
        bars, labels = memory_rows(row)
        ends += [sum(bar["gib"] for bar in bars if bar["place"] == label) for label in labels]
    return int(max(ends, default=1.0) * 1.02 * GIB)


def context_speed_chart(rows: Sequence[Document], form: Format) -> Spec:
    """Draw how speed falls as the context fills."""
    values = [
        {"context": row["context"], "rate": row["tokens_per_second"],
         "says": f"{row['context']:,} tokens of context, full: "
                 f"{row['tokens_per_second']:.1f} tokens/s"}
        for row in rows
    ]  # fmt: skip
    encoding = {
        "x": {"field": "context", "type": "quantitative", "title": "tokens in the context",
              "scale": {"type": "log", "base": 2, "nice": False},
              "axis": {"format": "~s" if form is NARROW else ",", "grid": False,
                       "labelExpr": "format(datum.value / 1024, ',') + ' K'",
                       "tickCount": 4 if form is NARROW else 8}},
        "y": {"field": "rate", "type": "quantitative", "title": "tokens/s",
              "scale": {"domainMin": 0}},
        "description": {"field": "says"},
    }  # fmt: skip
    mark = {"type": "line", "color": "var(--blue)", "strokeWidth": 2.5,
            "point": {"size": 46, "color": "var(--blue)", "filled": True}}  # fmt: skip
    return _spec(form, 190, values, mark, encoding)


def choices_chart(choices: Sequence[Document], form: Format) -> Spec:
    """Draw the expected speed of what was recommended, as ranges."""
    values = [_choice_row(choice) for choice in choices[:_MOST_COMPARED]]
    verdicts = list(dict.fromkeys(row["verdict"] for row in values))
    colours = dict(_VERDICTS.values())
    colour = {
        "field": "verdict", "type": "nominal", "title": None,
        "scale": {"domain": verdicts, "range": [colours[name] for name in verdicts]},
    }  # fmt: skip
    y = {"field": "model", "type": "nominal", "sort": None, "title": None,
         "axis": _AXIS_NAMES | {"labelLimit": 110 if form is NARROW else 200}}  # fmt: skip
    x = {"field": "low", "type": "quantitative", "title": "expected tokens/s",
         "scale": {"domainMin": 0}}  # fmt: skip
    says = {"field": "says"}
    layers = [
        {"mark": {"type": "rule", "strokeWidth": 6, "strokeCap": "round", "opacity": 0.45},
         "encoding": {"y": y, "x": x, "x2": {"field": "high"}, "color": colour,
                      "description": says}},
        {"mark": {"type": "point", "filled": True, "size": 110},
         "encoding": {"y": y, "x": {**x, "field": "rate"}, "color": colour,
                      "shape": {**colour, "scale": {"domain": verdicts}},
                      "description": says}},
    ]  # fmt: skip
    return _layered(form, 30 * len(values) + 10, layers, values)


def _choice_row(choice: Document) -> Row:
    speed = choice["speed"]
    return {
        "model": choice["model"],
        "low": speed["low"],
        "high": speed["high"],
        "rate": speed["tokens_per_second"],
        "verdict": _VERDICTS[choice["verdict"]][0],
        "says": f"{choice['model']}: {speed['tokens_per_second']:.1f} tokens/s, "
        f"{speed['low']:.1f} to {speed['high']:.1f}; needs "
        f"{format_memory(choice['memory']['needed_bytes'])}",
    }


def download_chart(runs: Sequence[Document], form: Format) -> Spec:
    """Draw the bytes that are here over time, with what went wrong on the way."""
    samples, incidents = download_rows(runs)
    unit, seconds = time_unit(max((row["seconds"] for row in samples), default=0.0))
    for row in (*samples, *incidents):
        row["at"] = row["seconds"] / seconds
    kinds = list(dict.fromkeys(row["what"] for row in incidents))
    look = {label: (colour, shape) for label, colour, shape in _INCIDENTS.values()}
    x = {"field": "at", "type": "quantitative", "title": unit, "axis": {"grid": False}}
    y = {"field": "size", "type": "quantitative", "title": _size_unit(runs)[0]}
    layers: list[Spec] = [
        {"mark": {"type": "area", "color": "var(--blue)", "opacity": 0.22,
                  "line": {"color": "var(--blue)", "strokeWidth": 2.5}},
         "encoding": {"x": x, "y": {**y, "stack": None}, "detail": {"field": "run"}}},
    ]  # fmt: skip
    if incidents:
        layers.append({
            "data": {"values": incidents},
            "mark": {"type": "point", "filled": True, "size": 120, "opacity": 1,
                     "stroke": "var(--card)", "strokeWidth": 1},
            "encoding": {
                "x": x, "y": y, "description": {"field": "says"},
                "color": {"field": "what", "type": "nominal", "title": None,
                          "scale": {"domain": kinds, "range": [look[k][0] for k in kinds]}},
                "shape": {"field": "what", "type": "nominal", "title": None,
                          "scale": {"domain": kinds, "range": [look[k][1] for k in kinds]}},
            },
        })  # fmt: skip
    return _layered(form, 210, layers, samples)


def rate_chart(runs: Sequence[Document], form: Format) -> Spec:
    """Draw the rate of a download over time."""
    samples, _ = download_rows(runs)
    unit, seconds = time_unit(max((row["seconds"] for row in samples), default=0.0))
    for row in samples:
        row["at"] = row["seconds"] / seconds
    encoding = {
        "x": {"field": "at", "type": "quantitative", "title": unit, "axis": {"grid": False}},
        "y": {"field": "rate", "type": "quantitative", "title": "MB/s",
              "scale": {"domainMin": 0}},
        "detail": {"field": "run"},
    }  # fmt: skip
    mark = {"type": "line", "color": "var(--teal)", "strokeWidth": 2, "interpolate": "monotone"}
    return _spec(form, 120, samples, mark, encoding)


def download_rows(runs: Sequence[Document]) -> tuple[list[Row], list[Row]]:
    """Lay runs end to end, without the time between them: samples, and what went wrong."""
    divisor = _size_unit(runs)[1]
    samples, incidents, offset = [], [], 0.0
    for number, run in enumerate(runs):
        for sample in run["samples"]:
            samples.append({
                "run": number, "seconds": offset + sample["seconds"],
                "size": sample["bytes"] / divisor, "rate": sample["rate"] / MB,
            })  # fmt: skip
        for incident in run["incidents"]:
            at = format_duration(offset + incident["seconds"])
            incidents.append({
                "seconds": offset + incident["seconds"], "size": incident["bytes"] / divisor,
                "what": _INCIDENTS[incident["kind"]][0],
                "says": f"{_INCIDENTS[incident['kind']][0]} after {at}, at "
                        f"{format_size(incident['bytes'])}. {incident['message']}".strip(),
            })  # fmt: skip
        offset += run["seconds"]
    return samples, incidents


def _size_unit(runs: Sequence[Document]) -> tuple[str, int]:
    total = max((run["total_bytes"] for run in runs), default=0)
    return ("GB", 1000 * MB) if total >= 1000 * MB else ("MB", MB)


def time_unit(seconds: float) -> tuple[str, int]:
    """Choose the unit of a time axis: its name, and how many seconds it has."""
    for name, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return name, length
    return "seconds", 1


def smoke_memory_chart(run: Document, form: Format) -> Spec:
    """Draw the machine's free memory and what the engine holds over a smoke test."""
    values = []
    for sample in run["samples"]:
        for line, size in (
            ("available on the machine", sample["available_bytes"]),
            ("held by the engine", sample["process_bytes"]),
        ):
            if size is not None:
                values.append(
                    {"at": sample["seconds"], "gib": size / GIB, "line": line,
                     "says": f"{line} after {sample['seconds']:.1f} s: {format_memory(size)}"}
                )  # fmt: skip
    names = list(dict.fromkeys(row["line"] for row in values))
    colours = {"available on the machine": "var(--green)", "held by the engine": "var(--red)"}
    line = {"type": "line", "strokeWidth": 2.5}
    encoding = {
        "x": {"field": "at", "type": "quantitative", "title": "seconds", "axis": {"grid": False}},
        "y": {"field": "gib", "type": "quantitative", "title": "GiB", "scale": {"domainMin": 0}},
        "color": {"field": "line", "type": "nominal", "title": None,
                  "scale": {"domain": names, "range": [colours[name] for name in names]}},
        "strokeDash": {"field": "line", "type": "nominal", "title": None,
                       "scale": {"domain": names, "range": [[1, 0], [6, 3]]}},
    }  # fmt: skip
    layers = [{"mark": line, "encoding": encoding}, *_step_layers(run, form)]
    return _layered(form, 220, layers, values)


def heat_chart(run: Document, form: Format) -> Spec:
    """Draw the processor's temperature over a smoke test."""
    values = [
        {"at": sample["seconds"], "celsius": sample["celsius"],
         "says": f"{sample['celsius']:.0f} °C after {sample['seconds']:.1f} s"}
        for sample in run["samples"]
        if sample["celsius"] is not None
    ]  # fmt: skip
    encoding = {
        "x": {"field": "at", "type": "quantitative", "title": "seconds", "axis": {"grid": False}},
        "y": {"field": "celsius", "type": "quantitative", "title": "°C",
              "scale": {"zero": False, "nice": True}},
    }  # fmt: skip
    mark = {"type": "line", "color": "var(--orange)", "strokeWidth": 2.5}
    layers = [{"mark": mark, "encoding": encoding}, *_step_layers(run, form)]
    return _layered(form, 140, layers, values)


def _step_layers(run: Document, form: Format) -> list[Spec]:
    """Mark where each step of a smoke test began; names only where there is room."""
    marks = [{"at": mark["seconds"], "step": mark["step"]} for mark in run["marks"]]
    x = {"field": "at", "type": "quantitative"}
    rule = {"data": {"values": marks}, "encoding": {"x": x, "description": {"field": "step"}},
            "mark": {"type": "rule", "color": "var(--faint)", "strokeDash": [3, 3]}}  # fmt: skip
    end = max((sample["seconds"] for sample in run["samples"]), default=0.0)
    step = end * (0.26 if form is NARROW else 0.11)
    roomy: list[Row] = []
    for mark in marks:
        if not roomy or mark["at"] - roomy[-1]["at"] >= step:
            roomy.append(mark)
    text = {"data": {"values": [m for m in roomy if m["at"] <= end - step / 2]},
            "encoding": {"x": x, "y": {"value": 0}, "text": {"field": "step"}},
            "mark": {"type": "text", "align": "left", "dx": 4, "dy": -6,
                     "color": "var(--soft)", "fontSize": form.font_size - 1}}  # fmt: skip
    return [rule, text]


def rounds_chart(series: Sequence[float], form: Format) -> Spec:
    """Draw the speed of each round of a long smoke test."""
    values = [
        {"round": number, "rate": rate, "says": f"round {number}: {rate:.1f} tokens/s"}
        for number, rate in enumerate(series, 1)
    ]
    encoding = {
        "x": {"field": "round", "type": "quantitative", "title": "round",
              "axis": {"grid": False, "tickMinStep": 1}},
        "y": {"field": "rate", "type": "quantitative", "title": "tokens/s",
              "scale": {"domainMin": 0}},
        "description": {"field": "says"},
    }  # fmt: skip
    mark = {"type": "line", "color": "var(--blue)", "point": {"color": "var(--blue)"}}
    return _spec(form, 140, values, mark, encoding)


def speed_check_chart(smoke: Document, form: Format) -> Spec:
    """Draw the measured speed against the range that was predicted."""
    predicted, measured = smoke["predicted"], smoke["tokens_per_second"]
    x = {"type": "quantitative", "title": "tokens/s", "scale": {"domainMin": 0}}
    names = ["predicted", "measured"]
    y = {"field": "what", "type": "nominal", "title": None, "sort": names, "axis": _AXIS_NAMES}
    between = f"{predicted['low']:.1f} to {predicted['high']:.1f} tokens/s"
    rows = [
        {"what": "predicted", "low": predicted["low"], "high": predicted["high"],
         "rate": predicted["tokens_per_second"], "says": f"predicted: {between}"},
        {"what": "measured", "low": 0, "high": measured, "rate": measured,
         "says": f"measured: {measured:.1f} tokens/s"},
    ]  # fmt: skip
    colour = {"field": "what", "type": "nominal", "legend": None,
              "scale": {"domain": names, "range": ["var(--blue)", "var(--teal)"]}}  # fmt: skip
    layers = [
        {"mark": {"type": "bar", "height": {"band": 0.5}, "cornerRadius": 3},
         "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"},
                      "color": colour, "description": {"field": "says"}}},
        {"transform": [{"filter": "datum.what == 'predicted'"}],
         "mark": {"type": "tick", "color": "var(--card)", "thickness": 2.5},
         "encoding": {"y": y, "x": {**x, "field": "rate"}}},
    ]  # fmt: skip
    return _layered(form, 86, layers, rows)


def memory_check_chart(smoke: Document, form: Format) -> Spec:
    """Draw the measured peak of memory against the prediction."""
    names = ["predicted", "measured"]
    sizes = (smoke["predicted"]["memory_bytes"], smoke["peak_memory_bytes"])
    rows = [
        {"what": name, "gib": size / GIB, "says": f"{name}: {format_memory(size)}"}
        for name, size in zip(names, sizes, strict=True)
    ]
    encoding = {
        "y": {"field": "what", "type": "nominal", "title": None, "sort": names,
              "axis": _AXIS_NAMES},
        "x": {"field": "gib", "type": "quantitative", "title": "GiB"},
        "color": {"field": "what", "type": "nominal", "legend": None,
                  "scale": {"domain": names, "range": ["var(--blue)", "var(--teal)"]}},
        "description": {"field": "says"},
    }  # fmt: skip
    bar = {"type": "bar", "height": {"band": 0.5}, "cornerRadius": 3}
    return _spec(form, 86, rows, bar, encoding)


def rate_sentence(runs: Sequence[Document]) -> str:
    """Say how fast a download was on the whole, counting what each run brought."""
    brought = sum(run["samples"][-1]["bytes"] - run["samples"][0]["bytes"] for run in runs)
    seconds = sum(run["seconds"] for run in runs)
    return format_rate(brought / seconds) if seconds > 0 else ""


_AXIS_NAMES: Mapping[str, Any] = {"grid": False, "ticks": False, "domain": False}


def _spec(
    form: Format, height: int, values: Sequence[Row], mark: Spec, encoding: Mapping[str, Any]
) -> Spec:
    layer = {"mark": mark, "encoding": dict(encoding)}
    return {**_frame(form, height, values), **layer}


def _layered(form: Format, height: int, layers: Sequence[Spec], values: Sequence[Row]) -> Spec:
    return {**_frame(form, height, values), "layer": list(layers)}


def _frame(form: Format, height: int, values: Sequence[Row]) -> Spec:
    axis = {
        "labelColor": "var(--soft)", "titleColor": "var(--soft)", "gridColor": "var(--line)",
        "domainColor": "var(--faint)", "tickColor": "var(--faint)", "titleFontWeight": 500,
        "labelFontSize": form.font_size, "titleFontSize": form.font_size, "labelPadding": 5,
        "tickCount": 4 if form is NARROW else 8,
    }  # fmt: skip
    legend = {
        "orient": "bottom", "columns": form.legend_columns, "labelColor": "var(--ink)",
        "labelFontSize": form.font_size, "labelLimit": 220, "symbolSize": 90,
        "symbolOpacity": 1, "columnPadding": 14, "offset": 8,
    }  # fmt: skip
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": form.width,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": 2,
        "background": None,
        "data": {"values": list(values)},
        "config": {
            "font": "system-ui, sans-serif", "view": {"stroke": None},
            "axis": axis, "axisY": {"tickCount": 4}, "legend": legend,
        },
    }  # fmt: skip
