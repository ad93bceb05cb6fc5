"""How the work goes, in words: a stage, a running download, a smoke test."""

from __future__ import annotations

from setup_manager.cli.terminal import Terminal, visible_length
from setup_manager.download import DownloadEvent, Kind
from setup_manager.machine import Reading
from setup_manager.runtimes import RuntimeEvent
from setup_manager.session import StageEvent, StageStatus
from setup_manager.units import format_duration, format_memory, format_rate, format_size

_NARROW, _MEDIUM, _WIDE = 50, 70, 95
_STAGE_MARKS = {
    StageStatus.RUNNING: "run",
    StageStatus.DONE: "ok",
    StageStatus.SKIPPED: "skip",
    StageStatus.FAILED: "fail",
}
_SMOKE_WORDS = {
    "load": "loading the model",
    "warm-up": "warming up",
    "question": "asking a question",
    "measure": "measuring its speed",
    "long": "measuring how it holds out",
    "drafter": "measuring with the drafter",
    "cpu": "trying once more on the CPU alone",
}


def stage_line(terminal: Terminal, event: StageEvent) -> str:
    """Print a stage: its mark, name and detail, and its time where that fits on the line."""
    mark = terminal.mark(_STAGE_MARKS[event.status])
    line = f"{mark} {event.stage:<10} {_stage_words(event)}".rstrip()
    seconds = f" ({format_duration(event.seconds)})" if event.seconds >= 1 else ""
    if visible_length(line) + len(seconds) > terminal.columns - 1:
        return line
    return line + terminal.styled(seconds, "dim") if seconds else line


def _stage_words(event: StageEvent) -> str:
    if event.status is StageStatus.RUNNING:
        return ""  # what follows would be imported for nothing
    from setup_manager.cli.render.stage_text import stage_text

    return stage_text(event)


def trouble_words(event: DownloadEvent) -> str:
    """Say what went wrong on the line, and that nothing is lost by it."""
    if event.event is Kind.RETRY:
        return f"{event.message}; resuming at {format_size(event.bytes)}"
    return event.message


def smoke_words(event: RuntimeEvent) -> str:
    """Say what a smoke test is doing; how much of the model is loaded, where that is known."""
    words = [_SMOKE_WORDS.get(event.stage, event.stage)]
    if event.share is not None:
        words.append(f"{100 * event.share:.0f} % in memory")
    elif event.stage != "load" and event.detail:
        words.append(event.detail)
    if event.seconds >= 1:
        words.append(format_duration(event.seconds))
    return " · ".join(words)


def machine_words(reading: Reading) -> str:
    """Say how much memory is left, and how hot it is where that is known."""
    words = f"{format_memory(reading.available_bytes)} free"
    return words if reading.celsius is None else f"{words}, {reading.celsius:.0f} °C"


def progress_words(event: DownloadEvent, width: int) -> str:
    """Say how far a download is, in as many words as a width allows."""
    size = f"{format_size(event.bytes)}/{format_size(event.total)}"
    if event.event is Kind.VERIFY:
        return f"{size} · verifying"
    words = [size] if width > _NARROW else []
    words.append(format_rate(event.rate) if event.rate else "waiting")
    if event.eta is not None:
        words.append(f"{format_duration(event.eta)} to go" if width > _MEDIUM else eta(event.eta))
    if event.connections and width > _MEDIUM + 15:
        words.append(f"{event.connections} connections")
    return " · ".join(words)


def eta(seconds: float) -> str:
    """Print a time to go as short as can be."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def short_name(path: str, width: int) -> str:
    """Shorten a file name in its middle."""
    name = path.rsplit("/", 1)[-1]
    if len(name) <= width:
        return name
    head = (width - 1) // 2
    return f"{name[:head]}…{name[len(name) - (width - 1 - head) :]}"
