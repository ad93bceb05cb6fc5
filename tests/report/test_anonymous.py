"""What is left out of a report that is shared."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from setup_manager.report.anonymous import anonymised
from setup_manager.report.content import Content
from setup_manager.report.facts import ReportRequest, gather
from setup_manager.report.page import render
from setup_manager.session.session import Session
from tests.report.conftest import CREATED_AT, private_machine

SECRETS = ("secret-editor", "diary", "alice", "ALICE_PROXY", "usb-stick", "2026-05-04")


def test_a_whole_report_does_tell_of_its_owner(planned: Callable[..., Content]) -> None:
    page = render(planned(created_at=CREATED_AT))
    assert "secret-editor" in page
    assert "/home/" not in page  # home folders are masked always
    assert "2026-05-04" in page


def test_an_anonymous_report_names_no_program_path_device_host_or_time(
    planned: Callable[..., Content],
) -> None:
    page = render(planned(created_at=CREATED_AT, anonymous=True))
    for secret in SECRETS:
        assert secret not in page, secret
    assert "a CPU" in page
    assert "left out" in page


def test_reasons_do_not_name_programs_to_close(planned: Callable[..., Content]) -> None:
    tight = private_machine(4.0)
    named = json.dumps(planned(tight).document())
    assert "after closing" in named
    assert "after closing" not in json.dumps(planned(tight, anonymous=True).document())


def test_an_installed_model_is_told_of_without_its_place_or_its_times(
    installed: Session,
) -> None:
    request = ReportRequest(created_at=CREATED_AT, anonymous=True)
    content = gather(installed, request)
    text = json.dumps(content.document())
    home = str(installed.home)
    assert home not in text
    assert "alice" not in text
    assert not re.search(r"20\d\d-\d\d-\d\dT", text)
    assert "127.0.0.1:" not in json.dumps(content.downloads)
    # What is worth sharing stays.
    whole = gather(installed, ReportRequest())
    assert content.smoke is not None
    assert whole.smoke is not None
    assert content.smoke["tokens_per_second"] == whole.smoke["tokens_per_second"]
    assert [len(run["incidents"]) for run in content.downloads] == [
        len(run["incidents"]) for run in whole.downloads
    ]
    assert content.files[0]["sha256"] == whole.files[0]["sha256"]


@pytest.mark.parametrize(
    ("command", "bare"),
    [
        ("/opt/alice/bin/llama-server --port 8080", "llama-server --port 8080"),
        (
            "'/home/alice/My Programs/llama-server' --models-preset /x/y/presets.ini",
            "llama-server --models-preset presets.ini",
        ),
        (r"'C:\Users\alice\bin\llama-server.exe' --port 1", "llama-server.exe --port 1"),
        ("ollama run gemma4", "ollama run gemma4"),
        (
            'curl http://127.0.0.1:8080/v1/chat/completions -d \'{"a": "b/c"}\'',
            'curl http://127.0.0.1:8080/v1/chat/completions -d \'{"a": "b/c"}\'',
        ),
    ],
)
def test_commands_keep_only_names(content: Content, command: str, bare: str) -> None:
    changed = replace(content, commands={"runtime": "x", "start": command})
    commands = anonymised(changed).commands
    assert commands is not None
    assert commands["start"] == bare


def test_another_persons_server_and_repository_are_not_named(content: Content) -> None:
    changed = replace(
        content,
        model="alice/private-GGUF:Q4_K_M",
        title="alice/private-GGUF:Q4_K_M",
        commands={"runtime": "ollama", "start": "ollama run hf.co/alice/private-GGUF"},
        nothing_fits="asked http://alices-box:11434/v1 in /srv/alice/models",
    )
    text = json.dumps(anonymised(changed).document())
    assert "alice" not in text
    assert "a model of another repository" in text
