"""The errors that reach a person, one class for each documented exit code.

Everything below the shell raises these and nothing else on purpose. An error says what is wrong
(`message`), which facts show it (`context`) and what to type or do next (`hint`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
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
    """Another process is downloading this very file."""

    default_code = "busy"
    exit_code = 18


class InterruptedByUserError(SetupError):
    """Ctrl-C or SIGTERM; what came is kept."""

    default_code = "interrupted"
    exit_code = 130


def interrupted() -> InterruptedByUserError:
    """Make the error for a request to stop that came from outside."""
    return InterruptedByUserError(
        "Stopped (Ctrl-C).",
        hint="Run the same command again to continue: nothing that was downloaded is lost.",
    )


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """What one stable code stands for.

    Attributes:
        error: The class that carries it; decides the exit code.
        meaning: What is wrong.
        remedy: What to do, in general; an error's own hint is more exact.
    """

    error: type[SetupError]
    meaning: str
    remedy: str


def _rows(error: type[SetupError], **rows: tuple[str, str]) -> dict[str, ErrorCode]:
    return {
        name.replace("_", "-"): ErrorCode(error, meaning, remedy)
        for name, (meaning, remedy) in rows.items()
    }


_KEPT = "The same command continues from there."
CODES: Mapping[str, ErrorCode] = MappingProxyType(
    _rows(
        SetupError,
        failed=("Something else failed.", "The hint says what to do."),
        internal=("A bug in gemma-setup.", "Set GEMMA_SETUP_DEBUG=1 to see where, and report it."),
        declined=("You answered no.", "Add --dry-run to see the plan only."),
        check_failed=("`check` found a blocking problem.", "Each line marked ✗ says what to do."),
        output_unwritable=(
            "The output file cannot be written.",
            "Choose a writable file with --output.",
        ),
        state_unwritable=("The state folder cannot be written.", "Set GEMMA_SETUP_HOME."),
        folder_not_writable=("A folder cannot be changed.", "Change its permissions."),
        no_temporary_folder=("No temporary folder can be written.", "Set TMPDIR."),
        report_extra_missing=(
            "The packages for reports are missing.",
            "Install the extra `report`, as the hint says.",
        ),
    )
    | _rows(
        UsageError,
        usage=("The command line is wrong.", "`--help` after the command shows its options."),
        needs_yes=("Confirmation is needed and nobody can be asked.", "Add --yes."),
        bad_model=("That is not a MODEL.", "`gemma-setup list` shows the catalogue."),
        unknown_variant=("There is no such variant.", "`gemma-setup list` shows them."),
        unknown_quantization=("There is no such quantization.", "Choose one from the list."),
        unknown_architecture=("It is not a Gemma 4 model.", "`gemma-setup download` works anyway."),
        ambiguous_model=("The name fits several files.", "Name the file."),
        not_installed=(
            "The model is not installed.",
            "`gemma-setup list --installed` shows what is installed.",
        ),
        not_registered=("No runtime knows the model.", "Run `gemma-setup register` first."),
        no_gguf=("The repository has no GGUF file.", "Choose one whose name ends in GGUF."),
        no_projector=("The repository has no projector.", "Leave out --with-projector."),
        no_drafter=("The repository has no drafter.", "Leave out --with-drafter."),
        drafter_not_comparable=(
            "This runtime has no measurement without the drafter.",
            "Leave out --with-drafter, or use another --runtime.",
        ),
        bad_catalog=("The catalogue file is wrong.", "Correct it, or leave out --catalog."),
        bad_configuration=("The configuration file is wrong.", "Correct the line in the message."),
        bad_machine=("The machine file is wrong.", "Write it with `gemma-setup check --json`."),
        bad_endpoint=("Not a hub address.", "Write it as https://host."),
        bad_argument=("An argument of the API is wrong.", "The message names it."),
        no_home=("There is no home folder.", "Set HOME or GEMMA_SETUP_HOME."),
    )
    | _rows(
        InsufficientDiskError,
        insufficient_disk=("Not enough disk space.", f"Free some, or use --models-dir. {_KEPT}"),
        disk_quota=("The disk quota is used up.", f"Free some, or use --models-dir. {_KEPT}"),
        file_too_large=("The file is too large for the file system.", "Use --models-dir."),
    )
    | _rows(
        InsufficientMemoryError,
        insufficient_memory=(
            "Nothing fits, or this MODEL does not.",
            "`gemma-setup recommend` shows what fits.",
        ),
    )
    | _rows(
        DownloadFailedError,
        download_failed=("The transfer failed.", _KEPT),
        no_route=("The hub cannot be reached.", "Check the network, the proxy and HF_ENDPOINT."),
        offline=("Offline mode forbids it.", "Unset HF_HUB_OFFLINE."),
        certificate=("A certificate is not trusted.", "Check the CA bundle and the clock."),
        proxy=("The proxy refuses or does not answer.", "Check the variable in the message."),
        login_page=("The server sent a web page.", "Log in to the network in a browser."),
        not_a_hub=("The server is not a hub.", "Check HF_ENDPOINT and --mirror."),
        hub_unavailable=("The server has a problem.", "Wait a few minutes, or use --mirror."),
        rate_limited=("Too many requests.", "Wait as long as the hint says; use a token."),
        insecure_redirect=("A redirect leaves https.", "Use another --mirror."),
        file_missing=("The server has no such file.", "Check its name, or use --latest."),
        disk_error=("The disk reported an error.", "Check the system log."),
        not_writable=("The models folder cannot be written.", "Use --models-dir."),
        name_too_long=("A file name is too long.", "Use a shorter --models-dir."),
    )
    | _rows(
        VerificationFailedError,
        verification_failed=("The content is wrong.", "Use another --mirror or --latest."),
        not_a_gguf=("Not a GGUF file.", "Choose another file."),
        no_digest=("The hub has no SHA-256.", "Choose another file."),
        missing_shard=("A part of a split model is missing.", "Choose another quantization."),
        unsafe_name=("A name from the hub is not safe as a path.", "Choose another repository."),
    )
    | _rows(
        AccessDeniedError,
        access_denied=("Access was denied.", "Check the token and the spelling."),
        gated=("The terms were not accepted.", "Accept them on the page in the message."),
        forbidden=("The hub refuses to send it.", "Open the page in a browser."),
        bad_token=("The token is not valid.", "Set HF_TOKEN to a new one, or unset it."),
        no_repository=("There is no such repository, or it is private.", "Check the spelling."),
        no_revision=("There is no such revision.", "Leave out @REVISION."),
        no_file=("The repository has no such file.", "Choose one from the list."),
    )
    | _rows(
        RuntimeMissingError,
        runtime_missing=(
            "No runtime was found, none is running, or it is too old.",
            "Run `gemma-setup runtime install llama.cpp`, or update the installed one.",
        ),
    )
    | _rows(
        RegistrationFailedError,
        registration_failed=("The runtime did not accept the model.", "Use --name if it is taken."),
    )
    | _rows(
        SmokeFailedError, smoke_failed=("It runs, but gives wrong answers.", "The reasons say why.")
    )
    | _rows(BusyError, busy=("Another process is downloading this file.", "Let it finish."))
    | _rows(InterruptedByUserError, interrupted=("Ctrl-C or SIGTERM.", _KEPT))
)
"""Every error code that the program can give; documentation is made from it."""
