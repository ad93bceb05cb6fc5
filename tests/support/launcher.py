"""Starts the program as a fork of a process that has its imports behind it.

A command line of gemma-setup spends most of a short run on imports, and the tests start it some
hundred times. The forked program is a process of its own all the same: its own environment,
working folder, streams, signals and exit code. What the interpreter reads at its start (PYTHON*,
the locale) cannot be changed for a fork: a launcher serves the runs that agree with it on these,
and others have to be started anew.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TextIO

SOURCES = Path(__file__).parents[2]
PIDS: set[int] = set()
"""The launchers that this process has started."""
_OUTSIDE = ("requests", "psutil", "tqdm", "httpx2", "httpx", "yaml", "fsspec", "jinja2")
_READ_AT_START = ("PYTHON", "LC_", "LANG")


class Launcher:
    """Starts runs that agree on what is read at the start of an interpreter.

    Args:
        environment: What the launching process itself runs in; it is started at the first run and
            ends with this process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def can_fork(self, environment: Mapping[str, str]) -> bool:
        """Whether a run with this environment may be a fork of the launching process."""
        wanted, given = _start_settings(environment), _start_settings(self._environment)
        return hasattr(os, "fork") and wanted == given

    def run(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        """Run a module as `python -m` does, without input, and return what it left.

        Raises:
            subprocess.TimeoutExpired: It did not end in time, and was killed.
        """
        with ExitStack() as stack:
            pipes = [os.pipe() for _ in range(3)]
            readers = [stack.enter_context(open(reader, "rb", 0)) for reader, _ in pipes]
            writers = [writer for _, writer in pipes]
            order = {"module": module, "argv": list(arguments), "env": dict(env), "cwd": str(cwd)}
            try:
                socket.send_fds(self._control, [json.dumps(order).encode()], writers)
            finally:
                for writer in writers:
                    os.close(writer)
            chunks: list[list[bytes]] = [[], [], []]
            deadline = time.monotonic() + timeout
            with selectors.DefaultSelector() as waiting:
                for reader, into in zip(readers, chunks, strict=True):
                    waiting.register(reader, selectors.EVENT_READ, into)
                while waiting.get_map():
                    ready = waiting.select(max(0.0, deadline - time.monotonic()))
                    if not ready:
                        os.kill(int(chunks[2][0].split()[0]), signal.SIGKILL)
                        raise subprocess.TimeoutExpired([module, *arguments], timeout)
                    for key, _ in ready:
                        piece = os.read(key.fd, 65536)
                        key.data.append(piece)
                        if not piece:
                            waiting.unregister(key.fileobj)
        out, err, status = (b"".join(parts).decode() for parts in chunks)
        _, code = status.split()
        return subprocess.CompletedProcess([module, *arguments], int(code), out, err)

    @cached_property
    def _control(self) -> socket.socket:
        """The end to order at."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                env=self._environment,
                cwd=SOURCES,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

        PIDS.add(process.pid)

        def end() -> None:
            ours.close()
            process.wait(timeout=10)

        atexit.register(end)
        return ours


@cache
def launcher_here() -> Launcher:
    """The launcher for runs in this process's own environment."""
    return Launcher({**os.environ, "PYTHONPATH": str(SOURCES)})


def _start_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environment.items() if k.startswith(_READ_AT_START)}


# In the launcher


def _orders(control: socket.socket) -> Iterator[tuple[dict[str, Any], list[int]]]:
    while True:
        text, writers, _, _ = socket.recv_fds(control, 1 << 20, 3)
        if not text:
            return
        yield json.loads(text), writers


def _import_everything() -> None:
    """Import what the program may need, but for what reads the environment at its import."""
    import setup_manager

    modules = [
        info.name for info in pkgutil.walk_packages(setup_manager.__path__, "setup_manager.")
    ]
    for name in [*_OUTSIDE, *modules]:
        with suppress(ImportError):
            if not name.endswith("__main__"):
                importlib.import_module(name)
    gc.freeze()


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Start what is ordered, one after the other; return the order in the forked program alone."""
    for order, (out, err, status) in _orders(control):
        program = os.fork()
        if program == 0:
            control.close()
            os.close(status)
            for writer, stream in ((out, 1), (err, 2)):
                os.dup2(writer, stream)
                os.close(writer)
            return order
        os.close(out)
        os.close(err)
        os.write(status, f"{program} ".encode())
        _, ended = os.waitpid(program, 0)
        os.write(status, str(os.waitstatus_to_exitcode(ended)).encode())
        os.close(status)
    return None


def _stream(number: int, like: TextIO, buffering: int) -> TextIO:
    """Open a stream as the interpreter does at its start; the old one knows the old file."""
    return open(number, "w", buffering, like.encoding, like.errors, closefd=False)


def main() -> None:
    """Serve until the other end closes; the forked program leaves through here."""
    _import_everything()
    order = _serve(socket.socket(fileno=int(sys.argv[1])))
    if order is None:
        return
    sys.stdout = _stream(1, sys.stdout, buffering=-1)
    sys.stderr = _stream(2, sys.stderr, buffering=1)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    sys.path[0] = order["cwd"]
    sys.argv[1:] = order["argv"]
    time.tzset()
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
