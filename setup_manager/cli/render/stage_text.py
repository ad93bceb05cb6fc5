"""What came of a stage of the whole job, in one line."""

from __future__ import annotations

from setup_manager.app import check, download, install, recommend, register
from setup_manager.cli.render.register_text import registration_words
from setup_manager.session import StageEvent
from setup_manager.smoke import SmokeReport
from setup_manager.units import format_memory, format_rate, format_size

_SHOWN_ANSWER = 40
_WITHOUT_RESULT = {"recommend": "skipped: you chose the model", "download": "left to Ollama"}


def stage_text(event: StageEvent) -> str:
    """Say what came of a stage; ``""`` while it runs."""
    if event.problem:
        return event.problem
    match event.result:
        case check.Result():
            return _checked(event.result)
        case recommend.Result():
            return _recommended(event.result)
        case install.Plan():
            return _planned(event.result)
        case download.Result():
            return _downloaded(event.result)
        case register.Result():
            return registration_words(event.result.registration, already=event.result.already)
        case SmokeReport():
            return _tested(event.result)
        case _:
            return _WITHOUT_RESULT.get(event.stage, "") if event.status == "skipped" else ""


def _checked(result: check.Result) -> str:
    words = f"{format_memory(result.machine.memory.available_bytes)} of memory available"
    warnings = sum(entry.status == "warn" for entry in result.checks)
    if not warnings:
        return words
    return f"{words}, {warnings} warning{'s' if warnings > 1 else ''} (gemma-setup check)"


def _recommended(result: recommend.Result) -> str:
    best = result.recommendation.choices[0]
    return f"{best.model}: {recommend.choice_reasons(best)[0]}"


def _planned(plan: install.Plan) -> str:
    fetch = plan.download.files.fetch_bytes
    words = f"{format_size(fetch)} to download" if fetch else "nothing to download"
    return f"{plan.subject.name}, {words}, {plan.runtime.name}"


def _downloaded(result: download.Result) -> str:
    if result.fetched_bytes == 0:
        return f"{format_size(result.size_bytes)} already here, verified"
    rate = format_rate(result.fetched_bytes / max(result.seconds, 0.001))
    words = f"{format_size(result.fetched_bytes)} at {rate}, verified"
    if result.reused_bytes:
        words += f"; {format_size(result.reused_bytes)} were already here"
    if result.retries:
        words += f"; {result.retries} {'retry' if result.retries == 1 else 'retries'}"
    return words


def _tested(report: SmokeReport) -> str:
    answer = " ".join(report.text.split())[:_SHOWN_ANSWER]
    asked = f"asked for France's capital: {answer!r}"
    if not report.passed:
        return f"{asked}, a wrong answer"
    rate = report.completion.tokens_per_second
    speed = f"{rate:.{0 if rate >= 100 else 1}f} tokens/s"
    return f"{asked}; {speed}, peak {format_memory(report.memory_bytes)}"
