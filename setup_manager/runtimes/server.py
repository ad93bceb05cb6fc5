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
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from setup_manager.errors import SetupError, SmokeFailedError
from setup_manager.net import BadAnswerError, LocalClient, RequestError
from setup_manager.runtimes.base import Opening, RuntimeEvent, Served
from setup_manager.runtimes.chat import Completion, Question, ask_server
from setup_manager.runtimes.failures import Cause, Failure, error_for, explain_end
from setup_manager.units import format_memory

HOST = "127.0.0.1"
# Where commands that are shown to be typed put a server.
USUAL_PORT = 8080
_PORT_ATTEMPTS = 5
_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 2.0
_TAIL_LINES = 60
_LINE_CHARACTERS = 500
_GRACE_SECONDS = 30.0
_STACK_BYTES = 8 * 1024**2
_TETHER = str(Path(__file__).with_name("tether.py"))
_LOG_PREFIX = re.compile(r"^(?:\d+\.)+\d+ [A-Z] ")


@dataclass(frozen=True, slots=True)
class Launch:
    """A command that becomes a server speaking llama-server's HTTP interface.

    Attributes:
        name: Runtime, for messages.
        argv: Program and arguments; host, port and alias are appended.
        update: One sentence: what brings a newer one.
        environment: The child's whole environment, None to inherit this process's.
    """

    name: str
    argv: tuple[str, ...]
    update: str = ""
    environment: Mapping[str, str] | None = field(default=None, hash=False)


class ServerProcess(Served):
    """A model in a server that was started for it.

    Attributes:
        client: HTTP to it.
    """

    def __init__(
        self,
        launch: Launch,
        opening: Opening | None = None,
        *,
        alias_flag: bool = True,
        grace_seconds: float = 5.0,
    ) -> None:
        """Prepare; nothing runs before the context is entered.

        Args:
            launch: What to start.
            opening: Limits, and who is told.
            alias_flag: Whether the child is told the alias; a router has its own names, and the
                alias is one of them.
            grace_seconds: How long the child may take to end before it is killed.
        """
        self._launch = launch
        self._opening = opening or Opening()
        self._grace_seconds = grace_seconds
        self._alias_flag = alias_flag
        self._child: subprocess.Popen[bytes] | None = None
        self._leash = -1
        self._ending = threading.Lock()
        self._tail = _Tail()
        self.model = self._opening.alias or f"gemma-setup-{secrets.token_hex(8)}"
        self.load_seconds = 0.0
        self.client: LocalClient

    def __enter__(self) -> Self:
        try:
            self._start_on_some_port()
        except BaseException:
            self.end()
            raise
        return self

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

    def wait(self) -> None:
        """Wait until the child ends by itself; raises its failure."""
        if self._running.wait() != 0:
            raise self._failure()

    def ask(self, question: Question) -> Completion:
        """Ask; tell a server that died from one that hangs and one that talks rubbish."""
        limit = question.budget_seconds + _GRACE_SECONDS
        try:
            return ask_server(self.client, self.model, question, timeout_seconds=limit)
        except BadAnswerError as error:
            raise SmokeFailedError(
                "The server answered, but not with a completion.",
                context=(str(error), *last_lines(self.last_words)),
                hint="Update the runtime, then run `gemma-setup smoke` again.",
            ) from error
        except RequestError as error:
            if self._ends_now():
                raise self._failure() from error
            raise SmokeFailedError(
                "The server stopped answering.",
                context=(str(error), *last_lines(self.last_words)),
                hint="Run `gemma-setup smoke` again; if it hangs again, update the runtime.",
            ) from error

    def claim(self) -> None:
        """Return nothing: the process itself is measured."""

    def _ends_now(self) -> bool:
        """Whether the child ended, or is just ending."""
        try:
            self._running.wait(1.0)
        except subprocess.TimeoutExpired:
            return False
        return True

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

    def _why(self) -> Failure:
        """Say why the child ended by itself."""
        self._tail.finish()
        words = "\n".join(self.last_words)
        return explain_end(self._launch.name, self._launch.update, self._running.wait(), words)

    def _failure(self) -> SetupError:
        """Return the error for a child that ended by itself."""
        why, facts = self._why(), last_lines(self.last_words)
        if why.cause is Cause.MEMORY and self._opening.memory_limit_bytes > 0:
            allowed = format_memory(self._opening.memory_limit_bytes)
            facts = (f"It is limited to {allowed} to keep the machine responsive.", *facts)
        return error_for(why, facts)

    @property
    def _kernel_limit_bytes(self) -> int:
        """The limit as the kernel counts: with the stacks of all threads, though never filled."""
        if self._opening.memory_limit_bytes <= 0:
            return 0
        threads = 2 * (os.cpu_count() or 1)  # computing, and serving HTTP
        return self._opening.memory_limit_bytes + threads * _STACK_BYTES

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise RuntimeError("the server was not started")
        return self._child

    def _start_on_some_port(self) -> None:
        fixed = self._opening.port
        for attempt in range(_PORT_ATTEMPTS):
            port = fixed or free_port()
            self._start(port)
            try:
                self._wait_until_ready()
            except _PortTakenError:
                self.end()
                if fixed or attempt == _PORT_ATTEMPTS - 1:
                    raise SmokeFailedError(
                        f"Port {port} on {HOST} is taken by another program.",
                        hint="Choose another one with --port, or end that program.",
                    ) from None
            else:
                return

    def _start(self, port: int) -> None:
        arguments = ["--host", HOST, "--port", str(port)]
        if self._alias_flag:
            arguments += ["--alias", self.model]
        self.client = LocalClient(f"http://{HOST}:{port}", timeout_seconds=_ANSWER_SECONDS)
        self._child, self._leash = _spawn(
            [*self._launch.argv, *arguments], self._launch, self._kernel_limit_bytes
        )
        self._tail = _Tail(self._child.stderr)
        self._opening.on_start(self._child.pid, self.kill)

    def _wait_until_ready(self) -> None:
        started = time.monotonic()
        while not self._is_ready():
            waited = time.monotonic() - started
            self._raise_if_hopeless(waited)
            words = "".join(last_lines(self.last_words, 1))
            self._opening.observer(RuntimeEvent("load", waited, words))
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
        if not _names(known, self.model):
            raise _PortTakenError
        return self.returncode is None

    def _raise_if_hopeless(self, waited_seconds: float) -> None:
        self._opening.check()
        if self.returncode is not None:
            if self._why().cause is Cause.PORT:
                raise _PortTakenError
            raise self._failure()
        deadline_seconds = self._opening.deadline_seconds
        if waited_seconds > deadline_seconds:
            raise SmokeFailedError(
                f"{self._launch.name} was not ready after {deadline_seconds:.0f} seconds.",
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
    tethered = [sys.executable, "-I", "-S", _TETHER, str(theirs)]
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
