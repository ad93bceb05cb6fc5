"""docs/reference/json.md against what the commands print."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, model_path
from tests.cli.hub import catalog_file, environment_for
from tests.cli.runner import Program, program_at
from tests.docs.papers import ROOT
from tests.support.loopback import LoopbackHub

PAGE = (ROOT / "docs/reference/json.md").read_text("utf-8")
KINDS: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "text": (str,),
    "true/false": (bool,),
    "object": (dict,),
}


def anchored(title: str) -> str:
    return title.lower().replace(" ", "-")


def shapes() -> dict[str, dict[str, Any]]:
    """Every table by its anchor: field names with dots become objects in objects."""
    found: dict[str, dict[str, Any]] = {}
    for section in PAGE.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        fields = found.setdefault(anchored(title), {})
        for name, kind in re.findall(r"^\| `([\w.]+)` \| ([^|]+) \|", body, re.MULTILINE):
            *places, last = name.split(".")
            inner = fields
            for place in places:
                inner = inner.setdefault(place, {})
            inner[last] = kind.strip()
    return found


SHAPES = shapes()


def problems(value: Any, kind: str | dict[str, Any], where: str) -> Iterator[str]:
    """Say where a value differs from what is written."""
    if isinstance(kind, dict):
        yield from _fields(value, kind, where)
        return
    kind = kind.removesuffix(", optional")
    if value is None:
        if not kind.endswith(" or null"):
            yield f"{where} is null"
        return
    kind = kind.removesuffix(" or null")
    if kind.startswith("list of "):
        if not isinstance(value, list):
            yield f"{where} is no list"
            return
        for index, item in enumerate(value):
            yield from problems(item, kind.removeprefix("list of "), f"{where}[{index}]")
    elif link := re.fullmatch(r"\[[\w ]+\]\(#([\w-]+)\)", kind):
        yield from _fields(value, SHAPES[link[1]], where)
    elif not isinstance(value, KINDS[kind]) or isinstance(value, bool) != (kind == "true/false"):
        yield f"{where} is {value!r}, not {kind}"


def _fields(value: Any, kinds: dict[str, Any], where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where} is no object"
        return
    yield from (f"{where}.{name} is not written down" for name in value if name not in kinds)
    for name, kind in kinds.items():
        if name in value:
            yield from problems(value[name], kind, f"{where}.{name}")
        elif isinstance(kind, dict) or not kind.endswith(", optional"):
            yield f"{where}.{name} is missing"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("json")
    home = folder / "home"
    home.mkdir()
    with LoopbackHub({REPOSITORY: {FILE_NAME: model_path()}}) as hub:
        made = program_at(home)
        environment = environment_for(hub, catalog_file(folder, hub))
        made = Program(home, {**made.environment, **environment})
        made("download", VARIANT)
        yield made


def assert_as_written(program: Program, shape: str, *arguments: str) -> None:
    document = program(*arguments, "--json").document
    assert list(problems(document, {**SHAPES["envelope"], "data": f"[x](#{shape})"}, "")) == []


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ("check", ("check", VARIANT)),
        ("recommend", ("recommend",)),
        ("explain", ("explain", VARIANT)),
        ("download", ("download", VARIANT)),
        ("planned-download", ("download", VARIANT, "--dry-run")),
        ("verify", ("verify",)),
        ("list", ("list",)),
        ("installed-models", ("list", "--installed")),
        ("clean", ("clean", "--yes")),
        ("remove", ("remove", VARIANT, "--dry-run")),
    ],
)
def test_the_fields_of_a_command(program: Program, shape: str, arguments: tuple[str, ...]) -> None:
    assert_as_written(program, shape, *arguments)


def test_the_catalogue_of_the_package(tmp_path: Path) -> None:
    assert_as_written(program_at(tmp_path), "list", "list")


@pytest.mark.real_runtime
@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ("register", ("register", VARIANT, "--runtime", "embedded")),
        ("smoke", ("smoke", VARIANT, "--runtime", "embedded")),
        ("install", ("install", VARIANT, "--runtime", "embedded", "--yes")),
        ("rehearse", ("rehearse",)),
    ],
)
def test_the_fields_with_an_engine(
    program: Program, shape: str, arguments: tuple[str, ...]
) -> None:
    assert_as_written(program, shape, *arguments)


def test_a_leftover(program: Program, tmp_path: Path) -> None:
    leftover = tmp_path / FILE_NAME
    leftover.write_bytes(model_path().read_bytes()[:1_200_000])
    models = ("--models-dir", str(tmp_path / "models"))
    arguments = ("recover", str(leftover), "--dry-run", *models)
    assert_as_written(program, "recover", *arguments)
    assert program(*arguments, "--json").document["data"]["found"]


def test_a_leftover_that_is_adopted(program: Program, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(model_path().read_bytes())
    models = ("--models-dir", str(tmp_path / "models"))
    arguments = ("recover", str(tmp_path / FILE_NAME), "--yes", *models)
    assert_as_written(program, "recover", *arguments)


def test_an_error(program: Program) -> None:
    document = program("explain", "no-such-model", "--json").document
    assert document["errors"]
    assert list(problems(document, SHAPES["envelope"], "")) == []


def test_events_of_a_download(program: Program, tmp_path: Path) -> None:
    finished = program("download", VARIANT, "--models-dir", str(tmp_path), "--progress", "json")
    events = [json.loads(line) for line in finished.stderr.splitlines() if line.startswith("{")]
    files = [event for event in events if "file" in event]
    assert files
    assert [p for event in files for p in problems(event, SHAPES["events"], "")] == []


def test_a_machine_with_a_card(program: Program, tmp_path: Path) -> None:
    machine = program("check", "--json").document["data"]["machine"]
    size = 12 << 30
    machine["gpus"] = [
        {
            "vendor": "nvidia",
            "name": "NVIDIA GeForce RTX 3060",
            "total_bytes": size,
            "free_bytes": size,
            "unified": False,
        }
    ]
    described = tmp_path / "machine.json"
    described.write_text(json.dumps(machine))
    arguments = ("recommend", "--machine", str(described))
    assert_as_written(program, "recommend", *arguments)
    (card,) = program(*arguments, "--json").document["data"]["machine"]["gpus"]
    assert card["name"] == "NVIDIA GeForce RTX 3060"


def test_differences_are_noticed() -> None:
    right = {"tokens_per_second": 1.5, "low": 1, "high": 2.0, "limited_by": "", "basis": ""}
    assert list(problems(right, "[speed](#speed)", "")) == []
    different: list[Any] = [
        {**right, "more": 1}, {**right, "low": None}, {**right, "low": True}, {"low": 1}, []
    ]  # fmt: skip
    for wrong in different:
        assert list(problems(wrong, "[speed](#speed)", "")) != []
