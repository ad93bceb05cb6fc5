"""What a smoke test found: the contract's `data` of `smoke`, as a type."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from setup_manager.errors import SmokeFailedError
from setup_manager.machine import ProcessMemory
from setup_manager.runtimes import Completion


@dataclass(frozen=True, slots=True)
class Heat:
    """What heat did during the test.

    Attributes:
        start_celsius: Hottest processor sensor before, None if unknown.
        peak_celsius: Highest value during the test.
        throttled: Whether the CPU was slowed by heat, None if unknown.
    """

    start_celsius: float | None = None
    peak_celsius: float | None = None
    throttled: bool | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was computed beforehand, to hold the measurement against.

    Attributes:
        memory_bytes: Total of the memory computation.
        tokens_per_second: Central value of the speed computation.
        low: Lower end of its range.
        high: Upper end of its range.
    """

    memory_bytes: int
    tokens_per_second: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SmokeReport:
    """A smoke test and what it measured.

    Attributes:
        runtime: What ran the model.
        model: Name of the model.
        passed: Whether it answered rightly.
        text: The answer.
        reasons: Why it passed or did not.
        load_seconds: From starting the server until it was ready.
        completion: The judged answer with its timings.
        memory: Of the server process; None where the runtime is no child of ours.
        memory_bytes: What the runtime holds: its peak resident size, or what it says of itself.
        vram_bytes: Growth of used GPU memory, None if it was not measured.
        swapped_in_pages: Pages that came back from swap on this machine during the test.
        heat: Temperatures.
        predicted: What was computed beforehand, None if nothing was.
        retried_on_cpu: Whether the GPU failed and the CPU was tried; the reasons say what came.
        series: Generation speed of each round of a long test, tokens per second.
        drafter: The same measurement with the drafter, None if it was not tried.
    """

    runtime: str
    model: str
    passed: bool
    text: str
    reasons: tuple[str, ...]
    load_seconds: float
    completion: Completion
    memory: ProcessMemory | None = None
    memory_bytes: int = 0
    vram_bytes: int | None = None
    swapped_in_pages: int = 0
    heat: Heat = field(default_factory=Heat)
    predicted: Prediction | None = None
    retried_on_cpu: bool = False
    series: tuple[float, ...] = ()
    drafter: Completion | None = None

    def document(self) -> dict[str, Any]:
        """Return the contract's JSON object."""
        answer = self.completion
        return {
            "runtime": self.runtime,
            "model": self.model,
            "passed": self.passed,
            "text": self.text,
            "reasons": list(self.reasons),
            "load_seconds": round(self.load_seconds, 3),
            "first_token_seconds": round(answer.first_token_seconds, 3),
            "prompt_tokens_per_second": round(answer.prompt_tokens_per_second, 2),
            "tokens_per_second": round(answer.tokens_per_second, 2),
            "first_half_tokens_per_second": round(answer.first_half_tokens_per_second, 2),
            "second_half_tokens_per_second": round(answer.second_half_tokens_per_second, 2),
            "prompt_tokens": answer.prompt_tokens,
            "tokens": answer.tokens,
            "peak_memory_bytes": self.memory_bytes,
            "memory": asdict(self.memory) if self.memory else None,
            "vram_bytes": self.vram_bytes,
            "swapped_in_pages": self.swapped_in_pages,
            "predicted": self._predicted_document(),
            "thermal": asdict(self.heat),
            "retried_on_cpu": self.retried_on_cpu,
            "series_tokens_per_second": [round(value, 2) for value in self.series],
            "drafter": self._drafter_document(),
        }

    def _drafter_document(self) -> dict[str, Any] | None:
        if self.drafter is None:
            return None
        plain = self.completion.tokens_per_second
        return {
            "tokens_per_second": round(self.drafter.tokens_per_second, 2),
            "speed_ratio": _ratio(self.drafter.tokens_per_second, plain),
            "drafted_tokens": self.drafter.drafted_tokens,
            "accepted_tokens": self.drafter.accepted_tokens,
        }

    def _predicted_document(self) -> dict[str, Any]:
        if self.predicted is None:
            return {}
        predicted = self.predicted
        return {
            **asdict(predicted),
            "memory_ratio": _ratio(self.memory_bytes, predicted.memory_bytes),
            "speed_ratio": _ratio(self.completion.tokens_per_second, predicted.tokens_per_second),
        }


def require_passed(report: SmokeReport) -> None:
    """Turn a failed test into the error for it.

    Raises:
        SmokeFailedError: If the model did not answer rightly.
    """
    if report.passed:
        return
    raise SmokeFailedError(
        f"{report.model} runs with {report.runtime}, but gave a wrong answer.",
        context=(*report.reasons, f"answer: {report.text.strip()[:200]!r}"),
        hint=f"Run `gemma-setup verify {report.model}` to check the file, then "
        f"update the runtime and run `gemma-setup smoke {report.model}`.",
    )


def _ratio(measured: float, predicted: float) -> float | None:
    return round(measured / predicted, 3) if predicted > 0 else None
