"""What is different on Windows and macOS, as far as it can be tried on another system."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from setup_manager.cli import terminal
from setup_manager.cli.interrupt import Interruption
from setup_manager.library.host import Host
from setup_manager.rehearsal.model import model_path
from setup_manager.runtimes import server
from setup_manager.runtimes.base import ModelFiles, Opening
from setup_manager.runtimes.options import StartOptions
from setup_manager.runtimes.server import ServerProcess
from tests.api.conftest import Surroundings
from tests.runtimes.fakes import FakeServer

ROOT = Path(__file__).parents[2]


def pretend(system: str, surroundings: Surroundings) -> Any:
    """Download twice in a process that takes itself for another system's."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.platforms.pretend", system],
        env={**surroundings.environment, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="pretends from Linux")
@pytest.mark.parametrize(
    ("system", "names"), [("windows", 2), ("windows-without-links", 1), ("macos", 1)]
)
def test_a_download_works_with_the_calls_that_the_system_has(
    surroundings: Surroundings, system: str, names: int
) -> None:
    result = pretend(system, surroundings)
    size = model_path().stat().st_size
    assert result["modules"] > 100
    assert Path(result["path"]).read_bytes() == model_path().read_bytes()
    assert result["fetched"] == [size, 0]
    # Windows: a second name, or the only one, where the privilege for links is missing.
    assert result["names"] == names
    assert result["is_link"] == (system == "macos")
    assert (result["full_syncs"] > 0) == (system == "macos")


@pytest.mark.parametrize(
    ("os_name", "environment", "state", "hub"),
    [
        (
            "windows",
            {"USERPROFILE": "/users/ada", "LOCALAPPDATA": "/users/ada/local", "HOME": "/msys"},
            "/users/ada/local/gemma-setup/state",
            "/users/ada/.cache/huggingface/hub",
        ),
        (
            "macos",
            {"HOME": "/Users/ada"},
            "/Users/ada/Library/Application Support/gemma-setup/state",
            "/Users/ada/.cache/huggingface/hub",
        ),
        (
            "linux",
            {"HOME": "/home/ada"},
            "/home/ada/.local/state/gemma-setup",
            "/home/ada/.cache/huggingface/hub",
        ),
    ],
)
def test_folders_are_where_each_system_has_them(
    os_name: str, environment: dict[str, str], state: str, hub: str
) -> None:
    paths = Host.here(environment, os_name).paths()
    assert paths.state.path == Path(state)
    assert paths.hub_cache.path == Path(hub)


class FakeKernel:
    """kernel32 as far as the console needs it."""

    def __init__(self, mode: int, *, takes: bool) -> None:
        self.mode = mode
        self._takes = takes

    def GetStdHandle(self, _number: int) -> int:  # noqa: N802 - Windows' name
        return 7

    def GetConsoleMode(self, _handle: int, mode: Any) -> int:  # noqa: N802
        mode._obj.value = self.mode
        return 1

    def SetConsoleMode(self, _handle: int, mode: int) -> int:  # noqa: N802
        if self._takes:
            self.mode = mode
        return int(self._takes)


@pytest.mark.parametrize("takes", [True, False])
def test_the_windows_console_is_asked_for_escape_sequences(
    monkeypatch: pytest.MonkeyPatch, takes: bool
) -> None:
    kernel = FakeKernel(3, takes=takes)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    assert terminal._windows_console_understands_escapes() is takes
    assert kernel.mode == (3 | 4 if takes else 3)


@pytest.mark.parametrize(
    ("has", "heard"),
    [
        (("SIGINT", "SIGTERM", "SIGBREAK"), {"SIGINT", "SIGTERM", "SIGBREAK"}),
        (("SIGINT", "SIGTERM", "SIGHUP"), {"SIGINT", "SIGTERM", "SIGHUP"}),
    ],
    ids=["windows", "posix"],
)
def test_every_signal_that_the_system_has_for_stopping_is_heard(
    monkeypatch: pytest.MonkeyPatch, has: tuple[str, ...], heard: set[str]
) -> None:
    listened: dict[str, Any] = {}
    for name in ("SIGHUP", "SIGBREAK"):
        monkeypatch.delattr(signal, name, raising=False)
    for name in has:
        monkeypatch.setattr(signal, name, name, raising=False)
    monkeypatch.setattr(signal, "signal", listened.__setitem__)
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)
    interruption = Interruption()
    interruption.listen()
    assert set(listened) == heard
    with pytest.raises(KeyboardInterrupt):
        listened["SIGTERM"](15, None)
    assert interruption.requested.is_set()


def test_a_signal_that_is_ignored_stays_so_as_under_nohup() -> None:
    code = (
        "import os, signal\n"
        "from setup_manager.cli.interrupt import Interruption\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "Interruption().listen()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "print('went on')\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "print('not reached')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "went on\n"
    assert done.stderr.strip().endswith("KeyboardInterrupt")


def test_a_server_child_runs_and_ends_where_it_cannot_be_tethered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class WindowsNamed:
        """The os module under another name."""

        name = "nt"

        def __getattr__(self, attribute: str) -> Any:
            if attribute in {"pipe", "fork", "killpg"}:
                raise AttributeError(attribute)
            return getattr(os, attribute)

    monkeypatch.setattr(server, "os", WindowsNamed())
    launch = FakeServer(tmp_path, "fine").launch(ModelFiles(Path("/m.gguf")), StartOptions())
    with ServerProcess(launch, Opening(deadline_seconds=20)) as running:
        assert running.client.status("/health") == 200
        pid = running.pid
    assert running.returncode is not None
    assert not Path(f"/proc/{pid}").exists()
