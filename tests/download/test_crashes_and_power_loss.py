"""Short forms of the sweeps in scripts/, which run for minutes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads /proc and forks"
)


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_kills_at_random_moments_and_before_steps_lose_at_most_two_chunks() -> None:
    done = run("sweep_crashes.py", "--kills", "4", "--every", "29")
    assert done.returncode == 0, done.stderr
    steps, kills = done.stdout.splitlines()
    assert int(re.findall(r"before (\d+) of", steps)[0]) >= 3
    assert int(re.findall(r"(\d+) kills", kills)[0]) >= 4


def test_every_state_that_a_cut_of_power_may_leave_recovers() -> None:
    done = run("check_power_loss.py", "--chunks", "2", "--every", "5")
    assert done.returncode == 0, done.stderr
    seen = [int(number) for number in re.findall(r"\d+", done.stdout)]
    operations, states, recovered, violations = seen
    assert operations > 15
    assert states == recovered > 5
    assert violations == 0


@pytest.mark.parametrize("what", ["data", "journal", "folder"])
def test_the_checker_notices_when_a_sync_is_left_out(what: str) -> None:
    done = run(
        "check_power_loss.py", "--chunks", "4", "--every", "3", "--no-recover", "--leave-out", what
    )
    assert done.returncode == 1
    assert "cut after operation" in done.stderr
