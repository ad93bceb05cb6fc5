"""The one wrapper around every command: errors, exit codes, JSON, Ctrl-C.

Click's standalone mode would exit 1 on Ctrl-C and print usage errors as text under ``--json``;
everything that leaves the process goes through here instead.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from setup_manager.cli.group import SUMMARIES, canonical, cli
from setup_manager.cli.invocation import Invocation
from setup_manager.errors import SetupError, UsageError, interrupted

if TYPE_CHECKING:
    from setup_manager.cli.outcome import Outcome

_BROKEN_PIPE_EXIT = 1
_UNWRITTEN_EXIT = 1
_INTERRUPTED_EXIT = 130
_COMPLETE_VARIABLE = "_GEMMA_SETUP_COMPLETE"
"""Set by the completion scripts; the name is the one that Click looks for."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; the process's own if None.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _make_streams_safe()
    invocation = Invocation()
    if os.environ.get(_COMPLETE_VARIABLE):
        from setup_manager.cli.completion import register

        register()
    try:
        result = _run(arguments, invocation)
        if result is None:
            return 0
        return _write(arguments, invocation, result)
    except (BrokenPipeError, KeyboardInterrupt) as error:
        _silence_streams()
        interrupted_too = isinstance(error, KeyboardInterrupt)
        return _INTERRUPTED_EXIT if interrupted_too else _BROKEN_PIPE_EXIT


def _run(arguments: list[str], invocation: Invocation) -> Outcome | SetupError | None:
    """Run a command; whatever happens becomes a result. None: click itself printed help."""
    try:
        outcome: Outcome | None = cli.main(
            args=arguments, prog_name="gemma-setup", standalone_mode=False, obj=invocation
        )
    except SetupError as error:
        return error
    except click.ClickException as error:
        return _usage_error(error, arguments)
    except (KeyboardInterrupt, click.Abort):
        return interrupted()
    except BrokenPipeError:
        raise
    except Exception as error:
        if os.environ.get("GEMMA_SETUP_DEBUG"):
            raise
        # A terminal that vanished interrupts, and fails whatever writes to it in the same moment.
        return interrupted() if invocation.shell.cancel.is_set() else _unexpected(error)
    # Click returns an exit code, not an outcome, after --help and --version.
    return None if isinstance(outcome, int) else outcome


def _write(arguments: list[str], invocation: Invocation, result: Outcome | SetupError) -> int:
    from setup_manager.cli.outcome import Outcome, write_outcome

    shell = invocation.shell
    outcome = Outcome.of_error(result) if isinstance(result, SetupError) else result
    try:
        shell.settle()
        write_outcome(
            shell.command or _command_of(arguments),
            outcome,
            shell.terminal,
            as_json="--json" in _before_double_dash(arguments),
            quiet=shell.options.quiet or shell.options.progress == "json",
            secrets=_secrets(),
        )
    except BrokenPipeError:
        raise
    except OSError as error:
        # The terminal has vanished (EIO), or the disk that stdout goes to is full.
        _say_unwritten(error)
        _silence_streams()
        return outcome.exit_code or _UNWRITTEN_EXIT
    return outcome.exit_code


def _say_unwritten(error: OSError) -> None:
    """Tell on stderr, if that is still there, that the result could not be written."""
    with suppress(OSError):
        sys.stderr.write(
            f"error: The result cannot be written: {error.strerror or error}\n"
            "next: Run the same command again with its output redirected elsewhere.\n"
        )
        sys.stderr.flush()


def _before_double_dash(arguments: list[str]) -> list[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _command_of(arguments: list[str]) -> str:
    names = map(canonical, arguments)
    return next((name for name in names if name in SUMMARIES), "")


def _usage_error(error: click.ClickException, arguments: list[str]) -> UsageError:
    command = _command_of(arguments)
    return UsageError(
        error.format_message(),
        hint=f"See `gemma-setup {command + ' ' if command else ''}--help`.",
    )


def _unexpected(error: Exception) -> SetupError:
    return SetupError(
        "Internal error: this is a bug in gemma-setup.",
        code="internal",
        context=[f"{type(error).__name__}: {error}"],
        hint="Run the same command again; what was downloaded is kept. If it happens again, set "
        "GEMMA_SETUP_DEBUG=1 to see where, and report it.",
    )


def _secrets() -> tuple[str, ...]:
    return tuple(filter(None, (os.environ.get("HF_TOKEN"),)))


def _make_streams_safe() -> None:
    """Let characters that the output encoding lacks come out as `?`, never as a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _silence_streams() -> None:
    """Keep the interpreter from complaining about a closed pipe when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nowhere, stream.fileno())
        except (OSError, ValueError, AttributeError):
            continue


def run() -> None:
    """Be the program `gemma-setup`."""
    code = main()
    if code == _INTERRUPTED_EXIT:
        # Python ends by SIGINT instead of this code if the Ctrl-C fell into an `exec`, such as that
        # of a dataclass being made, although the interrupt was caught (its `exit_sigint`). All that
        # had to end has ended, and everything is written.
        os._exit(code)
    sys.exit(code)
