"""Charts of what was computed: where memory goes, how fast it should be, what suits the machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from setup_manager.report.content import Document
from setup_manager.report.frame import (
    SAYS,
    Format,
    Key,
    Look,
    Row,
    Spec,
    chart,
    from_zero,
    layer,
    layered,
    looks,
    names,
    number,
)
from setup_manager.units import GIB, MIB, format_memory

# Each purpose of memory keeps its colour, whichever of them a model has.
PART_COLOURS = {
    "weights": "var(--blue)",
    "per-layer embeddings": "var(--teal)",
    "rearranged copy": "var(--purple)",
    "copy on the GPU": "var(--purple)",
    "KV cache": "var(--orange)",
    "scratch": "var(--olive)",
    "projector": "var(--pink)",
    "other": "var(--grey)",
}
_MUST_BE_FREE = "main memory needed"
_AVAILABLE = "available"
_TO_BE_LEFT = "to keep free"
_GPU_TAKEN = "GPU memory taken"
_GPU_FREE = "GPU memory still free"
_BAR_COLOURS = PART_COLOURS | {
    _MUST_BE_FREE: "var(--red)",
    _AVAILABLE: "var(--green)",
    _TO_BE_LEFT: "var(--pale)",
    _GPU_TAKEN: "var(--red)",
    _GPU_FREE: "var(--green)",
}
_VERDICTS = {
    "fits": Look("fits", "var(--teal)", "circle", "●"),
    "tight": Look("tight", "var(--orange)", "square", "■"),
    "no": Look("does not fit", "var(--red)", "diamond", "◆"),
}
_MOST_COMPARED = 10


def memory_chart(row: Document, scale_bytes: int, form: Format) -> Spec:
    """Draw where the memory goes at one context.

    Args:
        row: One entry of ``contexts``.
        scale_bytes: Right end of the scale, the same for every context.
        form: How wide.
    """
    bars = memory_bars(row)
    unit, unit_bytes = memory_unit(scale_bytes)
    for bar in bars:
        bar["length"] = bar["bytes"] / unit_bytes
    places = list(dict.fromkeys(bar["place"] for bar in bars))
    scale = {"domain": [0, scale_bytes / unit_bytes], "nice": False}
    colours = {bar["part"]: _BAR_COLOURS.get(bar["part"], "var(--grey)") for bar in bars}
    encoding = {
        "y": names("place", places),
        "x": number("length", unit, stack="zero", scale=scale),
        "color": looks("part", colours),
        "order": {"field": "order"},
        "description": SAYS,
    }
    mark = {"type": "bar", "height": {"band": 0.62}, "stroke": "var(--card)", "strokeWidth": 1}
    return chart(form, 46 * len(places) + 10, bars, mark, encoding)


def memory_bars(row: Document) -> list[Row]:
    """List the pieces of the memory bars, from top to bottom and from left to right."""
    memory = row["memory"]
    available = row["available_bytes"]
    headroom = min(row["headroom_bytes"], available)
    pieces = [("All of it", part["label"], part["size_bytes"]) for part in row["parts"]]
    pieces += [
        ("Memory needed", _MUST_BE_FREE, memory["needed_bytes"]),
        ("Available", _AVAILABLE, available - headroom),
        ("Available", _TO_BE_LEFT, headroom),
    ]
    if vram := memory["by_place"]["vram_bytes"]:
        unused = sum(max(0, d["free_bytes"] - d["used_bytes"]) for d in memory["devices"])
        pieces += [("On the GPU", _GPU_TAKEN, vram), ("On the GPU", _GPU_FREE, unused)]
    return [
        {
            "place": place,
            "part": part,
            "bytes": size,
            "order": order,
            "says": f"{place}: {part}, {format_memory(size)}",
        }
        for order, (place, part, size) in enumerate(pieces)
        if size > 0
    ]


def memory_scale_bytes(rows: Iterable[Document]) -> int:
    """Find the right end of the memory scale that holds every context."""
    longest = 0
    for row in rows:
        ends: dict[str, int] = {}
        for bar in memory_bars(row):
            ends[bar["place"]] = ends.get(bar["place"], 0) + bar["bytes"]
        longest = max(longest, *ends.values())
    return int(longest * 1.02)


def memory_unit(size_bytes: float) -> tuple[str, int]:
    """Choose the unit of a memory axis: its name, and how many bytes it has."""
    return ("GiB", GIB) if size_bytes >= GIB else ("MiB", MIB)


def context_speed_chart(rows: Sequence[Document], form: Format) -> Spec:
    """Draw how speed falls as the context fills."""
    values = [
        {
            "context": row["context"],
            "rate": row["tokens_per_second"],
            "says": f"{row['context']:,} tokens of context, full: "
            f"{row['tokens_per_second']:,.1f} tokens/s",
        }
        for row in rows
    ]
    in_thousands = {"grid": False, "labelExpr": "format(datum.value / 1024, ',') + ' K'"}
    encoding = {
        "x": number(
            "context",
            "tokens in the context",
            scale={"type": "log", "base": 2, "nice": False},
            axis=in_thousands,
        ),
        "y": number("rate", "tokens/s", scale=from_zero()),
        "description": SAYS,
    }
    point = {"size": 46, "color": "var(--blue)", "filled": True}
    mark = {"type": "line", "color": "var(--blue)", "strokeWidth": 2.5, "point": point}
    return chart(form, 190, values, mark, encoding)


def choices_chart(choices: Sequence[Document], form: Format) -> Spec:
    """Draw the expected speed of what was recommended, as ranges."""
    values = [_choice_row(choice) for choice in choices[:_MOST_COMPARED]]
    colour = looks("verdict", {look.label: look.colour for look in _VERDICTS.values()})
    shape = looks("verdict", {look.label: look.shape for look in _VERDICTS.values()})
    shared = {
        "y": names("model", [row["model"] for row in values]),
        "color": colour,
        "description": SAYS,
    }
    title, scale = "expected tokens/s", from_zero()
    layers = [
        layer(
            {"type": "rule", "strokeWidth": 6, "strokeCap": "round", "opacity": 0.45},
            {**shared, "x": number("low", title, scale=scale), "x2": {"field": "high"}},
        ),
        layer(
            {"type": "point", "filled": True, "size": 110, "opacity": 1},
            {**shared, "x": number("rate", title, scale=scale), "shape": shape},
        ),
    ]
    return layered(form, 30 * len(values) + 10, values, layers)


def choices_keys(choices: Sequence[Document]) -> tuple[Key, ...]:
    """List what the marks of the choices mean."""
    present = dict.fromkeys(choice["verdict"] for choice in choices[:_MOST_COMPARED])
    return tuple(_VERDICTS[verdict].key for verdict in present)


def _choice_row(choice: Document) -> Row:
    speed = choice["speed"]
    return {
        "model": choice["model"],
        "low": speed["low"],
        "high": speed["high"],
        "rate": speed["tokens_per_second"],
        "verdict": _VERDICTS[choice["verdict"]].label,
        "says": f"{choice['model']}: {speed['tokens_per_second']:,.1f} tokens/s, "
        f"{speed['low']:,.1f} to {speed['high']:,.1f}; needs "
        f"{format_memory(choice['memory']['needed_bytes'])}",
    }
