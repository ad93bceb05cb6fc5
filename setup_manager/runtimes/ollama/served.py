"""A model in an Ollama server that runs already: loaded, asked, and given back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from setup_manager.errors import SetupError, SmokeFailedError
from setup_manager.net import BadAnswerError, LocalClient, RequestError
from setup_manager.runtimes.base import Claim, Opening, RuntimeEvent, Served
from setup_manager.runtimes.chat import Completion, Pieces, Question, Timings, mapping, number
from setup_manager.runtimes.failures import error_for, known_failure
from setup_manager.runtimes.ollama.server import UPDATE

_T = TypeVar("_T")
_NANOSECONDS = 1e9
_GRACE_SECONDS = 30.0
_POLL_SECONDS = 1.0


class OllamaServed(Served):
    """A registered model in a server that is not ours and is never ended.

    Args:
        client: HTTP to the server.
        registered: What the server calls the model.
        opening: Limits, and who is told.
    """

    def __init__(self, client: LocalClient, registered: str, opening: Opening) -> None:
        self.model = registered
        self.load_seconds = 0.0
        self._client = client
        self._opening = opening

    def __enter__(self) -> Self:
        """Make Ollama load the model: a request without a prompt does just that."""
        self._opening.observer(RuntimeEvent("load"))
        self._opening.on_start(0, self.end)
        started = time.monotonic()
        try:
            self._load()
        except BaseException:
            self.end()
            raise
        self.load_seconds = time.monotonic() - started
        return self

    def _load(self) -> None:
        limit = self._opening.deadline_seconds
        body = {"model": self.model, "stream": False}
        _tried(lambda: self._client.post("/api/generate", body, timeout_seconds=limit))
        self._opening.check()

    @property
    def endpoint(self) -> str:
        """Base URL of the server."""
        return self._client.endpoint

    def ask(self, question: Question) -> Completion:
        """Ask it; a refusal and a broken connection are Ollama's failure."""
        limit = question.budget_seconds + _GRACE_SECONDS
        return _tried(lambda: ask_ollama(self._client, self.model, question, timeout_seconds=limit))

    def claim(self) -> Claim:
        """Return what ``/api/ps`` says of it; nothing if it is not listed."""
        listed = self._listed() or {}
        return Claim(int(number(listed.get("size"))), int(number(listed.get("size_vram"))))

    def wait(self) -> None:
        """Wait until Ollama lets go of it, as it does after some minutes without a question."""
        while self._listed() is not None:
            time.sleep(_POLL_SECONDS)

    def end(self) -> None:
        """Tell Ollama to give the memory back; whatever it says is not our concern any more."""
        body = {"model": self.model, "keep_alive": 0, "stream": False}
        try:
            self._client.post("/api/generate", body, timeout_seconds=_GRACE_SECONDS)
        except RequestError:
            return

    def _listed(self) -> Mapping[str, Any] | None:
        """Find it among the loaded models; None where it, or the server, is gone."""
        try:
            models = self._client.get("/api/ps")["models"]
            return next((model for model in models if model["name"] == self.model), None)
        except (RequestError, KeyError, TypeError):
            return None


def ask_ollama(
    client: LocalClient, model: str, question: Question, *, timeout_seconds: float
) -> Completion:
    """Ask Ollama through its own interface, which reports timings.

    Args:
        client: HTTP to it.
        model: Its name for the model.
        question: What to ask.
        timeout_seconds: Longest silence.

    Raises:
        RequestError: If the connection breaks.
        BadAnswerError: If what comes is no completion.
    """
    message: dict[str, Any] = {"role": "user", "content": question.text}
    if question.image_url is not None:
        message["images"] = [question.image_url.partition(",")[2]]
    body = {
        "model": model,
        "messages": [message],
        "think": False,
        "options": {"temperature": 0, "num_predict": question.max_tokens},
    }
    pieces = Pieces(question.budget_seconds)
    last: Mapping[str, Any] = {}
    for event in client.stream("/api/chat", body, timeout_seconds=timeout_seconds):
        last = mapping(event)
        if "error" in last:
            raise BadAnswerError(200, str(last["error"])[:500])
        said = mapping(last.get("message", {}))
        if pieces.add(said.get("content"), said.get("thinking")):
            break
    return pieces.completion(_timings(last))


def _timings(last: Mapping[str, Any]) -> Timings:
    """Read the figures of the closing message; its durations are nanoseconds."""
    prompt_tokens = int(number(last.get("prompt_eval_count")))
    tokens = int(number(last.get("eval_count")))
    prompt_seconds = number(last.get("prompt_eval_duration")) / _NANOSECONDS
    seconds = number(last.get("eval_duration")) / _NANOSECONDS
    return Timings(
        prompt_tokens,
        prompt_tokens / prompt_seconds if prompt_seconds > 0 else 0.0,
        tokens,
        tokens / seconds if seconds > 0 and tokens > 1 else 0.0,
    )


def _tried(action: Callable[[], _T]) -> _T:
    try:
        return action()
    except RequestError as error:
        raise _failure(str(error)) from error


def _failure(words: str) -> SetupError:
    known = known_failure("Ollama", UPDATE, words)
    if known is not None:
        return error_for(known, (words,))
    return SmokeFailedError(
        "Ollama did not run the model.",
        context=(words,),
        hint="Check Ollama's log, or try another runtime with --runtime.",
    )
