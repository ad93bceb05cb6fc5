"""What every chart has in common, as Vega-Lite: its frame, its axes, its looks.

Colours are names of CSS variables, so that one drawing serves light and dark. Every mark carries
a sentence with its number (`says`), which a pointer over it shows. Legends are set beside a chart
by the page, which wraps them on a phone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]
Row = dict[str, Any]

_FONT_SIZE = 12
# A drawing is measured with another font than the reader's; wide letters need this much.
_LETTER_WIDTH = 7.4


@dataclass(frozen=True, slots=True)
class Format:
    """How wide a chart is drawn; a page carries each chart once for every format.

    Attributes:
        name: CSS class.
        width: Pixels in all.
        ticks: About how many numbers stand along the lower axis.
    """

    name: str
    width: int
    ticks: int


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend.

    Attributes:
        sign: How the mark looks.
        label: What it stands for.
        colour: Its colour.
    """

    sign: str
    label: str
    colour: str


@dataclass(frozen=True, slots=True)
class Look:
    """How a kind of mark is told from others: by colour, and by shape or dash too.

    Attributes:
        label: What it stands for.
        colour: Its colour.
        shape: Its shape in Vega's words, or its dash.
        sign: The same as a letter.
    """

    label: str
    colour: str
    shape: str | tuple[int, int]
    sign: str

    @property
    def key(self) -> Key:
        """Its entry in a legend."""
        return Key(self.sign, self.label, self.colour)


WIDE = Format("wide", 800, 8)
NARROW = Format("narrow", 330, 4)
FORMATS = (WIDE, NARROW)
SAYS: Spec = {"field": "says"}


def number(field: str, title: str | None = None, *, grid: bool = True, **more: Any) -> Spec:
    """Make a channel for a number.

    Args:
        field: Where it stands in a row.
        title: What the axis says.
        grid: Whether its axis draws lines across the chart.
        more: Further properties, put over these.
    """
    return {"field": field, "type": "quantitative", "title": title, "axis": {"grid": grid}, **more}


def names(field: str, labels: Sequence[str]) -> Spec:
    """Make a channel for the names of bars, in this order, with room for them in any font."""
    extent = max(len(label) for label in labels) * _LETTER_WIDTH + 8
    axis = {
        **dict.fromkeys(("grid", "ticks", "domain"), False),
        **dict.fromkeys(("minExtent", "maxExtent"), extent),
        "labelLimit": extent + 20,
    }
    return {"field": field, "type": "nominal", "title": None, "sort": list(labels), "axis": axis}


def looks(field: str, of_values: Mapping[str, Any]) -> Spec:
    """Make a channel that gives each value of a field its colour, shape or dash."""
    scale = {"domain": list(of_values), "range": list(of_values.values())}
    return {"field": field, "type": "nominal", "scale": scale, "legend": None}


def from_zero(**more: Any) -> Spec:
    """Make a scale that begins at zero."""
    return {"domainMin": 0, **more}


def chart(form: Format, height: int, values: Sequence[Row], mark: Spec, encoding: Spec) -> Spec:
    """Make a chart of one kind of mark."""
    return {**_frame(form, height, values), "mark": mark, "encoding": encoding}


def layered(form: Format, height: int, values: Sequence[Row], layers: Sequence[Spec]) -> Spec:
    """Make a chart of several kinds of marks."""
    return {**_frame(form, height, values), "layer": list(layers)}


def layer(mark: Spec, encoding: Spec, values: Sequence[Row] | None = None) -> Spec:
    """Make one layer, with data of its own or the chart's."""
    made: Spec = {"mark": mark, "encoding": encoding}
    return made if values is None else {**made, "data": {"values": list(values)}}


def caption(size: int = _FONT_SIZE - 1) -> Spec:
    """Make the mark of a small text at the upper edge."""
    return {
        "type": "text",
        "align": "left",
        "dx": 4,
        "dy": -6,
        "color": "var(--soft)",
        "fontSize": size,
    }


def _frame(form: Format, height: int, values: Sequence[Row]) -> Spec:
    axis = {
        **dict.fromkeys(("labelColor", "titleColor"), "var(--soft)"),
        **dict.fromkeys(("domainColor", "tickColor"), "var(--faint)"),
        **dict.fromkeys(("labelFontSize", "titleFontSize"), _FONT_SIZE),
        "gridColor": "var(--line)",
        "titleFontWeight": 500,
        "labelPadding": 5,
        "tickCount": form.ticks,
    }
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": form.width,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": {"left": 2, "top": 4, "right": 16, "bottom": 2},
        "background": None,
        "data": {"values": list(values)},
        "config": {
            "font": "system-ui, sans-serif",
            "view": {"stroke": None},
            "axis": axis,
            "axisY": {"tickCount": 4},
        },
    }
