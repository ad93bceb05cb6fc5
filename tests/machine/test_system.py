"""Commands are found, time limited and in English; files are read or not, never raised about."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setup_manager.machine.probe.system import (
    CommandResult,
    LocalCommands,
    Outcome,
    System,
    decimal,
    first_line,
    parse_cpu_list,
    whole,
)
from setup_manager.platforms import Platform, this_platform
from tests.support.waiting import wait_until

posix_only = pytest.mark.skipif(os.name != "posix", reason="a POSIX shell is needed")


def script(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def commands_in(folder: Path) -> LocalCommands:
    return LocalCommands({"PATH": f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin"})


def test_missing_command_is_not_found() -> None:
    result = LocalCommands()(("no-such-command-of-gemma-setup",), 1.0)
    assert result.outcome is Outcome.NOT_FOUND
    assert not result.succeeded


@posix_only
def test_output_errors_and_status_come_back(tmp_path: Path) -> None:
    script(tmp_path, "tool", "echo said; echo wrong >&2; exit 3")
    result = commands_in(tmp_path)(("tool",), 5.0)
    assert result == CommandResult(Outcome.RAN, "said\n", "wrong\n", 3)
    assert result.complaint == "exit status 3: wrong"


@posix_only
def test_commands_speak_the_c_locale(tmp_path: Path) -> None:
    script(tmp_path, "tool", 'echo "$LC_ALL $LANG"')
    runner = LocalCommands({"PATH": str(tmp_path), "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE"})
    assert runner(("tool",), 5.0).stdout == "C C\n"


@posix_only
def test_hanging_command_is_ended_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script(tmp_path, "tool", f"sleep 60 & echo $! > {pids}; wait")
    before = time.monotonic()
    result = commands_in(tmp_path)(("tool",), 0.7)
    assert result.outcome is Outcome.TIMED_OUT
    assert time.monotonic() - before < 5
    child = int(pids.read_text())
    wait_until(lambda: not is_running(child), 2.5, "the child of the ended command is gone")


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@posix_only
def test_rubbish_output_is_text(tmp_path: Path) -> None:
    script(tmp_path, "tool", r"printf '\377\376\000x'")
    assert "x" in commands_in(tmp_path)(("tool",), 5.0).stdout


@posix_only
def test_file_that_is_no_program_could_not_be_started(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    path.write_bytes(b"\x7fELF rubbish")
    path.chmod(0o755)
    assert commands_in(tmp_path)(("tool",), 5.0).outcome is Outcome.NOT_STARTED


def system(root: Path) -> System:
    return System(root, LocalCommands(), Platform("linux", "", "x86_64"))


def test_unreadable_files_are_none(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    found = system(tmp_path)
    assert found.read("/missing") is None
    assert found.read("/folder") is None
    assert found.read_word("/missing") == ""
    assert found.read_whole("/missing") is None
    assert found.names("/missing") == ()
    assert found.link_target("/folder") == ""
    assert not found.exists("/missing")


def test_files_of_the_root_are_read(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "number").write_bytes(b"17\n\0")
    found = system(tmp_path)
    assert found.read_whole("/proc/number") == 17
    assert found.names("/proc") == ("number",)
    assert not found.is_live


def test_only_the_real_root_is_live() -> None:
    assert system(Path("/")).is_live


def test_this_platform_is_named_in_our_words() -> None:
    found = this_platform()
    assert found.os in {"linux", "macos", "windows"}
    assert found.arch not in {"amd64", "aarch64"}
    assert (found.os == "linux") == sys.platform.startswith("linux")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0-3,8,10-11\n", (0, 1, 2, 3, 8, 10, 11)), ("", ()), ("x,1-", (1,)), ("0-99999999", ())],
)
def test_cpu_list(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_cpu_list(text) == numbers


@given(st.text())
def test_numbers_are_in_range_or_none(text: str) -> None:
    number = whole(text)
    assert number is None or 0 <= number <= 1 << 60
    value = decimal(text)
    assert value is None or value - value == 0
    assert all(0 <= cpu <= 4096 for cpu in parse_cpu_list(text))
    assert "\n" not in first_line(text)


@given(st.integers(0, 1 << 60))
def test_whole_reads_what_was_written(number: int) -> None:
    assert whole(f" {number}\n") == number
