"""The errors that reach a person, one class for each documented exit code.

Everything below the shell raises these and nothing else on purpose. An error says what is wrong
(`message`), which facts show it (`context`) and what to type or do next (`hint`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class SetupError(Exception):
    """A failure with its facts and the way on.

    Attributes:
        code: Stable name for programs, in kebab-case, e.g. ``"insufficient-disk"``.
        exit_code: What the process exits with.
        message: One sentence: what is wrong.
        context: The facts, one a line.
        hint: What to do next; names a command or an action.
        partial: What was done before it, where a verb stopped on its way.
    """

    default_code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, hint: str, context: Sequence[str] = (), code: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.context = tuple(context)
        self.code = code or self.default_code
        self.partial: object = None


class UsageError(SetupError):
    """The command line, or a file named on it, is wrong."""

    default_code = "usage"
    exit_code = 2


class InsufficientDiskError(SetupError):
    """A file system has too little room for what is planned, or ran full."""

    default_code = "insufficient-disk"
    exit_code = 10


class InsufficientMemoryError(SetupError):
    """No model fits, or the one asked for does not."""

    default_code = "insufficient-memory"
    exit_code = 11


class DownloadFailedError(SetupError):
    """The transfer failed; what came is kept and the same command goes on from there."""

    default_code = "download-failed"
    exit_code = 12


class VerificationFailedError(SetupError):
    """The content is wrong; nothing was installed."""

    default_code = "verification-failed"
    exit_code = 13


class AccessDeniedError(SetupError):
    """A token, a licence or a repository that cannot be had."""

    default_code = "access-denied"
    exit_code = 14


class RuntimeMissingError(SetupError):
    """No runtime was found, it does not run, or it is too old."""

    default_code = "runtime-missing"
    exit_code = 15


class RegistrationFailedError(SetupError):
    """A runtime did not take the model."""

    default_code = "registration-failed"
    exit_code = 16


class SmokeFailedError(SetupError):
    """The model runs, but not right."""

    default_code = "smoke-failed"
    exit_code = 17


class BusyError(SetupError):
    """Another process is at this very file."""

    default_code = "busy"
    exit_code = 18


class InterruptedByUserError(SetupError):
    """Ctrl-C or SIGTERM; what came is kept."""

    default_code = "interrupted"
    exit_code = 130


def interrupted() -> InterruptedByUserError:
    """Make the error for a request to stop that came from outside."""
    return InterruptedByUserError(
        "Stopped on request.",
        hint="Run the same command again to go on: nothing that arrived is lost.",
    )
