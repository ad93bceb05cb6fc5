"""A model that is loaded and can be asked: in a server child, or in an Ollama that runs already."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from setup_manager.errors import RuntimeMissingError, SetupError, SmokeFailedError
from setup_manager.net import BadAnswerError, LocalClient, RequestError
from setup_manager.runtimes.server import ServerProcess, StoppedError, last_lines
from setup_manager.smoke.chat import Completion, Question, ask_ollama, ask_server
from setup_manager.smoke.guard import Guard
from setup_manager.smoke.request import Observer, SmokeEvent, SmokeRequest, Watch

_T = TypeVar("_T")


class Subject(Protocol):
    """A model that is loaded and can be asked.

    Attributes:
        load_seconds: How long loading took.
    """

    load_seconds: float

    def ask(self, question: Question) -> Completion:
        """Ask it.

        Raises:
            SmokeFailedError: If no completion came.
            RuntimeMissingError: If the runtime turns out to be too old.
        """
        ...

    def claimed_bytes(self) -> int | None:
        """Return the memory that the runtime says it takes, None if it says nothing."""
        ...

    def vram_bytes(self) -> int | None:
        """Return the GPU memory that it takes, None if unknown."""
        ...


class ServerSubject:
    """A model in a server child."""

    def __init__(
        self, server: ServerProcess, guard: Guard, watch: Watch, vram_before_bytes: int | None
    ) -> None:
        self.load_seconds = server.load_seconds
        self._server = server
        self._guard = guard
        self._watch = watch
        self._vram_before_bytes = vram_before_bytes

    def ask(self, question: Question) -> Completion:
        """Ask; tell a server that died from one that was ended and one that talks rubbish."""
        server = self._server
        limit = question.budget_seconds + 30
        try:
            answer = ask_server(server.client, server.alias, question, timeout_seconds=limit)
        except BadAnswerError as error:
            raise _rubbish(str(error), server.last_words) from error
        except RequestError as error:
            raise self._failure(str(error)) from error
        if self._guard.reason is not None:
            raise self._failure("")
        return answer

    def claimed_bytes(self) -> int | None:
        """Return None: the process itself is measured."""
        return None

    def vram_bytes(self) -> int | None:
        """Return how much more GPU memory is used than before the start."""
        if self._watch.used_vram_bytes is None or self._vram_before_bytes is None:
            return None
        return max(self._watch.used_vram_bytes() - self._vram_before_bytes, 0)

    def _failure(self, detail: str) -> SetupError:
        if self._guard.reason is not None:
            return _ended(self._guard.reason)
        if self._server.wait_briefly() is not None:
            return self._server.failure()
        return SmokeFailedError(
            "The server stopped answering.",
            context=(detail, *last_lines(self._server.last_words)),
            hint="Run `gemma-setup smoke` again; if it hangs again, update the runtime.",
        )


class OllamaSubject:
    """A model in an Ollama server that is not ours."""

    def __init__(
        self, client: LocalClient, registered: str, request: SmokeRequest, guard: Guard
    ) -> None:
        self.load_seconds = 0.0
        self._client = client
        self._registered = registered
        self._request = request
        self._guard = guard

    def load(self, observer: Observer) -> None:
        """Make Ollama load the model: a request without a prompt does just that."""
        observer(SmokeEvent("load"))
        started = time.monotonic()
        self._guard.protect_from(0, self.unload)
        body = {"model": self._registered, "stream": False}
        self._try(
            lambda: self._client.post(
                "/api/generate", body, timeout_seconds=self._request.load_seconds
            )
        )
        self.load_seconds = time.monotonic() - started

    def unload(self) -> None:
        """Tell Ollama to give the memory back; whatever it says is not our concern any more."""
        body = {"model": self._registered, "keep_alive": 0, "stream": False}
        try:
            self._client.post("/api/generate", body, timeout_seconds=30.0)
        except RequestError:
            return

    def ask(self, question: Question) -> Completion:
        """Ask it; a refusal and a broken connection are Ollama's failure."""
        limit = question.budget_seconds + 30
        return self._try(
            lambda: ask_ollama(self._client, self._registered, question, timeout_seconds=limit)
        )

    def claimed_bytes(self) -> int | None:
        """Return what Ollama says that the model takes, GPU and main memory together."""
        return self._loaded("size")

    def vram_bytes(self) -> int | None:
        """Return the share of it that is on the GPU."""
        return self._loaded("size_vram")

    def _loaded(self, name: str) -> int:
        """Read a figure of this model from ``/api/ps``; 0 if it is not listed."""
        try:
            models = self._client.get("/api/ps")["models"]
            return next(int(model[name]) for model in models if model["name"] == self._registered)
        except (RequestError, KeyError, TypeError, ValueError, StopIteration):
            return 0

    def _try(self, action: Callable[[], _T]) -> _T:
        try:
            result = action()
        except RequestError as error:
            if self._guard.reason is not None:
                raise _ended(self._guard.reason) from error
            raise _ollama_failure(error) from error
        if self._guard.reason is not None:
            raise _ended(self._guard.reason)
        return result


def _ended(reason: str) -> StoppedError:
    return StoppedError(
        f"The model was ended before the machine suffered: {reason}.",
        hint="Take a smaller model or --context, or close other programs.",
    )


def _rubbish(detail: str, words: tuple[str, ...]) -> SmokeFailedError:
    return SmokeFailedError(
        "The server answered, but not with a completion.",
        context=(detail, *last_lines(words)),
        hint="Update the runtime, then run `gemma-setup smoke` again.",
    )


def _ollama_failure(error: Exception) -> SmokeFailedError | RuntimeMissingError:
    text = str(error)
    if "unknown architecture" in text or "unknown model architecture" in text:
        return RuntimeMissingError(
            "Ollama is too old for this model: it does not know the architecture.",
            context=(text,),
            hint="Update Ollama (https://ollama.com/download), then run the same command again.",
        )
    return SmokeFailedError(
        "Ollama did not run the model.",
        context=(text,),
        hint="See Ollama's own log, and try another runtime with --runtime.",
    )
