"""What is asked of the hub, request by request: nothing that the command does not need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, model_path
from tests.cli.hub import catalog_file, environment_for
from tests.cli.runner import Program
from tests.support.loopback import LoopbackHub

StartHub = Callable[..., LoopbackHub]
LISTING = f"GET /api/models/{REPOSITORY}/revision/main?blobs=true"


@pytest.fixture
def hub(start_hub: StartHub) -> LoopbackHub:
    return start_hub({REPOSITORY: {FILE_NAME: model_path()}})


@pytest.fixture
def at_hub(program: Program, hub: LoopbackHub, tmp_path: Path) -> Program:
    environment = environment_for(hub, catalog_file(tmp_path, hub))
    return Program(program.home, {**program.environment, **environment})


def asked(hub: LoopbackHub) -> list[str]:
    """The questions; requests for bytes as one, however many connections they took."""
    lines: list[str] = []
    for exchange in hub.requests:
        request = exchange.request
        line = f"{request.method} {request.target}"
        if request.host == "cdn":
            line = f"{request.method} the bytes"
        if not lines or lines[-1] != line:
            lines.append(line)
    return lines


def where(hub: LoopbackHub) -> str:
    artifact = hub.artifact(REPOSITORY, FILE_NAME)
    return f"HEAD /{REPOSITORY}/resolve/{artifact.commit}/{FILE_NAME}"


def test_check_asks_for_the_front_page_only(at_hub: Program, hub: LoopbackHub) -> None:
    assert at_hub("check", "--json").code in {0, 1}
    assert asked(hub) == ["HEAD /"]


@pytest.mark.parametrize("command", ["explain", "list", "recommend", "paths"])
def test_what_the_catalogue_knows_is_not_asked(
    at_hub: Program, hub: LoopbackHub, command: str
) -> None:
    arguments = [VARIANT] if command == "explain" else []
    assert at_hub(command, *arguments, "--json").code in {0, 11}
    assert asked(hub) == []


def test_explaining_a_repository_asks_what_it_holds_and_reads_a_header(
    at_hub: Program, hub: LoopbackHub, tmp_path: Path
) -> None:
    other = {"org/other": {"other-F16.gguf": model_path()}}
    hub.push("org/other", other["org/other"])
    at_hub("explain", "org/other:F16", "--json")
    commit = hub.artifact("org/other", "other-F16.gguf").commit
    assert asked(hub) == [
        "GET /api/models/org/other/revision/main?blobs=true",
        f"HEAD /org/other/resolve/{commit}/other-F16.gguf",
        "GET the bytes",
    ]


def test_a_pinned_download_asks_where_it_is_and_for_its_bytes(
    at_hub: Program, hub: LoopbackHub
) -> None:
    assert at_hub("download", VARIANT, "--json").code == 0
    assert asked(hub) == [where(hub), "GET the bytes"]
    assert at_hub("download", VARIANT, "--json").code == 0
    assert asked(hub) == [where(hub), "GET the bytes"], "it is already here"


def test_the_latest_upload_is_looked_up_once(at_hub: Program, hub: LoopbackHub) -> None:
    assert at_hub("download", VARIANT, "--latest", "--json").code == 0
    assert asked(hub) == [LISTING, where(hub), "GET the bytes"]
