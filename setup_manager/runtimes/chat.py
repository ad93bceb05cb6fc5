"""One question to a server, streamed and timed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from setup_manager.net import BadAnswerError, LocalClient


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        text: The user's message.
        max_tokens: Longest answer.
        image_url: A ``data:`` URL of a picture, None without.
        to_the_end: Whether to go on to ``max_tokens`` when the model has finished (for measuring).
        budget_seconds: When to stop listening; what came until then counts.
    """

    text: str
    max_tokens: int = 48
    image_url: str | None = None
    to_the_end: bool = False
    budget_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer and how fast it came; speeds are 0 where nothing was measured.

    Attributes:
        text: The content.
        reasoning: What the server split off as reasoning.
        first_token_seconds: From the request to the first piece of text.
        prompt_tokens: Tokens read.
        prompt_tokens_per_second: How fast they were read.
        tokens: Tokens generated.
        tokens_per_second: How fast, as the server measured it.
        first_half_tokens_per_second: Rate of arrival in the first half of the pieces.
        second_half_tokens_per_second: In the second half; much lower means throttling.
        drafted_tokens: Tokens that a drafter proposed.
        accepted_tokens: Of those, how many the model took.
    """

    text: str
    reasoning: str = ""
    first_token_seconds: float = 0.0
    prompt_tokens: int = 0
    prompt_tokens_per_second: float = 0.0
    tokens: int = 0
    tokens_per_second: float = 0.0
    first_half_tokens_per_second: float = 0.0
    second_half_tokens_per_second: float = 0.0
    drafted_tokens: int = 0
    accepted_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    """What a server measured; 0 where it said nothing."""

    prompt_tokens: int = 0
    prompt_tokens_per_second: float = 0.0
    tokens: int = 0
    tokens_per_second: float = 0.0
    drafted_tokens: int = 0
    accepted_tokens: int = 0


class Pieces:
    """The pieces of an answer and when each of them came."""

    def __init__(self, budget_seconds: float) -> None:
        self._started = time.monotonic()
        self._budget_seconds = budget_seconds
        self._texts: list[str] = []
        self._reasonings: list[str] = []
        self._arrivals: list[float] = []

    def add(self, text: object, reasoning: object) -> bool:
        """Take a piece, which may be empty; return whether the time is used up."""
        seconds = time.monotonic() - self._started
        if text or reasoning:
            self._texts.append(str(text or ""))
            self._reasonings.append(str(reasoning or ""))
            self._arrivals.append(seconds)
        return seconds > self._budget_seconds

    def completion(self, timings: Timings) -> Completion:
        """Put everything together; the rate of arrival stands in where the server told none."""
        arrivals = self._arrivals
        first_half, second_half = half_rates(arrivals)
        rate = _rate(len(arrivals) - 1, arrivals[-1] - arrivals[0]) if len(arrivals) > 1 else 0.0
        return Completion(
            text="".join(self._texts),
            reasoning="".join(self._reasonings),
            first_token_seconds=arrivals[0] if arrivals else 0.0,
            prompt_tokens=timings.prompt_tokens,
            prompt_tokens_per_second=timings.prompt_tokens_per_second,
            tokens=timings.tokens or len(arrivals),
            tokens_per_second=timings.tokens_per_second or rate,
            first_half_tokens_per_second=first_half,
            second_half_tokens_per_second=second_half,
            drafted_tokens=timings.drafted_tokens,
            accepted_tokens=timings.accepted_tokens,
        )


def ask_server(
    client: LocalClient, model: str, question: Question, *, timeout_seconds: float
) -> Completion:
    """Ask a server that speaks llama-server's interface, at temperature 0 with thinking off.

    Args:
        client: HTTP to it.
        model: Its name for the model.
        question: What to ask.
        timeout_seconds: Longest silence.

    Raises:
        RequestError: If the connection breaks.
        BadAnswerError: If what comes is no completion.
    """
    body = {
        "model": model,
        "messages": [{"role": "user", "content": _content(question)}],
        "temperature": 0,
        "max_tokens": question.max_tokens,
        "stream": True,
        "cache_prompt": False,
        "ignore_eos": question.to_the_end,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    pieces = Pieces(question.budget_seconds)
    timings: Mapping[str, Any] = {}
    answer = client.stream("/v1/chat/completions", body, timeout_seconds=timeout_seconds)
    for event in answer:
        delta = _delta(event)
        timings = mapping(event.get("timings") or timings)
        if pieces.add(delta.get("content"), delta.get("reasoning_content")):
            break
    return pieces.completion(_server_timings(timings))


def _content(question: Question) -> Any:
    if question.image_url is None:
        return question.text
    return [
        {"type": "image_url", "image_url": {"url": question.image_url}},
        {"type": "text", "text": question.text},
    ]


def _delta(event: Any) -> Mapping[str, Any]:
    """Return the new piece of a chat-completion event; empty where it only has figures."""
    whole = mapping(event)
    if "error" in whole:
        raise BadAnswerError(200, str(whole["error"])[:500])
    choices = whole.get("choices")
    if not isinstance(choices, list):
        raise BadAnswerError(200, f"no completion: {str(event)[:200]}")
    first = mapping(choices[0]) if choices else {}
    return mapping(first.get("delta") or {})


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a JSON object of an answer.

    Raises:
        BadAnswerError: If it is something else.
    """
    if not isinstance(value, dict):
        raise BadAnswerError(200, f"no completion: {str(value)[:200]}")
    return value


def _server_timings(timings: Mapping[str, Any]) -> Timings:
    """Read llama-server's ``timings``; rates of a single token are noise and not kept."""
    tokens = int(number(timings.get("predicted_n")))
    return Timings(
        prompt_tokens=int(number(timings.get("prompt_n"))),
        prompt_tokens_per_second=number(timings.get("prompt_per_second")),
        tokens=tokens,
        tokens_per_second=number(timings.get("predicted_per_second")) if tokens > 1 else 0.0,
        drafted_tokens=int(number(timings.get("draft_n"))),
        accepted_tokens=int(number(timings.get("draft_n_accepted"))),
    )


def number(value: object) -> float:
    """Return a finite, non-negative number, 0 for anything else: it comes from a server."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value < 1e18 else 0.0


def half_rates(arrivals_seconds: list[float]) -> tuple[float, float]:
    """Return the rate of arrival in the first and the second half of the pieces.

    Args:
        arrivals_seconds: When each piece came, rising.

    Returns:
        Pieces per second; zeros where there are fewer than eight pieces.
    """
    count = len(arrivals_seconds)
    if count < 8:
        return 0.0, 0.0
    middle = count // 2
    first = _rate(middle, arrivals_seconds[middle] - arrivals_seconds[0])
    second = _rate(count - 1 - middle, arrivals_seconds[-1] - arrivals_seconds[middle])
    return first, second


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0
