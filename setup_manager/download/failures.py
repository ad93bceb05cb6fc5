"""From what went wrong with a file to what the user reads; net has the table of its faults."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from setup_manager.catalog import Artifact
from setup_manager.errors import (
    BusyError,
    DownloadFailedError,
    InsufficientDiskError,
    InterruptedByUserError,
    SetupError,
    VerificationFailedError,
)
from setup_manager.units import format_size

_AGAIN = "Run the same command again: it continues from here."


def wrong_content(artifact: Artifact, actual: str, detail: Sequence[str]) -> SetupError:
    """Make the error for content whose digest is wrong, twice."""
    return VerificationFailedError(
        f"{artifact.path} has the wrong content; nothing was installed.",
        context=(f"expected SHA-256 {artifact.sha256}", f"actual SHA-256   {actual}", *detail),
        hint="Try another --mirror; if the result is the same, the pinned digest may be outdated: "
        "try --latest.",
    )


def busy(artifact: Artifact, partial: Path) -> BusyError:
    """Make the error for a file that another process works on."""
    return BusyError(
        f"Another process is downloading {artifact.path}.",
        context=(str(partial),),
        hint="Wait until it finishes, or leave out --no-wait to let this command wait.",
    )


def interrupted(artifact: Artifact, kept_bytes: int) -> InterruptedByUserError:
    """Make the error for work on a file that was stopped."""
    kept, total = format_size(kept_bytes), format_size(artifact.size_bytes)
    return InterruptedByUserError(
        f"Interrupted: kept {kept} of {total} of {artifact.path}.",
        hint="Run the same command again: it continues from here.",
    )


def disk_failure(error: OSError, path: Path, kept_bytes: int, total_bytes: int) -> SetupError:
    """Make the error for a call on the disk that failed."""
    kept = f"kept {format_size(kept_bytes)} of {format_size(total_bytes)}"
    context = (f"{path}: {error.strerror or error}", kept)
    number = error.errno
    if number == errno.ENOSPC:
        message = "The disk is full."
        hint = f"Free some space (`gemma-setup clean` deletes old partial downloads). {_AGAIN}"
        return InsufficientDiskError(message, context=context, hint=hint)
    if number == errno.EDQUOT:
        message = "Your disk quota is used up."
        hint = f"Free some space or choose another folder with --models-dir. {_AGAIN}"
        return InsufficientDiskError(message, code="disk-quota", context=context, hint=hint)
    if number == errno.EFBIG:
        return InsufficientDiskError(
            "This file system cannot hold a file that large.",
            code="file-too-large",
            context=context,
            hint="Choose another folder with --models-dir (FAT32 is limited to 4 GiB).",
        )
    if number == errno.ENAMETOOLONG:
        message, hint = (
            "A file name is too long for this file system.",
            "Choose a shorter path with --models-dir.",
        )
        return DownloadFailedError(message, code="name-too-long", context=context, hint=hint)
    if number in {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR}:
        message = "The folder for models cannot be written."
        hint = "Choose another folder with --models-dir, or fix its permissions."
        return DownloadFailedError(message, code="not-writable", context=context, hint=hint)
    message = "The disk reported a read or write error."
    hint = f"Check the system log for disk errors. {_AGAIN}"
    return DownloadFailedError(message, code="disk-error", context=context, hint=hint)
