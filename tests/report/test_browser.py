"""The page in a real browser: numbers, slider, names, contrast, quiet."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from setup_manager.report.content import Content
from setup_manager.report.page import render
from setup_manager.units import format_duration, format_memory
from tests.report.browser import CHROMIUM, Browser, browser
from tests.report.test_page import HOSTILE, hostile

if CHROMIUM is None:
    pytest.skip("no Chromium is installed", allow_module_level=True)

# WCAG 2.2: 1.4.3 for text, 1.4.11 for what a reader must see to understand a chart.
TEXT_RATIO = 4.5
GRAPHIC_RATIO = 3.0
TEXT_PAIRS = (
    ("ink", "page"), ("ink", "card"), ("soft", "page"), ("soft", "card"), ("accent", "page"),
    ("accent", "card"), ("ink", "code"), ("fits", "fits-bg"), ("tight", "tight-bg"),
    ("no", "no-bg"),
)  # fmt: skip
GRAPHICS = (
    "blue", "teal", "orange", "purple", "olive", "pink", "grey", "red", "green", "accent", "faint",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, content: Content) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(content), "utf-8")
    return path


@pytest.fixture
def opened(chromium: Browser, path: Path) -> Browser:
    chromium.look()
    chromium.open(path)
    return chromium


def data(page: Browser) -> Any:
    return json.loads(page.run("document.getElementById('report-data').textContent"))


def text(page: Browser, selector: str) -> str:
    found = page.run(f"document.querySelector({json.dumps(selector)}).innerText")
    return str(found).strip()


def visible_panels(page: Browser) -> list[int]:
    script = (
        "[...document.querySelectorAll('.panel')].filter(p => p.offsetParent !== null)"
        ".map(p => Number(p.dataset.context))"
    )
    return list(page.run(script))


def test_the_page_is_quiet_and_asks_for_nothing(opened: Browser, path: Path) -> None:
    assert opened.complaints == []
    assert opened.requested == [path.as_uri()]


def test_the_numbers_on_the_page_are_those_of_the_data(opened: Browser) -> None:
    document = data(opened)
    smoke = document["smoke"]
    assert text(opened, "#measured-speed") == f"{smoke['tokens_per_second']:,.1f} tokens/s"
    assert text(opened, "#measured-load") == format_duration(smoke["load_seconds"])
    assert text(opened, "#measured-memory") == format_memory(smoke["peak_memory_bytes"])
    seconds = sum(run["seconds"] for run in document["downloads"])
    assert text(opened, "#download-time") == format_duration(seconds)
    assert text(opened, "h1") == document["title"]


def test_the_slider_shows_every_context_with_its_own_numbers(opened: Browser) -> None:
    rows = data(opened)["contexts"]
    for index, row in enumerate(rows):
        opened.run(
            f"(s => {{ s.value = {index}; s.dispatchEvent(new Event('input')); }})"
            "(document.getElementById('context'))"
        )
        assert visible_panels(opened) == [row["context"]]
        panel = f"#panel-{row['context']}"
        assert text(opened, "#context-shown") == f"{row['context']:,} tokens"
        assert text(opened, f"{panel} .needed") == format_memory(row["memory"]["needed_bytes"])
        assert text(opened, f"{panel} .speed") == f"{row['tokens_per_second']:,.1f} tokens/s"
        assert text(opened, f"{panel} .total") == format_memory(row["memory"]["total_bytes"])
        cells = opened.run(
            f"[...document.querySelectorAll('{panel} tbody tr')].map(r => r.children[1].innerText)"
        )
        assert cells == [format_memory(part["size_bytes"]) for part in row["parts"]]


def test_the_bars_are_as_long_as_their_numbers(opened: Browser) -> None:
    row = next(r for r in data(opened)["contexts"] if [r["context"]] == visible_panels(opened))
    script = (
        f"[...document.querySelectorAll('#panel-{row['context']} .wide svg "
        '[aria-label^="All of it"]\')].map(b => b.getBoundingClientRect().width)'
    )
    widths = opened.run(script)
    sizes = [part["size_bytes"] for part in row["parts"]]
    assert len(widths) == len(sizes)
    for width, size in zip(widths, sizes, strict=True):
        assert width == pytest.approx(size / sum(sizes) * sum(widths), abs=2.0)


def test_the_slider_obeys_the_keyboard(opened: Browser) -> None:
    rows = [row["context"] for row in data(opened)["contexts"]]
    opened.run("document.getElementById('context').focus()")
    opened.press("End", 35)
    assert visible_panels(opened) == [rows[-1]]
    opened.press("ArrowLeft", 37)
    assert visible_panels(opened) == [rows[-2]]
    opened.press("Home", 36)
    assert visible_panels(opened) == [rows[0]]
    spoken = opened.run("document.getElementById('context').getAttribute('aria-valuetext')")
    assert spoken == f"{rows[0]:,} tokens"


def test_controls_and_charts_have_names(opened: Browser) -> None:
    nodes = opened.accessible()
    named = {"slider", "image", "img", "DisclosureTriangle", "button", "region", "table"}
    for role, name in nodes:
        assert role not in named or name or role == "table", (role, name)
    roles = [role for role, _ in nodes]
    assert ("slider", "Context") in nodes
    images = [name for role, name in nodes if role in {"image", "img"}]
    (shown,) = visible_panels(opened)
    assert any(name.startswith(f"Memory at {shown:,} tokens of context: ") for name in images)
    assert any(name.startswith("Download progress") for name in images)
    assert any(name.startswith("Memory while the model loaded") for name in images)
    assert roles.count("heading") >= 6


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough_in_both_themes(chromium: Browser, path: Path, scheme: str) -> None:
    chromium.look(scheme=scheme)
    chromium.open(path)

    def colour(name: str) -> str:
        script = f"getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()"
        found = str(chromium.run(script))
        assert re.fullmatch("#[0-9a-f]{6}", found)
        return found

    for ink, ground in TEXT_PAIRS:
        assert contrast(colour(ink), colour(ground)) >= TEXT_RATIO, (ink, ground)
    for name in GRAPHICS:
        assert contrast(colour(name), colour("card")) >= GRAPHIC_RATIO, name


def test_the_themes_differ_and_charts_follow_them(chromium: Browser, path: Path) -> None:
    seen = []
    for scheme in ("light", "dark"):
        chromium.look(scheme=scheme)
        chromium.open(path)
        seen.append(
            chromium.run(
                "[getComputedStyle(document.body).backgroundColor, getComputedStyle("
                "document.querySelector('.wide svg [aria-label^=\"All of it\"]')).fill]"
            )
        )
    light, dark = seen
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    assert "none" not in {light[1], dark[1]}


@pytest.mark.parametrize("width", [320, 390, 700, 1400])
def test_nothing_sticks_out_sideways(chromium: Browser, path: Path, width: int) -> None:
    chromium.look(width=width)
    chromium.open(path)
    assert chromium.run("document.documentElement.scrollWidth") <= width
    shown = chromium.run(
        "[...document.querySelectorAll('#figure-context-speed div')]"
        ".filter(d => d.offsetParent !== null).map(d => d.className)"
    )
    assert shown == (["narrow"] if width < 700 else ["wide"])


def test_paper_gets_light_colours_and_what_was_folded(chromium: Browser, path: Path) -> None:
    chromium.look(scheme="dark")
    chromium.open(path)
    chromium.run("window.dispatchEvent(new Event('beforeprint'))")
    assert chromium.run("document.querySelectorAll('details:not([open])').length") == 0
    chromium.run("window.dispatchEvent(new Event('afterprint'))")
    assert chromium.run("document.querySelectorAll('details[open]').length") == 0
    assert len(chromium.call("Page.printToPDF")["data"]) > 20_000


def test_hostile_texts_run_nothing_and_show_as_they_are(
    chromium: Browser, tmp_path: Path, content: Content
) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(render(hostile(content, HOSTILE)), "utf-8")
    chromium.look()
    chromium.open(path)
    assert chromium.complaints == []
    assert chromium.requested == [path.as_uri()]
    assert chromium.run("document.images.length") == 0
    assert "</script><script>alert(1)</script>" in text(chromium, "h1")
    assert data(chromium)["title"] == HOSTILE
