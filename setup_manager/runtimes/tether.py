"""Start a program so that it harms nobody: it ends with whoever wanted it, and goes first.

Run as a script by `server.py`, with nothing of this package imported::

    python -I -S tether.py FD LIMIT PROGRAM ARGUMENT ...

FD is the read end of a pipe whose write end only the wanting process holds. A forked watcher waits
for the pipe to close and then kills the program; the program itself takes this process over
(exec), so that its process id is the one that was started. A pipe works on every POSIX system and
does not depend on the thread that started the child, as Linux's parent-death signal does.

LIMIT is the most private memory in bytes that the program may have, 0 for any: an engine allocates
faster than a guard can look, so the kernel has to say no. Should memory run out all the same, Linux
ends this program before any other.
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


def volunteer() -> None:
    """Ask Linux to end this process first when memory runs out (proc_pid_oom_score_adj(5))."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:  # noqa: PTH123
            score.write("1000")
    except OSError:
        return


def limit_memory(size_bytes: int) -> None:
    """Limit private writable memory, which mapped model files are not (Linux 4.7, setrlimit(2))."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or size_bytes < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (size_bytes, hard))


def main(arguments: list[str]) -> None:
    """Fork the watcher, then become the program."""
    pipe, limit_bytes, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    program = os.getpid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        watch(pipe, program)
        os._exit(0)
    os.close(pipe)
    volunteer()
    if limit_bytes > 0:
        limit_memory(limit_bytes)
    try:
        os.execvp(command[0], command)  # noqa: S606 - a list, no shell
    except OSError as error:
        os.write(2, f"cannot run {command[0]}: {error.strerror}\n".encode())
        os._exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
