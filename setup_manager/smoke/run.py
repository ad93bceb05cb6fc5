"""The smoke test: a model is opened, asked, judged, measured and ended, under the guard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from setup_manager.catalog import Role
from setup_manager.errors import RuntimeMissingError, SetupError, SmokeFailedError
from setup_manager.library import InstalledModel
from setup_manager.runtimes import (
    Completion,
    Opening,
    Question,
    Runtime,
    RuntimeEvent,
    Served,
    StartOptions,
)
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
from setup_manager.smoke.request import Observer, SmokeRequest, Watch

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


class StoppedError(SmokeFailedError):
    """A model was ended on purpose, for the sake of the machine."""


def run_smoke(
    runtime: Runtime, request: SmokeRequest, watch: Watch, observer: Observer = lambda _: None
) -> SmokeReport:
    """Test an installed model; always ends what it opened, and never a server that is not ours.

    With a drafter the model is tested without it first, then measured with it. If a GPU may be in
    use and the test fails, it is repeated once on the CPU, to tell whose fault it is. Neither can
    be done with a server of the runtime's own, whose start parameters are those of the
    registration.

    Args:
        runtime: What runs it.
        request: What is tested.
        watch: Looks at the machine.
        observer: Told the progress.

    Returns:
        The report, whether the model passed or not.

    Raises:
        SmokeFailedError: If the runtime died, hung, answered rubbish or had to be ended.
        RuntimeMissingError: If the runtime is too old for the model.
        UsageError: If there is nothing of the model that the runtime can open.
    """
    small = replace(request, options=_reduced(request))
    return _Test(runtime, small, watch, observer).run()


def _reduced(request: SmokeRequest) -> StartOptions:
    """Reduce start parameters to what a test needs: one slot, a short context, no caches."""
    return replace(
        request.options,
        slots=1,
        context=min(request.options.context, SMOKE_CONTEXT),
        cache_ram_mib=0,
        context_checkpoints=0,
        unified_kv=False,
        projector=request.image,
    )


@dataclass(frozen=True, slots=True)
class _Test:
    """One test: what runs, what is asked, who watches, who is told."""

    runtime: Runtime
    request: SmokeRequest
    watch: Watch
    observer: Observer

    def run(self) -> SmokeReport:
        try:
            report = self._without_drafter()
        except SmokeFailedError as error:
            if isinstance(error, StoppedError) or not self._may_blame_gpu:
                raise
            raise _blame(error, self._cpu_verdict()) from error
        if not report.passed and self._may_blame_gpu:
            reasons = (*report.reasons, _whose_fault(self._cpu_verdict()))
            return replace(report, reasons=reasons, retried_on_cpu=True)
        if report.passed and self.request.options.drafter and not self.runtime.own_server:
            return self._compared_with_drafter(report)
        return report

    @property
    def _may_blame_gpu(self) -> bool:
        return _may_be_gpu(self.request) and not self.runtime.own_server

    def _without_drafter(self) -> SmokeReport:
        with self._opened(replace(self.request.options, drafter=False)) as asked:
            return asked.examine(self.runtime.name, self.request, self.observer)

    def _compared_with_drafter(self, report: SmokeReport) -> SmokeReport:
        """Measure again with the drafter; its failure is a reason and does not fail the model."""
        self.observer(RuntimeEvent("drafter"))
        try:
            with self._opened(self.request.options) as asked:
                asked.ask(_WARM_UP)
                measured = asked.measure(self.observer, "drafter")
        except (SmokeFailedError, RuntimeMissingError) as error:
            reasons = (*report.reasons, f"With the drafter it does not run: {error.message}")
            return replace(report, reasons=reasons)
        return replace(report, drafter=measured)

    def _cpu_verdict(self) -> Verdict:
        """Run the question once more without the GPU."""
        self.observer(RuntimeEvent("cpu"))
        options = replace(self.request.options, gpu_layers=0)
        on_cpu = replace(self.request, options=options, long_minutes=0.0)
        try:
            report = replace(self, request=on_cpu)._without_drafter()
        except SmokeFailedError as error:
            return Verdict(passed=False, reasons=(error.message, *error.context))
        return Verdict(report.passed, report.reasons)

    @contextmanager
    def _opened(self, options: StartOptions) -> Iterator[_Asked]:
        """Open the model under the guard; end both."""
        request, used_vram = self.request, self.watch.used_vram_bytes
        used_before = used_vram() if used_vram else None
        size_bytes = _loaded_bytes(request.model, options)

        def loading(event: RuntimeEvent) -> None:
            share = min(guard.resident_bytes / size_bytes, 1.0) if size_bytes else None
            self.observer(event if self.runtime.own_server else replace(event, share=share))

        with _guard(request, self.watch) as guard:
            opening = Opening(
                deadline_seconds=request.load_seconds,
                memory_limit_bytes=0 if _may_be_gpu(request) else guard.allowance_bytes,
                observer=loading,
                on_start=guard.protect_from,
                check=lambda: _refuse_ended(guard),
            )
            with _unless_ended(guard):
                opened = self.runtime.open(request.model, request.status, options, opening)
                with opened as served:
                    yield _Asked(served, guard, _growth(used_vram, used_before))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A model that is loaded and guarded.

    Attributes:
        served: The model.
        guard: Who may end it.
        vram_growth: Returns the GPU memory that came into use since the start, None if unknown.
    """

    served: Served
    guard: Guard
    vram_growth: Callable[[], int | None]

    def ask(self, question: Question) -> Completion:
        """Ask; an answer of a model that was ended meanwhile does not count."""
        answer = self.served.ask(question)
        _refuse_ended(self.guard)
        return answer

    def examine(self, runtime: str, request: SmokeRequest, observer: Observer) -> SmokeReport:
        """Ask, judge and measure."""
        observer(RuntimeEvent("warm-up"))
        self.ask(_WARM_UP)
        observer(RuntimeEvent("question"))
        answer = self.ask(_judged_question(request))
        verdict = judge(answer.text, answer.reasoning, expected=_expected(request))
        measured = self.measure(observer, "measure") if verdict.passed else answer
        series = self._repeat(request.long_minutes, observer) if verdict.passed else ()
        watched, claim = self.guard.watched(), self.served.claim()
        return SmokeReport(
            runtime=runtime,
            model=request.model.name,
            passed=verdict.passed,
            text=answer.text or answer.reasoning,
            reasons=verdict.reasons,
            load_seconds=self.served.load_seconds,
            completion=replace(measured, text=answer.text, reasoning=answer.reasoning),
            memory=watched.memory if watched.memory.peak_bytes else None,
            memory_bytes=(claim.memory_bytes if claim else 0) or watched.memory.peak_bytes,
            vram_bytes=claim.vram_bytes if claim else self.vram_growth(),
            swapped_in_pages=watched.swapped_in_pages,
            heat=watched.heat,
            predicted=request.predicted,
            series=series,
        )

    def measure(self, observer: Observer, stage: str) -> Completion:
        """Measure how fast it reads and writes."""
        observer(RuntimeEvent(stage))
        measured = self.ask(_MEASURE)
        observer(RuntimeEvent(stage, detail=f"{measured.tokens_per_second:.1f} tokens/s"))
        return measured

    def _repeat(self, minutes: float, observer: Observer) -> tuple[float, ...]:
        """Generate for some minutes and return the speed of each round."""
        speeds: list[float] = []
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            speeds.append(self.measure(observer, "long").tokens_per_second)
        return tuple(speeds)


def _loaded_bytes(model: InstalledModel, options: StartOptions) -> int:
    """Return the size of the files that are loaded."""
    wanted = {Role.WEIGHTS: True, Role.PROJECTOR: options.projector, Role.DRAFTER: options.drafter}
    return sum(file.artifact.size_bytes for file in model.files if wanted[file.artifact.role])


def _growth(
    used_vram: Callable[[], int] | None, before_bytes: int | None
) -> Callable[[], int | None]:
    if used_vram is None or before_bytes is None:
        return lambda: None
    return lambda: max(used_vram() - before_bytes, 0)


def _guard(request: SmokeRequest, watch: Watch) -> Guard:
    total_seconds = request.total_seconds + 60 * request.long_minutes
    limits = replace(watch.limits, deadline_seconds=total_seconds)
    return Guard(watch.read, watch.read_process, limits)


def _refuse_ended(guard: Guard) -> None:
    """Raise if the guard has ended the model.

    Raises:
        StoppedError: If it has.
    """
    if guard.reason is not None:
        raise StoppedError(
            f"The model was ended before the machine suffered: {guard.reason}.",
            hint="Use a smaller model or --context, or close other programs.",
        )


@contextmanager
def _unless_ended(guard: Guard) -> Iterator[None]:
    """Turn the failure of a model that the guard has ended into the guard's reason."""
    try:
        yield
    except StoppedError:
        raise
    except SetupError:
        _refuse_ended(guard)
        raise


def _judged_question(request: SmokeRequest) -> Question:
    if request.image:
        return Question(IMAGE_QUESTION, image_url=red_square())
    return Question(QUESTION)


def _expected(request: SmokeRequest) -> str:
    return IMAGE_EXPECTED if request.image else EXPECTED


def _may_be_gpu(request: SmokeRequest) -> bool:
    return request.has_gpu and request.options.gpu_layers != 0


def _whose_fault(verdict: Verdict) -> str:
    if verdict.passed:
        return (
            "On the CPU alone the same file answers correctly: the GPU backend, its driver or its "
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
