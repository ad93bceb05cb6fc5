"""The one wrapper around every command: errors, exit codes, JSON, Ctrl-C.

Click's standalone mode would exit 1 on Ctrl-C and print usage errors as text under ``--json``;
everything that leaves the process goes through here instead.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from setup_manager.cli.group import SUMMARIES, cli
from setup_manager.cli.interrupt import Interruption
from setup_manager.cli.result import Outcome, write_outcome
from setup_manager.cli.shell import Shell
from setup_manager.cli.terminal import describe_terminal
from setup_manager.errors import InterruptedByUserError, SetupError, UsageError

_BROKEN_PIPE_EXIT = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; the process's own if None.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _make_streams_safe()
    interruption = Interruption()
    interruption.listen()
    terminal = describe_terminal(os.environ)
    shell = Shell(os.environ, terminal, interruption.requested)
    as_json = "--json" in _before_double_dash(arguments)
    try:
        outcome = _run(arguments, shell)
        if outcome is None:
            return 0
        write_outcome(
            shell.command or _command_of(arguments),
            outcome,
            shell.terminal,
            as_json=as_json,
            secrets=_secrets(),
        )
    except (BrokenPipeError, KeyboardInterrupt) as error:
        _silence_streams()
        return 130 if isinstance(error, KeyboardInterrupt) else _BROKEN_PIPE_EXIT
    return outcome.exit_code


def _run(arguments: list[str], shell: Shell) -> Outcome | None:
    """Run a command; whatever happens becomes an outcome. None: click itself printed help."""
    try:
        returned = cli.main(
            args=arguments,
            prog_name="gemma-setup",
            standalone_mode=False,
            obj=shell,
            default_map=_default_map(shell),
        )
        return returned if isinstance(returned, Outcome) else None
    except SetupError as error:
        return Outcome(error=error)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=shell.terminal.stderr)
        return Outcome(error=_no_command()) if "--json" in arguments else None
    except click.ClickException as error:
        return Outcome(error=_usage_error(error, arguments))
    except (KeyboardInterrupt, click.Abort):
        return Outcome(error=_interrupted())
    except BrokenPipeError:
        raise
    except Exception as error:
        if os.environ.get("GEMMA_SETUP_DEBUG"):
            raise
        return Outcome(error=_unexpected(error))


def _default_map(shell: Shell) -> dict[str, dict[str, object]]:
    from setup_manager.cli.config import read_defaults

    defaults = read_defaults(shell)
    return dict.fromkeys(SUMMARIES, defaults) if defaults else {}


def _before_double_dash(arguments: list[str]) -> list[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _command_of(arguments: list[str]) -> str:
    return next((argument for argument in arguments if argument in SUMMARIES), "")


def _usage_error(error: click.ClickException, arguments: list[str]) -> UsageError:
    command = _command_of(arguments)
    return UsageError(
        error.format_message(),
        hint=f"See `gemma-setup {command + ' ' if command else ''}--help`.",
    )


def _no_command() -> UsageError:
    return UsageError("No command was given.", hint="See `gemma-setup --help`.")


def _interrupted() -> InterruptedByUserError:
    return InterruptedByUserError(
        "Stopped on request.",
        hint="Nothing that arrived is lost: run the same command again to go on.",
    )


def _unexpected(error: Exception) -> SetupError:
    return SetupError(
        "Something went wrong inside gemma-setup that should not.",
        code="internal",
        context=[f"{type(error).__name__}: {error}"],
        hint="Run the same command again; what was downloaded is kept. If it stays, set "
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
    sys.exit(main())
