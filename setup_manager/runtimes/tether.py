"""Start a program so that it ends when the process that wanted it is gone, even by kill -9.

Run as a script by `server.py`, with nothing of this package imported::

    python -I -S tether.py FD PROGRAM ARGUMENT ...

FD is the read end of a pipe whose write end only the wanting process holds. A forked watcher waits
for the pipe to close and then kills the program; the program itself takes this process over
(exec), so that its process id is the one that was started. A pipe works on every POSIX system and
does not depend on the thread that started the child, as Linux's parent-death signal does.
"""

from __future__ import annotations

import os
import signal
import sys


def watch(pipe: int, program: int) -> None:
    """Wait until the pipe closes; then kill the program if it is still this process's parent."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    while os.read(pipe, 1):
        pass
    if os.getppid() == program:
        os.kill(program, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Fork the watcher, then become the program."""
    pipe, program = int(arguments[0]), os.getpid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        watch(pipe, program)
        os._exit(0)
    os.close(pipe)
    try:
        os.execvp(arguments[1], arguments[1:])  # noqa: S606 - a list, no shell
    except OSError as error:
        os.write(2, f"cannot run {arguments[1]}: {error.strerror}\n".encode())
        os._exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
