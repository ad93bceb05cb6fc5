"""The page: alone in its file, safe against what it tells, true to its numbers."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.errors import SetupError
from setup_manager.hints import install_extra
from setup_manager.report import drawing
from setup_manager.report.content import Content
from setup_manager.report.facts import ReportRequest, context_grid, gather
from setup_manager.report.page import render
from setup_manager.report.planned_charts import memory_bars, memory_scale_bytes
from setup_manager.session.session import Session
from tests.fit.machines import card, cpu_machine, mac
from tests.report.conftest import CREATED_AT, MODEL
from tests.support.sessions import session_at

HOSTILE = (
    "\0\x1b[31m\ufffe\udc80</script><script>alert(1)</script>"
    "<img src=x onerror=alert(2)>\"'&\u2028]]>{{7*7}}"
)


class Reader(HTMLParser):
    """Collects what a browser would find."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._in = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts[-1] += data
        elif self._in != "style":
            self.text.append(data)

    @property
    def data(self) -> Any:
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def page(content: Content) -> str:
    return render(content)


def test_the_page_loads_nothing(page: str) -> None:
    reader = Reader(page)
    assert {tag for tag, _ in reader.tags} & {"link", "img", "iframe", "object", "base"} == set()
    for tag, attributes in reader.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert name not in attributes, (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
    style = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert "url(" not in style[0]
    assert "@import" not in style[0]


def test_only_the_pages_own_script_may_run(page: str) -> None:
    reader = Reader(page)
    policy = next(a["content"] for t, a in reader.tags if a.get("http-equiv"))
    assert policy is not None
    own = base64.b64encode(hashlib.sha256(reader.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{own}'" in policy
    assert "default-src 'none'" in policy
    assert len(reader.scripts) == 2


def test_the_embedded_data_is_the_report(page: str, content: Content) -> None:
    assert Reader(page).data == json.loads(json.dumps(content.document()))


def test_every_identifier_is_there_once(page: str) -> None:
    found = [attributes["id"] for _, attributes in Reader(page).tags if "id" in attributes]
    assert len(found) == len(set(found))
    for _, attributes in Reader(page).tags:
        for name in ("aria-labelledby", "for"):
            if name in attributes:
                assert attributes[name] in found


def hostile(content: Content, text: str) -> Content:
    """Put a text wherever one from outside can get."""
    machine = json.loads(json.dumps(content.machine))
    machine["cpu"]["model"] = machine["os_version"] = text
    machine["memory"]["users"] = [{"name": text, "resident_bytes": 1, "processes": 1}]
    machine["disks"] = [{**machine["disks"][0], "path": text, "filesystem": text}]
    recommendation = json.loads(json.dumps(content.recommendation))
    for choice in recommendation["choices"]:
        choice["model"] = text
        choice["reasons"] = [text]
    runs = json.loads(json.dumps(content.downloads))
    for incident in runs[0]["incidents"]:
        incident["message"] = text
    assert content.smoke is not None
    rows = json.loads(json.dumps(content.contexts))[:1]
    rows[0]["context"] = content.explanation["settings"]["context"] if content.explanation else 0
    rows[0]["parts"][0] |= {"label": text, "note": text}
    return replace(
        content,
        title=text,
        model=text,
        machine=machine,
        contexts=tuple(rows),
        recommendation=recommendation,
        downloads=tuple(runs),
        files=({**content.files[0], "path": text},),
        smoke={**content.smoke, "text": text, "reasons": [text]},
        commands={"runtime": text, "start": text, "ask": text, "endpoint": text, "model": text},
    )


def test_hostile_texts_stay_texts(content: Content) -> None:
    told = hostile(content, HOSTILE)
    reader = Reader(render(told))
    assert len(reader.scripts) == 2
    assert "img" not in {tag for tag, _ in reader.tags}
    assert reader.data["title"] == HOSTILE
    assert HOSTILE.split("\udc80")[1] in "".join(reader.text)


@settings(deadline=None, max_examples=3)
@given(text=st.text(min_size=1, max_size=40).map(lambda text: text + "<b></script>"))
def test_any_text_stays_a_text(content: Content, text: str) -> None:
    reader = Reader(render(hostile(content, text)))
    assert reader.data["title"] == text
    assert len(reader.scripts) == 2
    assert "b" not in {tag for tag, _ in reader.tags}


@pytest.mark.parametrize(
    "machine",
    [
        cpu_machine(20.0),
        cpu_machine(20.0, gpus=(card(),)),
        cpu_machine(6.0, gpus=(card(total_gib=4.0),)),
        mac(),
    ],
    ids=["cpu", "card", "small card", "mac"],
)
def test_the_memory_bars_hold_every_byte(planned: Callable[..., Content], machine: object) -> None:
    content = planned(machine, model="e4b")
    scale = memory_scale_bytes(content.contexts)
    for row in content.contexts:
        by_place: dict[str, int] = {}
        for bar in memory_bars(row):
            by_place[bar["place"]] = by_place.get(bar["place"], 0) + bar["bytes"]
        assert by_place["All of it"] == row["memory"]["total_bytes"]
        assert by_place["Memory needed"] == row["memory"]["needed_bytes"]
        assert by_place["Available"] == row["available_bytes"]
        assert max(by_place.values()) <= scale
        assert sum(part["size_bytes"] for part in row["parts"]) == row["memory"]["total_bytes"]


def test_the_row_of_the_chosen_context_is_what_explain_says(
    planned: Callable[..., Content],
) -> None:
    content = planned(model="e4b")
    assert content.explanation is not None
    chosen = content.explanation["settings"]["context"]
    row = next(row for row in content.contexts if row["context"] == chosen)
    for name in ("memory", "parts", "verdict", "available_bytes", "headroom_bytes"):
        assert row[name] == content.explanation[name]


@given(longest=st.integers(4096, 1 << 20), share=st.floats(0.001, 1))
def test_the_grid_rises_to_the_longest_context_and_has_the_chosen_one(
    longest: int, share: float
) -> None:
    chosen = max(1, int(longest * share))
    grid = context_grid(longest, chosen)
    assert list(grid) == sorted(set(grid))
    assert grid[-1] == longest
    assert chosen in grid
    assert len(grid) < 24


def test_without_a_model_that_fits_the_page_says_so(planned: Callable[..., Content]) -> None:
    content = planned(cpu_machine(0.2, 1.0))
    assert content.recommendation is None
    assert content.model == ""
    page = render(content)
    assert "No Gemma 4 model fits" in page
    assert 'id="context"' not in page


def test_without_an_installation_the_page_says_how_to_begin(
    planned: Callable[..., Content],
) -> None:
    content = planned(model="e2b")
    assert f"gemma-setup install {content.model}" in render(content)


def test_another_machine_is_not_told_of_what_is_installed_here(installed: Session) -> None:
    request = ReportRequest(model=MODEL, machine=cpu_machine(20.0))
    content = gather(installed, request)
    assert content.machine["cpu"]["model"] == "a CPU"
    assert content.smoke is None
    assert content.downloads == ()
    assert content.commands is None


def test_what_was_installed_last_is_what_a_report_is_about(content: Content) -> None:
    assert content.model == MODEL
    assert content.created_at == CREATED_AT
    assert content.smoke is not None
    assert content.commands is not None


def test_a_smoke_test_that_an_earlier_version_recorded_is_left_out(
    installed: Session, tmp_path: Path
) -> None:
    recorded = installed.inventory.find(MODEL)
    assert recorded is not None
    session = session_at(tmp_path)
    session.catalog = installed.catalog
    session.inventory.update(
        recorded, lambda known: replace(known, last_smoke={"passed": True, "text": "Paris"})
    )
    content = gather(session, ReportRequest())
    assert content.smoke is None
    assert content.files != ()
    assert "Predicted and measured" not in render(content)


def test_no_socket_is_opened_for_a_report(
    installed: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    assert installed.home is not None
    session = session_at(installed.home)
    session.catalog = installed.catalog
    session.machine = cpu_machine(20.0)
    assert gather(session, ReportRequest()).smoke is not None


def test_without_the_extra_the_error_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['vl_convert'] = None\n"
        "from setup_manager.report.drawing import require_extra\n"
        "from setup_manager.errors import SetupError\n"
        "try:\n    require_extra()\n"
        "except SetupError as e:\n    print(e.code, '|', e.hint, '|', e.context[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    code, hint, fact = done.stdout.strip().split(" | ")
    assert code == "report-extra-missing"
    assert f"Run `{install_extra('report')}`" in hint
    assert fact == "vl_convert is missing"


@settings(deadline=None)
@given(text=st.text())
def test_what_is_drawn_is_text_that_xml_can_hold(text: str) -> None:
    (drawn,) = drawing.drawable({"values": [text]})["values"]
    assert len(drawn) == len(text)
    allowed = {9, 10, 13, *range(0x20, 0xD800), *range(0xE000, 0xFFFE)} - {0x2028, 0x2029}
    assert all(ord(letter) in allowed or ord(letter) > 0xFFFF for letter in drawn)
    kept = [(a, b) for a, b in zip(text, drawn, strict=True) if b != "\ufffd"]
    assert all(a == b for a, b in kept)


def test_identifiers_of_drawings_keep_apart() -> None:
    spec = {
        "data": {"values": [{"a": 1}]},
        "mark": {"type": "bar", "clip": True},
        "encoding": {"x": {"field": "a", "type": "quantitative"}},
    }
    svg = drawing.draw(spec, "one-")
    used = set(re.findall(r"url\(#([^)]+)\)", svg))
    made = set(re.findall(r'\bid="([^"]+)"', svg))
    assert used <= made
    assert made
    assert all(name.startswith("one-") for name in made)


def test_a_specification_cannot_make_the_drawing_fetch() -> None:
    spec = {
        "data": {"url": "http://127.0.0.1:9/data.json"},
        "mark": "bar",
        "encoding": {"x": {"field": "a", "type": "quantitative"}},
    }
    with pytest.raises((ValueError, SetupError)):
        drawing.draw(spec, "x-")
