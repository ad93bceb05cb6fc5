"""What a person sees while it works: in a terminal, in a narrow one, without one."""

import json
import re
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from setup_manager.cli.progress import PlainDisplay, SteadyTime, TerminalDisplay
from setup_manager.cli.render.progress_text import progress_words, short_name, stage_line
from setup_manager.cli.terminal import _STYLES, StatusLine, Terminal, describe_terminal
from setup_manager.download.events import DownloadEvent, Kind
from setup_manager.machine.live import Reading
from setup_manager.rehearsal.model import FILE_NAME, REPOSITORY, VARIANT, model_path
from setup_manager.runtimes.base import RuntimeEvent
from setup_manager.session.events import StageEvent, StageStatus
from tests.cli.hub import catalog_file, environment_for
from tests.cli.runner import Program
from tests.cli.screen import Screen, masked
from tests.support.faults import always, nth, reset_after, status, trickle
from tests.support.loopback import LoopbackHub
from tests.support.waiting import let_pass

SNAPSHOTS = Path(__file__).parent / "snapshots"
StartHub = Callable[..., LoopbackHub]
INSTALL = ("install", VARIANT, "--yes", "--runtime", "embedded")


@pytest.fixture
def slow(program: Program, start_hub: StartHub, tmp_path: Path) -> Program:
    """The program at a hub whose line is slow, resets once and is overloaded once."""
    faults = [
        always(trickle(400_000)), nth(2, reset_after(60_000)), nth(3, status(503)),
    ]  # fmt: skip
    hub = start_hub({REPOSITORY: {FILE_NAME: model_path()}}, faults=faults)
    environment = environment_for(hub, catalog_file(tmp_path, hub))
    return Program(program.home, {**program.environment, **environment})


def event(
    kind: Kind = Kind.PROGRESS, bytes_here: int = 3_100_000_000, **more: Any
) -> DownloadEvent:
    values = {"rate": 12_300_000.0, "eta": 91.0, "connections": 4, **more}
    return DownloadEvent(
        "2026-11-24T10:00:00Z", kind, "BF16/a.gguf", bytes_here, 4_900_000_000, **values
    )


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (100, "3.1 GB/4.9 GB · 12.3 MB/s · 1 min 31 s to go · 4 connections"),
        (80, "3.1 GB/4.9 GB · 12.3 MB/s · 1 min 31 s to go"),
        (60, "3.1 GB/4.9 GB · 12.3 MB/s · 1:31"),
        (40, "12.3 MB/s · 1:31"),
    ],
)
def test_progress_says_as_much_as_the_width_allows(width: int, words: str) -> None:
    assert progress_words(event(), width) == words


def test_a_stalled_download_says_that_it_waits_and_a_complete_one_that_it_verifies() -> None:
    assert "waiting" in progress_words(event(rate=0.0, eta=None), 80)
    assert "verifying" in progress_words(event(Kind.VERIFY), 80)


@pytest.mark.parametrize("width", [8, 12, 24])
def test_a_long_name_is_shortened_in_its_middle(width: int) -> None:
    short = short_name("folder/gemma-4-E4B-it-qat-UD-Q4_K_XL.gguf", width)
    assert len(short) == width
    assert short.endswith("gguf"[-(width // 2 - 1) :])


class Paper:
    """A stream that keeps what is written and is no terminal."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


class Watched(Paper):
    """A terminal that can vanish; no file is behind it."""

    gone = False
    refused = 0

    def write(self, text: str) -> int:
        if self.gone:
            self.refused += 1
            raise OSError(5, "Input/output error")
        return super().write(text)

    def fileno(self) -> int:
        raise ValueError("no file")

    def isatty(self) -> bool:
        return True


def watched_terminal(paper: Watched) -> Terminal:
    stream: Any = paper
    return describe_terminal({}, stream, stream, stream)


def plain_terminal(paper: Paper) -> Terminal:
    stream: Any = paper
    return describe_terminal({}, stream, stream, stream)


def test_without_a_terminal_a_running_download_is_one_line_every_ten_seconds() -> None:
    paper, now = Paper(), [0.0]
    display = PlainDisplay(plain_terminal(paper), clock=lambda: now[0])
    for second in range(61):
        now[0] = float(second)
        for _ in range(4):
            display.download(event(bytes_here=second * 50_000_000))
    assert len(paper.text.splitlines()) == 6
    assert "\r" not in paper.text
    assert "\x1b" not in paper.text


def test_trouble_is_told_once_and_says_that_nothing_is_lost() -> None:
    paper = Paper()
    display = PlainDisplay(plain_terminal(paper), clock=lambda: 0.0)
    for _ in range(3):
        display.download(event(Kind.RETRY, message="hub: the connection broke"))
    assert paper.text == "  hub: the connection broke; resuming at 3.1 GB\n"


def test_without_a_terminal_trouble_keeps_to_the_ten_seconds_too() -> None:
    paper, now = Paper(), [0.0]
    display = PlainDisplay(plain_terminal(paper), clock=lambda: now[0])
    for second in range(60):
        now[0] = float(second)
        display.download(event(Kind.RETRY, message=f"hub: break number {second}"))
        display.download(event())
    lines = paper.text.splitlines()
    assert len(lines) == 6
    assert "number 0" in lines[0]
    assert "number 50" in lines[-1]


def test_a_long_smoke_test_is_told_without_a_terminal_too() -> None:
    paper, now = Paper(), [0.0]
    display = PlainDisplay(plain_terminal(paper), clock=lambda: now[0])
    for second in range(31):
        now[0] = float(second)
        display.smoke(RuntimeEvent("load", float(second), share=second / 40))
    assert [line.split(" · ")[1] for line in paper.text.splitlines()] == [
        "25 % in memory", "50 % in memory", "75 % in memory",
    ]  # fmt: skip


def largest_jumps(samples: list[tuple[float, float | None]]) -> tuple[float, float]:
    """The largest change against a clock that just counts down: as measured, and as shown."""
    now = [0.0]
    steady = SteadyTime(lambda: now[0])
    raw_jump = steady_jump = 0.0
    before: tuple[float, float, float] | None = None
    for at, measured in samples:
        now[0] = at
        shown = steady.update(measured)
        if measured is None or shown is None:
            before = None
            continue
        if before is not None:
            passed = at - before[0]
            raw_jump = max(raw_jump, abs(measured - before[1] + passed))
            steady_jump = max(steady_jump, abs(shown - before[2] + passed))
        before = (at, measured, shown)
    return raw_jump, steady_jump


def test_the_time_to_go_of_a_recorded_bad_line_does_not_jump() -> None:
    # (seconds, eta) of `download --progress json` at a loopback hub: two connections of
    # 30 kB/s each, a reset in each third answer.
    recorded = json.loads((Path(__file__).parent / "recorded_eta.json").read_text())
    raw, steady = largest_jumps([tuple(sample) for sample in recorded])
    assert raw > 5
    assert steady < raw / 3


def test_an_even_line_is_counted_down_exactly() -> None:
    samples: list[tuple[float, float | None]] = [(s / 4, 100 - s / 4) for s in range(400)]
    assert largest_jumps(samples)[1] < 1e-9


def test_a_line_that_stays_slower_is_believed_within_half_a_minute() -> None:
    now = [0.0]
    steady = SteadyTime(lambda: now[0])
    for second in range(60):
        now[0] = float(second)
        steady.update(600.0 if second < 30 else 1200.0)
    shown = steady.update(1200.0)
    assert shown is not None
    assert shown > 1120


def test_memory_and_heat_are_shown_while_the_model_speaks() -> None:
    paper, now = Watched(), [0.0]
    terminal = watched_terminal(paper)
    display = TerminalDisplay(terminal, StatusLine(terminal), clock=lambda: now[0])
    display.smoke(RuntimeEvent("question"))
    now[0] = 2.0
    display.reading(Reading(2.0, 3 << 30, 8 << 30, celsius=61.0), None)
    assert "asking a question · 2.0 s · 3.0 GiB free, 61 °C" in paper.text
    display.stage(StageEvent("smoke", StageStatus.DONE))
    before = paper.text
    now[0] = 4.0
    display.reading(Reading(4.0, 3 << 30, 8 << 30), None)
    assert paper.text == before


def test_a_vanished_terminal_does_not_end_the_guard() -> None:
    paper, now = Watched(), [0.0]
    terminal = watched_terminal(paper)
    display = TerminalDisplay(terminal, StatusLine(terminal), clock=lambda: now[0])
    display.smoke(RuntimeEvent("question"))
    paper.gone = True
    now[0] = 2.0
    display.reading(Reading(2.0, 3 << 30, 8 << 30), None)
    assert paper.refused > 0, "nothing was written, so nothing was shown to be survived"


def test_a_note_is_broken_at_words() -> None:
    paper = Watched()
    terminal = replace(watched_terminal(paper), width=40)
    TerminalDisplay(terminal, StatusLine(terminal)).note("word " * 20 + "end")
    lines = paper.text.splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(paper.text.split()) == "word " * 20 + "end"


def luminance(red: int, green: int, blue: int) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    linear = [
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
        for v in (red / 255, green / 255, blue / 255)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_no_colour_vanishes_on_white_or_on_black() -> None:
    xterm = {  # defaults of xterm's color1 to color6
        31: (205, 0, 0), 32: (0, 205, 0), 33: (205, 205, 0),
        34: (0, 0, 238), 35: (205, 0, 205), 36: (0, 205, 205),
    }  # fmt: skip
    codes = {int(code) for code in _STYLES.values()} - {1, 2}
    for code in codes:
        shade = luminance(*xterm[code])
        assert 1.05 / (shade + 0.05) > 2.1, f"{code} on white"
        assert (shade + 0.05) / 0.05 > 2.3, f"{code} on black"


def test_a_stage_line_drops_its_time_rather_than_wrap() -> None:
    terminal = plain_terminal(Paper())
    short = StageEvent("smoke", StageStatus.FAILED, 3.0, problem="no")
    long = StageEvent("smoke", StageStatus.FAILED, 3.0, problem="x" * 66)
    assert stage_line(terminal, short).endswith("(3.0 s)")
    assert not stage_line(terminal, long).endswith("s)")


def checked_against_snapshot(name: str, text: str) -> None:
    """Compare with the snapshot; a missing one is written and fails, so that it is looked at."""
    path = SNAPSHOTS / f"{name}.txt"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
        pytest.fail(f"{path.name} was missing and is written now: look at it")
    assert text == path.read_text().rstrip("\n")


@pytest.mark.real_runtime
@pytest.mark.parametrize("columns", [80, 40])
def test_an_install_over_a_bad_line_looks_as_recorded(slow: Program, columns: int) -> None:
    screen = Screen(slow, *INSTALL, columns=columns)
    text = screen.finish()
    assert screen.process.returncode == 0, text
    assert max(map(len, text.splitlines())) <= columns
    if columns == 80:
        checked_against_snapshot("install-80", masked(text))


def test_a_running_download_is_a_bar_with_rate_and_time(slow: Program) -> None:
    screen = Screen(slow, "download", VARIANT)
    text = screen.until(lambda shown: "% |" in shown and "to go" in shown)
    bar = next(line for line in text.splitlines() if "% |" in line)
    assert re.search(r"\d+% \|.{10,}\| .*/s · .* to go", bar)
    assert len(bar) < 80
    screen.process.send_signal(signal.SIGINT)
    ended = screen.finish()
    assert screen.process.returncode == 130
    assert "% |" not in ended
    assert "Stopped (Ctrl-C)." in ended


def test_a_shrunken_terminal_breaks_nothing(slow: Program) -> None:
    import fcntl
    import struct
    import termios

    screen = Screen(slow, "download", VARIANT)
    screen.until(lambda shown: "% |" in shown)
    size = struct.pack("HHHH", 50, 30, 0, 0)
    fcntl.ioctl(screen._leader, termios.TIOCSWINSZ, size)
    screen.process.send_signal(signal.SIGWINCH)
    screen.finish()
    assert screen.process.returncode == 0


def test_a_suspended_download_goes_on(slow: Program) -> None:
    screen = Screen(slow, "download", VARIANT)
    screen.until(lambda shown: "% |" in shown)
    screen.process.send_signal(signal.SIGSTOP)
    let_pass(0.5)
    screen.process.send_signal(signal.SIGCONT)
    screen.finish()
    assert screen.process.returncode == 0


def test_ascii_and_no_colour_where_that_is_all_there_is(slow: Program) -> None:
    screen = Screen(
        slow, "download", VARIANT, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", NO_COLOR="1"
    )
    screen.finish()
    assert screen.raw.isascii()
    assert re.search(rb"\x1b\[[0-9;]*m", screen.raw) is None


def test_a_dumb_terminal_gets_no_escape_sequences(slow: Program) -> None:
    screen = Screen(slow, "download", VARIANT, TERM="dumb")
    screen.finish()
    assert b"\x1b" not in screen.raw


def test_the_question_takes_a_no(slow: Program) -> None:
    screen = Screen(slow, "install", VARIANT, "--runtime", "embedded")
    screen.until(lambda shown: "Continue? [Y/n]" in shown)
    screen.type("n\n")
    text = screen.finish()
    assert screen.process.returncode == 1
    assert "Cancelled." in text


@pytest.mark.parametrize("command", [("check",), ("recommend",), ("explain", "e4b"), ("list",)])
@pytest.mark.parametrize("columns", [80, 40])
def test_reports_stay_within_the_terminal(
    program: Program, command: tuple[str, ...], columns: int
) -> None:
    screen = Screen(program, *command, columns=columns, HF_HUB_OFFLINE="1")
    screen.finish()
    for line in re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", screen.raw).decode().splitlines():
        # A path or a command may be longer: it is there to be copied.
        words = re.findall(r"`[^`]+`|\S+", line)
        assert len(line) <= columns or any(len(word) > columns - 28 for word in words), line


def test_something_is_said_at_once_without_a_terminal_too(slow: Program) -> None:
    process = slow.start(*INSTALL)
    assert process.stderr is not None
    assert "checking this machine" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130, stderr


def test_something_stands_there_at_once(program: Program) -> None:
    def first(*arguments: str) -> float:
        begin = time.perf_counter()
        screen = Screen(program, *arguments)
        while not screen.raw:
            screen.read(0.01)
        elapsed = time.perf_counter() - begin
        screen.process.kill()
        screen.finish()
        return elapsed

    # What the interpreter itself and click cost on this machine, now, is the measure of 100 ms.
    help_page = min(first("--help") for _ in range(5))
    install = min(first("install", "--dry-run") for _ in range(5))
    assert install < max(0.1, 2.5 * help_page)


def test_json_progress_is_stable(slow: Program) -> None:
    finished = slow("download", VARIANT, "--progress", "json", "--json")
    fields = {
        "time", "event", "file", "bytes", "total", "rate", "eta", "connections", "retries",
        "seconds", "message",
    }  # fmt: skip
    events = [json.loads(line) for line in finished.stderr.splitlines()]
    assert all(set(e) == fields for e in events if "bytes" in e)
    assert [e["event"] for e in events if "bytes" in e][-1] == "done"
    assert any(e["event"] == "retry" and e["message"] for e in events)
