"""Charts of what happened: the download with its mishaps, the smoke test, what it measured."""

from __future__ import annotations

from collections.abc import Sequence

from setup_manager.report.content import Document
from setup_manager.report.frame import (
    NARROW,
    SAYS,
    Format,
    Key,
    Look,
    Row,
    Spec,
    caption,
    chart,
    from_zero,
    layer,
    layered,
    looks,
    names,
    number,
)
from setup_manager.report.planned_charts import memory_unit
from setup_manager.units import GB, MB, format_duration, format_memory, format_rate, format_size

_INCIDENTS = {
    "retry": Look("asked again", "var(--orange)", "triangle-up", "▲"),
    "wait": Look("waited", "var(--purple)", "square", "■"),
    "damaged": Look("wrong bytes", "var(--pink)", "cross", "✚"),
    "dropped": Look("source given up", "var(--grey)", "diamond", "◆"),
    "failed": Look("stopped", "var(--red)", "triangle-down", "▼"),
}
_SMOKE_LINES = {
    "available_bytes": Look("available on the machine", "var(--green)", (1, 0), "━━"),
    "process_bytes": Look("used by the engine", "var(--red)", (6, 3), "╍╍"),
}
_CHECK_COLOURS = {"predicted": "var(--blue)", "measured": "var(--teal)"}


def download_chart(runs: Sequence[Document], form: Format) -> Spec:
    """Draw the bytes that are here over time, with what went wrong on the way."""
    unit, seconds = _time_unit(runs)
    x = number("at", unit, grid=False)
    y = number("size", _size_unit(runs)[0], stack=None)
    line = {"color": "var(--blue)", "strokeWidth": 2.5}
    area = {"type": "area", "color": "var(--blue)", "opacity": 0.22, "line": line}
    point = {
        "type": "point",
        "filled": True,
        "size": 120,
        "opacity": 1,
        "stroke": "var(--card)",
        "strokeWidth": 1,
    }
    marked = {
        "x": x,
        "y": y,
        "description": SAYS,
        "color": looks("what", {look.label: look.colour for look in _INCIDENTS.values()}),
        "shape": looks("what", {look.label: look.shape for look in _INCIDENTS.values()}),
    }
    layers = [
        layer(area, {"x": x, "y": y, "detail": {"field": "run"}}),
        layer(point, marked, _incident_rows(runs, seconds)),
    ]
    return layered(form, 210, _sample_rows(runs, seconds), layers)


def download_keys(runs: Sequence[Document]) -> tuple[Key, ...]:
    """List what the marks on a download mean."""
    kinds = dict.fromkeys(incident["kind"] for run in runs for incident in run["incidents"])
    return tuple(_INCIDENTS[kind].key for kind in kinds)


def rate_chart(runs: Sequence[Document], form: Format) -> Spec:
    """Draw the rate of a download over time."""
    unit, seconds = _time_unit(runs)
    encoding = {
        "x": number("at", unit, grid=False),
        "y": number("rate", "MB/s", scale=from_zero()),
        "detail": {"field": "run"},
    }
    mark = {"type": "line", "color": "var(--teal)", "strokeWidth": 2, "interpolate": "monotone"}
    return chart(form, 120, _sample_rows(runs, seconds), mark, encoding)


def whole_rate(runs: Sequence[Document]) -> str:
    """Say how fast a download was on the whole, counting what each run brought."""
    brought = sum(run["samples"][-1]["bytes"] - run["samples"][0]["bytes"] for run in runs)
    seconds = sum(run["seconds"] for run in runs)
    return format_rate(brought / seconds) if seconds > 0 else format_rate(0)


def _sample_rows(runs: Sequence[Document], unit_seconds: int) -> list[Row]:
    size = _size_unit(runs)[1]
    return [
        {
            "run": index,
            "at": (begin + sample["seconds"]) / unit_seconds,
            "size": sample["bytes"] / size,
            "rate": sample["rate"] / MB,
        }
        for index, (begin, run) in enumerate(_end_to_end(runs))
        for sample in run["samples"]
    ]


def _incident_rows(runs: Sequence[Document], unit_seconds: int) -> list[Row]:
    size = _size_unit(runs)[1]
    return [
        {
            "at": (begin + incident["seconds"]) / unit_seconds,
            "size": incident["bytes"] / size,
            "what": _INCIDENTS[incident["kind"]].label,
            "says": _incident_sentence(incident, begin),
        }
        for begin, run in _end_to_end(runs)
        for incident in run["incidents"]
    ]


def _incident_sentence(incident: Document, begin_seconds: float) -> str:
    after = format_duration(begin_seconds + incident["seconds"])
    what = _INCIDENTS[incident["kind"]].label
    return f"{what} after {after}, at {format_size(incident['bytes'])}. {incident['message']}"


def _end_to_end(runs: Sequence[Document]) -> list[tuple[float, Document]]:
    """Give each run the moment at which it begins if the time between runs is left out."""
    placed, begin = [], 0.0
    for run in runs:
        placed.append((begin, run))
        begin += run["seconds"]
    return placed


def _size_unit(runs: Sequence[Document]) -> tuple[str, int]:
    total = max(run["total_bytes"] for run in runs)
    return ("GB", GB) if total >= GB else ("MB", MB)


def _time_unit(runs: Sequence[Document]) -> tuple[str, int]:
    seconds = sum(run["seconds"] for run in runs)
    for name, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return name, length
    return "seconds", 1


def smoke_memory_chart(run: Document, form: Format) -> Spec:
    """Draw the machine's free memory and what the engine holds over a smoke test."""
    values = [
        {"at": sample["seconds"], "bytes": sample[name], "line": look.label}
        for sample in run["samples"]
        for name, look in _SMOKE_LINES.items()
        if sample[name] is not None
    ]
    unit, unit_bytes = memory_unit(max(row["bytes"] for row in values))
    for row in values:
        row["size"] = row["bytes"] / unit_bytes
    encoding = {
        "x": number("at", "seconds", grid=False),
        "y": number("size", unit, scale=from_zero()),
        "color": looks("line", {look.label: look.colour for look in _SMOKE_LINES.values()}),
        "strokeDash": looks("line", {look.label: look.shape for look in _SMOKE_LINES.values()}),
    }
    lines = layer({"type": "line", "strokeWidth": 2.5}, encoding)
    return layered(form, 220, values, [lines, *_step_layers(run, form)])


def smoke_memory_keys(run: Document) -> tuple[Key, ...]:
    """List what the lines of a smoke test mean."""
    return tuple(
        look.key
        for name, look in _SMOKE_LINES.items()
        if any(sample[name] is not None for sample in run["samples"])
    )


def heat_chart(run: Document, form: Format) -> Spec:
    """Draw the processor's temperature over a smoke test."""
    values = [
        {"at": sample["seconds"], "celsius": sample["celsius"]}
        for sample in run["samples"]
        if sample["celsius"] is not None
    ]
    encoding = {
        "x": number("at", "seconds", grid=False),
        "y": number("celsius", "°C", scale={"zero": False}),
    }
    line = layer({"type": "line", "color": "var(--orange)", "strokeWidth": 2.5}, encoding)
    return layered(form, 140, values, [line, *_step_layers(run, form)])


def _step_layers(run: Document, form: Format) -> list[Spec]:
    """Mark where each step of a smoke test began; names only where there is room."""
    marks = [{"at": mark["seconds"], "step": mark["step"]} for mark in run["marks"]]
    end = max(sample["seconds"] for sample in run["samples"])
    room = end * (0.26 if form is NARROW else 0.11)
    named: list[Row] = []
    for mark in marks:
        if mark["at"] <= end - room / 2 and (not named or mark["at"] - named[-1]["at"] >= room):
            named.append(mark)
    x = number("at", "seconds", grid=False)
    rule = {"type": "rule", "color": "var(--faint)", "strokeDash": [3, 3]}
    text = {"x": x, "y": {"value": 0}, "text": {"field": "step"}}
    return [
        layer(rule, {"x": x, "description": {"field": "step"}}, marks),
        layer(caption(), text, named),
    ]


def rounds_chart(series: Sequence[float], form: Format) -> Spec:
    """Draw the speed of each round of a long smoke test."""
    values = [
        {"round": index, "rate": rate, "says": f"round {index}: {rate:,.1f} tokens/s"}
        for index, rate in enumerate(series, 1)
    ]
    encoding = {
        "x": number("round", "round", axis={"grid": False, "tickMinStep": 1}),
        "y": number("rate", "tokens/s", scale=from_zero()),
        "description": SAYS,
    }
    mark = {"type": "line", "color": "var(--blue)", "point": {"color": "var(--blue)"}}
    return chart(form, 140, values, mark, encoding)


def speed_check_chart(smoke: Document, form: Format) -> Spec:
    """Draw the measured speed against the range that was predicted."""
    predicted, measured = smoke["predicted"], smoke["tokens_per_second"]
    low, high = predicted["low"], predicted["high"]
    values: list[Row] = [
        {"what": "predicted", "low": low, "high": high,
         "says": f"predicted: {low:,.1f} to {high:,.1f} tokens/s"},
        {"what": "measured", "low": 0, "high": measured,
         "says": f"measured: {measured:,.1f} tokens/s"},
    ]  # fmt: skip
    y, scale = names("what", list(_CHECK_COLOURS)), from_zero()
    bar = layer(
        {"type": "bar", "height": {"band": 0.5}, "cornerRadius": 3},
        {
            "y": y,
            "x": number("low", "tokens/s", scale=scale),
            "x2": {"field": "high"},
            "color": looks("what", _CHECK_COLOURS),
            "description": SAYS,
        },
    )
    middle = layer(
        {"type": "tick", "color": "var(--card)", "thickness": 2.5},
        {"y": y, "x": number("rate", "tokens/s", scale=scale)},
        [{"what": "predicted", "rate": predicted["tokens_per_second"]}],
    )
    return layered(form, 86, values, [bar, middle])


def memory_check_chart(smoke: Document, form: Format) -> Spec:
    """Draw the measured peak of memory against the prediction."""
    sizes = (smoke["predicted"]["memory_bytes"], smoke["peak_memory_bytes"])
    unit, unit_bytes = memory_unit(max(sizes))
    values = [
        {"what": what, "size": size / unit_bytes, "says": f"{what}: {format_memory(size)}"}
        for what, size in zip(_CHECK_COLOURS, sizes, strict=True)
    ]
    encoding = {
        "y": names("what", list(_CHECK_COLOURS)),
        "x": number("size", unit),
        "color": looks("what", _CHECK_COLOURS),
        "description": SAYS,
    }
    mark = {"type": "bar", "height": {"band": 0.5}, "cornerRadius": 3}
    return chart(form, 86, values, mark, encoding)
