"""A server child: started on a free loopback port, awaited, and always ended.

The child runs in a session of its own, so that Ctrl-C reaches this process first, and on a tether,
so that it ends with this process whatever happens to it. Only that child is ever signalled.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Self

from setup_manager.errors import RuntimeMissingError, SetupError, SmokeFailedError
from setup_manager.net import LocalClient, RequestError
from setup_manager.runtimes import tether
from setup_manager.runtimes.base import Launch
from setup_manager.units import format_memory

HOST = "127.0.0.1"
_PORT_ATTEMPTS = 5
_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 2.0
_TAIL_LINES = 60
_LINE_CHARACTERS = 500
_SIGKILL = 9
_STACK_BYTES = 8 * 1024**2
_LOG_PREFIX = re.compile(r"^(?:\d+\.)+\d+ [A-Z] ")


class StoppedError(SmokeFailedError):
    """A server was ended on purpose, for the sake of the machine."""


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """How far loading is.

    Attributes:
        seconds: Since the start.
        last_words: The last line that the engine wrote, ``""`` before the first.
    """

    seconds: float
    last_words: str


@dataclass(frozen=True, slots=True)
class Death:
    """Why a server ended by itself.

    Attributes:
        kind: ``"too-old"``, ``"port"``, ``"memory"``, ``"killed"``, ``"missing"`` or ``"other"``.
        message: One sentence.
        hint: What to do.
    """

    kind: str
    message: str
    hint: str


_DEATHS = (
    (
        r"unknown model architecture",
        "too-old",
        "{name} is too old for this model: it does not know the architecture.",
        "Update {name}: Gemma 4 needs llama.cpp from about build 8639 (the 12B from 9503).",
    ),
    (
        r"unknown projector type",
        "too-old",
        "{name} is too old for this projector.",
        "Update {name} to build 9503 or later, or leave out --with-projector.",
    ),
    (
        r"(invalid|unrecognized|unknown) arguments?: -",
        "too-old",
        "{name} does not know one of the options that it was started with.",
        "Update {name}; `gemma-setup runtime install llama.cpp` brings a current one.",
    ),
    (
        r"couldn't bind|address already in use|failed to bind",
        "port",
        "The port was taken while {name} started.",
        "Run the same command again.",
    ),
    (
        r"out of memory|failed to allocate|cannot allocate memory|bad_alloc|unable to allocate",
        "memory",
        "{name} could not get the memory that it needs.",
        "Take a smaller --context or quantization; `gemma-setup explain` shows where it goes.",
    ),
    (
        r"^cannot run \S+: |error while loading shared libraries",
        "missing",
        "{name} cannot be run.",
        "Install it again, or run `gemma-setup runtime install llama.cpp`.",
    ),
)


def explain_death(name: str, returncode: int, tail: str) -> Death:
    """Say why a server ended, from its exit status and its last words.

    Args:
        name: The runtime, for the message.
        returncode: As `subprocess` gives it: negative for a signal.
        tail: The end of what it wrote.
    """
    for pattern, kind, message, hint in _DEATHS:
        if re.search(pattern, tail, re.IGNORECASE | re.MULTILINE):
            return Death(kind, message.format(name=name), hint.format(name=name))
    if returncode == -_SIGKILL:
        return Death(
            "killed",
            f"{name} was killed from outside, most likely by the system for lack of memory.",
            "Take a smaller model or --context, or close other programs.",
        )
    how = f"by signal {-returncode}" if returncode < 0 else f"with status {returncode}"
    return Death(
        "other",
        f"{name} ended by itself {how}.",
        "Update it, or take another one with --runtime; its last words say more.",
    )


class ServerProcess:
    """A running model server, as a context manager.

    Attributes:
        client: HTTP to it.
        load_seconds: From the start of the process until it was ready.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        alias: str | None = None,
        port: int | None = None,
        deadline_seconds: float = 600.0,
        grace_seconds: float = 5.0,
        observer: Callable[[LoadProgress], None] = lambda _: None,
        on_start: Callable[[int], None] = lambda _: None,
        stop_reason: Callable[[], str | None] = lambda: None,
        memory_limit_bytes: int = 0,
        alias_flag: bool = True,
    ) -> None:
        """Prepare; nothing runs before the context is entered.

        Args:
            launch: What to start.
            alias: Name under which the server knows its model; made up if None.
            port: A fixed port, None for a free one.
            deadline_seconds: How long loading may take.
            grace_seconds: How long the child may take to end before it is killed.
            observer: Told how loading goes.
            on_start: Told the process id, each time a child was started.
            stop_reason: Asked while waiting; a text ends the child and becomes the error.
            memory_limit_bytes: Most private memory for the child (Linux), 0 for no limit. Not
                for a child that uses a GPU: its driver maps far more than it fills.
            alias_flag: Whether the child is told the alias; a router has its own names, and
                `alias` is one of them.
        """
        self._launch = launch
        self._fixed_port = port
        self._deadline_seconds = deadline_seconds
        self._grace_seconds = grace_seconds
        self._observer = observer
        self._on_start = on_start
        self._stop_reason = stop_reason
        self._memory_limit_bytes = memory_limit_bytes
        self._alias_flag = alias_flag
        self._child: subprocess.Popen[bytes] | None = None
        self._leash = -1
        self._ending = threading.Lock()
        self._tail = _Tail()
        self.alias = alias or f"gemma-setup-{secrets.token_hex(8)}"
        self.load_seconds = 0.0
        self.client: LocalClient

    def __enter__(self) -> Self:
        try:
            self._start_on_some_port()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._running.pid

    @property
    def endpoint(self) -> str:
        """Base URL, e.g. ``"http://127.0.0.1:40001"``."""
        return self.client.endpoint

    @property
    def last_words(self) -> tuple[str, ...]:
        """The last lines that the child wrote, at most 60."""
        return self._tail.lines

    @property
    def returncode(self) -> int | None:
        """Exit status, None while it runs."""
        return self._running.poll()

    def wait(self) -> int:
        """Wait until the child ends by itself and return its status."""
        return self._running.wait()

    def wait_briefly(self, seconds: float = 1.0) -> int | None:
        """Return the status of a child that is just ending, None if it goes on."""
        try:
            return self._running.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End the child by force, at once."""
        child = self._child
        if child is not None and child.poll() is None:
            child.kill()
        self.end()

    def end(self) -> None:
        """End the child: politely, then by force. May be called at any time, from any thread."""
        with self._ending:
            child = self._child
            if child is None:
                return
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(self._grace_seconds)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
            self._release()

    def failure(self) -> SetupError:
        """Return the error for a child that ended by itself."""
        self._tail.finish()
        words = self.last_words
        death = explain_death(self._launch.name, self._running.wait(), "\n".join(words))
        kind = RuntimeMissingError if death.kind in {"too-old", "missing"} else SmokeFailedError
        facts = last_lines(words)
        if death.kind == "memory" and self._memory_limit_bytes > 0:
            allowed = format_memory(self._memory_limit_bytes)
            facts = (f"It may take {allowed}, so that the rest of the machine goes on.", *facts)
        return kind(death.message, hint=death.hint, context=facts)

    @property
    def _kernel_limit_bytes(self) -> int:
        """The limit as the kernel counts: with the stacks of all threads, though never filled."""
        if self._memory_limit_bytes <= 0:
            return 0
        threads = 2 * (os.cpu_count() or 1)  # computing, and serving HTTP
        return self._memory_limit_bytes + threads * _STACK_BYTES

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise RuntimeError("the server was not started")
        return self._child

    def _start_on_some_port(self) -> None:
        for attempt in range(_PORT_ATTEMPTS):
            port = self._fixed_port or free_port()
            self._start(port)
            try:
                self._wait_until_ready()
            except _PortTakenError:
                self.end()
                if self._fixed_port or attempt == _PORT_ATTEMPTS - 1:
                    raise SmokeFailedError(
                        f"Port {port} on {HOST} is taken by another program.",
                        hint="Choose another one with --port, or end that program.",
                    ) from None
            else:
                return

    def _start(self, port: int) -> None:
        arguments = ["--host", HOST, "--port", str(port)]
        if self._alias_flag:
            arguments += ["--alias", self.alias]
        self.client = LocalClient(f"http://{HOST}:{port}", timeout_seconds=_ANSWER_SECONDS)
        self._child, self._leash = _spawn(
            [*self._launch.argv, *arguments], self._launch, self._kernel_limit_bytes
        )
        self._tail = _Tail(self._child.stderr)
        self._on_start(self._child.pid)

    def _wait_until_ready(self) -> None:
        started = time.monotonic()
        while not self._is_ready():
            waited = time.monotonic() - started
            self._raise_if_hopeless(waited)
            self._observer(LoadProgress(waited, "".join(self.last_words[-1:])))
            time.sleep(_POLL_SECONDS)
        self.load_seconds = time.monotonic() - started

    def _is_ready(self) -> bool:
        """Whether our own child answers: a stranger on the port does not know the alias."""
        try:
            if self.client.status("/health") != 200 or self.returncode is not None:
                return False
            known = self.client.get("/v1/models")
        except RequestError:
            return False
        if not _names(known, self.alias):
            raise _PortTakenError
        return self.returncode is None

    def _raise_if_hopeless(self, waited_seconds: float) -> None:
        reason = self._stop_reason()
        if reason is not None:
            raise StoppedError(
                f"{self._launch.name} was ended while it loaded, before the machine suffered: "
                f"{reason}.",
                hint="Take a smaller model or --context, or close other programs.",
                context=last_lines(self.last_words),
            )
        if self.returncode is not None:
            self._tail.finish()
            if explain_death("", self._running.wait(), "\n".join(self.last_words)).kind == "port":
                raise _PortTakenError
            raise self.failure()
        if waited_seconds > self._deadline_seconds:
            raise SmokeFailedError(
                f"{self._launch.name} was not ready after {self._deadline_seconds:.0f} seconds.",
                hint="Try a smaller model: a slow disk or too little memory can be why.",
                context=last_lines(self.last_words),
            )

    def _release(self) -> None:
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1
        self._tail.finish()


class _Tail:
    """The end of what a child writes, read as it comes, so that its pipe never fills."""

    def __init__(self, stream: IO[bytes] | None = None) -> None:
        self._stream = stream
        self._lines: deque[str] = deque(maxlen=_TAIL_LINES)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, daemon=True)
        if stream is not None:
            self._thread.start()

    @property
    def lines(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._lines)

    def finish(self) -> None:
        """Wait for the end, which is near when the child is gone."""
        if self._stream is None:
            return
        self._thread.join(timeout=1.0)
        if not self._thread.is_alive():
            self._stream.close()

    def _read(self) -> None:
        """Keep the last lines; a line without an end is cut, so that memory stays bounded."""
        assert self._stream is not None  # noqa: S101 - the thread runs only with one
        while line := self._stream.readline(4096):
            text = line.decode("utf-8", "replace").strip()[:_LINE_CHARACTERS]
            if text:
                with self._lock:
                    self._lines.append(text)


class _PortTakenError(Exception):
    """Something else holds the port."""


def free_port() -> int:
    """Return a loopback port that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def last_lines(words: tuple[str, ...], count: int = 8) -> tuple[str, ...]:
    """Pick what an error shows of a server's last words, without time stamps."""
    return tuple(_LOG_PREFIX.sub("", line) for line in words[-count:])


def _names(models: object, alias: str) -> bool:
    with contextlib.suppress(KeyError, TypeError, AttributeError):
        return any(entry["id"] == alias for entry in models["data"])  # type: ignore[index]
    return False


def _spawn(
    argv: list[str], launch: Launch, memory_limit_bytes: int
) -> tuple[subprocess.Popen[bytes], int]:
    """Start a command on a tether; return the child and the end of the pipe that holds it."""
    environment: Mapping[str, str] | None = launch.environment
    if os.name != "posix":
        return _spawn_plainly(argv, environment), -1
    theirs, ours = os.pipe()
    tethered = [sys.executable, "-I", "-S", tether.__file__, str(theirs)]
    tethered += [str(memory_limit_bytes), *argv]
    try:
        child = subprocess.Popen(
            tethered,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            pass_fds=(theirs,),
            start_new_session=True,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return child, ours


def _spawn_plainly(
    argv: list[str], environment: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    """Start a command where there is no fork to tether it with (Windows)."""
    stderr: int | IO[bytes] = subprocess.PIPE
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=environment,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
