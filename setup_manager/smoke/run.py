"""The smoke test: a model is started, asked, judged, measured and ended, under the guard."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from setup_manager.errors import RuntimeMissingError, SmokeFailedError
from setup_manager.net import LocalClient
from setup_manager.runtimes.base import ModelFiles, ServerRuntime
from setup_manager.runtimes.options import StartOptions
from setup_manager.runtimes.server import LoadProgress, ServerProcess, StoppedError, last_lines
from setup_manager.smoke.chat import Completion, Question
from setup_manager.smoke.guard import Guard
from setup_manager.smoke.judge import (
    EXPECTED,
    IMAGE_EXPECTED,
    IMAGE_QUESTION,
    QUESTION,
    Verdict,
    judge,
)
from setup_manager.smoke.picture import red_square
from setup_manager.smoke.report import SmokeReport
from setup_manager.smoke.request import Observer, SmokeEvent, SmokeRequest, Watch
from setup_manager.smoke.subjects import OllamaSubject, ServerSubject, Subject

_WARM_UP = Question("Hello", max_tokens=8)
_MEASURE = Question(
    "Some notes, to be read before the task below. A language model reads its prompt in blocks "
    "and writes its answer one token at a time. Reading is limited by arithmetic, writing by how "
    "fast the memory gives up the weights. Both are measured here. The task: count upwards from "
    "one, in words, and do not stop.",
    max_tokens=48,
    to_the_end=True,
    budget_seconds=60.0,
)
SMOKE_CONTEXT = 4096


def smoke_options(options: StartOptions) -> StartOptions:
    """Reduce start parameters to what a test needs: one slot, a short context, no caches."""
    return replace(
        options,
        slots=1,
        context=min(options.context, SMOKE_CONTEXT),
        cache_ram_mib=0,
        context_checkpoints=0,
        unified_kv=False,
    )


def run_smoke(
    runtime: ServerRuntime,
    files: ModelFiles,
    request: SmokeRequest,
    watch: Watch,
    observer: Observer = lambda _: None,
) -> SmokeReport:
    """Test a model with a runtime that is started for it; always ends what it started.

    With a drafter among the files the model is tested without it first, then measured with it. If
    a GPU may be in use and the test fails, it is repeated once on the CPU, to tell whose fault it
    is.

    Args:
        runtime: What runs it.
        files: The model.
        request: What is tested.
        watch: Looks at the machine.
        observer: Told the progress.

    Returns:
        The report, whether the model passed or not.

    Raises:
        SmokeFailedError: If the runtime died, hung, answered rubbish or had to be ended.
        RuntimeMissingError: If the runtime is too old for the model.
    """
    return _ServerTest(runtime, files, request, watch, observer).run()


def run_smoke_ollama(
    client: LocalClient,
    registered: str,
    request: SmokeRequest,
    watch: Watch,
    observer: Observer = lambda _: None,
) -> SmokeReport:
    """Test a model that Ollama knows, on the Ollama server that runs already.

    The guard ends it by telling Ollama to unload the model, never by ending Ollama.

    Args:
        client: HTTP to the server.
        registered: Name of the model there.
        request: What is tested.
        watch: Looks at the machine.
        observer: Told the progress.

    Raises:
        SmokeFailedError: If it failed to answer, or had to be unloaded.
    """
    with _guard(request, watch) as guard:
        subject = OllamaSubject(client, registered, request, guard)
        try:
            subject.load(observer)
            return _examine(subject, "ollama", request, guard, observer)
        finally:
            subject.unload()


@dataclass(frozen=True, slots=True)
class _ServerTest:
    """A test with a server child: what runs, what is asked, who watches, who is told."""

    runtime: ServerRuntime
    files: ModelFiles
    request: SmokeRequest
    watch: Watch
    observer: Observer

    def run(self) -> SmokeReport:
        try:
            report = self._without_drafter()
        except SmokeFailedError as error:
            if isinstance(error, StoppedError) or not _may_be_gpu(self.request):
                raise
            raise _blame(error, self._cpu_verdict()) from error
        if not report.passed and _may_be_gpu(self.request):
            reasons = (*report.reasons, _whose_fault(self._cpu_verdict()))
            return replace(report, reasons=reasons, retried_on_cpu=True)
        if report.passed and self.files.drafter is not None:
            return self._compared_with_drafter(report)
        return report

    def _without_drafter(self) -> SmokeReport:
        plain = replace(self.files, drafter=None)
        with self._served(plain) as (subject, guard):
            return _examine(subject, self.runtime.name, self.request, guard, self.observer)

    def _compared_with_drafter(self, report: SmokeReport) -> SmokeReport:
        """Measure again with the drafter; its failure is a reason and does not fail the model."""
        self.observer(SmokeEvent("drafter"))
        try:
            with self._served(self.files) as (subject, _):
                subject.ask(_WARM_UP)
                measured = _measure(subject, self.observer, "drafter")
        except (SmokeFailedError, RuntimeMissingError) as error:
            reasons = (*report.reasons, f"With the drafter it does not run: {error.message}")
            return replace(report, reasons=reasons)
        return replace(report, drafter=measured)

    def _cpu_verdict(self) -> Verdict:
        """Run the question once more without the GPU."""
        self.observer(SmokeEvent("cpu"))
        options = replace(self.request.options, gpu_layers=0)
        on_cpu = replace(self.request, options=options, long_minutes=0.0)
        try:
            report = replace(self, request=on_cpu)._without_drafter()
        except SmokeFailedError as error:
            return Verdict(passed=False, reasons=(error.message, *error.context))
        return Verdict(report.passed, report.reasons)

    @contextmanager
    def _served(self, files: ModelFiles) -> Iterator[tuple[ServerSubject, Guard]]:
        """Start a server under the guard; end both."""
        watch, request = self.watch, self.request
        used_before = watch.used_vram_bytes() if watch.used_vram_bytes else None
        size_bytes = _size_bytes(files)

        def loading(progress: LoadProgress) -> None:
            share = min(guard.resident_bytes / size_bytes, 1.0) if size_bytes else None
            words = "".join(last_lines((progress.last_words,)))
            self.observer(SmokeEvent("load", progress.seconds, words, share))

        with _guard(request, watch) as guard:
            server = ServerProcess(
                self.runtime.launch(files, request.options),
                deadline_seconds=request.load_seconds,
                observer=loading,
                on_start=lambda pid: guard.protect_from(pid, server.kill),
                stop_reason=lambda: guard.reason,
                memory_limit_bytes=0 if _may_be_gpu(request) else guard.allowance_bytes,
            )
            with server:
                yield ServerSubject(server, guard, watch, used_before), guard


def _size_bytes(files: ModelFiles) -> int:
    """Return the size of what is loaded, 0 if it cannot be told."""
    paths = [path for path in (files.weights, files.projector, files.drafter) if path is not None]
    try:
        return sum(path.stat().st_size for path in paths)
    except OSError:
        return 0


def _guard(request: SmokeRequest, watch: Watch) -> Guard:
    total_seconds = request.total_seconds + 60 * request.long_minutes
    limits = replace(watch.limits, deadline_seconds=total_seconds)
    return Guard(watch.read, watch.read_process, limits)


def _examine(
    subject: Subject,
    runtime: str,
    request: SmokeRequest,
    guard: Guard,
    observer: Observer,
) -> SmokeReport:
    """Ask, judge and measure a loaded model."""
    observer(SmokeEvent("warm-up"))
    subject.ask(_WARM_UP)
    observer(SmokeEvent("question"))
    answer = subject.ask(_judged_question(request))
    verdict = judge(answer.text, answer.reasoning, expected=_expected(request))
    measured = _measure(subject, observer, "measure") if verdict.passed else answer
    series = _repeat(subject, request.long_minutes, observer) if verdict.passed else ()
    watched = guard.watched()
    return SmokeReport(
        runtime=runtime,
        model=request.model,
        passed=verdict.passed,
        text=answer.text or answer.reasoning,
        reasons=verdict.reasons,
        load_seconds=subject.load_seconds,
        completion=replace(measured, text=answer.text, reasoning=answer.reasoning),
        memory=watched.memory if watched.memory.peak_bytes else None,
        memory_bytes=subject.claimed_bytes() or watched.memory.peak_bytes,
        vram_bytes=subject.vram_bytes(),
        swapped_in_pages=watched.swapped_in_pages,
        heat=watched.heat,
        predicted=request.predicted,
        series=series,
    )


def _judged_question(request: SmokeRequest) -> Question:
    if request.image:
        return Question(IMAGE_QUESTION, image_url=red_square())
    return Question(QUESTION)


def _expected(request: SmokeRequest) -> str:
    return IMAGE_EXPECTED if request.image else EXPECTED


def _measure(subject: Subject, observer: Observer, stage: str) -> Completion:
    observer(SmokeEvent(stage))
    measured = subject.ask(_MEASURE)
    observer(SmokeEvent(stage, detail=f"{measured.tokens_per_second:.1f} tokens/s"))
    return measured


def _repeat(subject: Subject, minutes: float, observer: Observer) -> tuple[float, ...]:
    """Generate for some minutes and return the speed of each round."""
    speeds: list[float] = []
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        speeds.append(_measure(subject, observer, "long").tokens_per_second)
    return tuple(speeds)


def _may_be_gpu(request: SmokeRequest) -> bool:
    return request.has_gpu and request.options.gpu_layers != 0


def _whose_fault(verdict: Verdict) -> str:
    if verdict.passed:
        return (
            "On the CPU alone the same file answers rightly: the GPU backend, its driver or its "
            "memory is at fault, not the model."
        )
    return f"On the CPU alone it fails too: {verdict.reasons[0]}"


def _blame(error: SmokeFailedError, verdict: Verdict) -> SmokeFailedError:
    hint = "Update the GPU driver or the runtime, or run without the GPU." if verdict.passed else ""
    return SmokeFailedError(
        error.message,
        hint=hint or error.hint,
        context=(*error.context, _whose_fault(verdict)),
    )
