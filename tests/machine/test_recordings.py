"""Every recorded machine is read as what it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from setup_manager.codec import to_plain
from setup_manager.machine.checks import Status, machine_checks
from setup_manager.machine.document import from_document
from tests.machine import recorded

NAMES = recorded.names()


def look_up(document: Any, path: str) -> Any:
    for part in path.split("."):
        document = document[int(part)] if part.isdecimal() else document[part]
    return document


def test_at_least_twenty_five_machines_are_recorded() -> None:
    assert len(NAMES) >= 25


@pytest.mark.parametrize("name", NAMES)
def test_recording_says_where_it_comes_from(name: str) -> None:
    recording = recorded.load(name)
    assert recording["about"]
    assert recording["source"]
    assert all(
        source.startswith("https://") or source == "recorded with this project"
        for source in recording["source"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_machine_is_read_as_it_is(name: str, tmp_path: Path) -> None:
    recording = recorded.load(name)
    machine = recorded.read(recording, tmp_path)
    document = to_plain(machine)
    found = {path: look_up(document, path) for path in recording["expect"]}
    assert found == recording["expect"]


@pytest.mark.parametrize("name", NAMES)
def test_checks_say_what_is_wrong_and_what_to_do(name: str, tmp_path: Path) -> None:
    recording = recorded.load(name)
    checks = {check.name: check for check in machine_checks(recorded.read(recording, tmp_path))}
    expected: Mapping[str, str] = recording.get("checks", {})
    assert {name: checks[name].status.value for name in expected} == dict(expected)
    for check, words in recording.get("hints", {}).items():
        assert words in checks[check].hint


@pytest.mark.parametrize("name", NAMES)
def test_document_of_a_recorded_machine_survives_the_way_back(name: str, tmp_path: Path) -> None:
    machine = recorded.read(recorded.load(name), tmp_path)
    if machine.memory.total_bytes:
        assert from_document(to_plain(machine)) == machine


@pytest.mark.parametrize("name", NAMES)
def test_no_check_is_worded_without_facts(name: str, tmp_path: Path) -> None:
    for check in machine_checks(recorded.read(recorded.load(name), tmp_path)):
        assert check.detail.strip()
        assert "\n" not in check.detail + check.hint
        assert check.hint or check.status in (Status.OK, Status.SKIP)
