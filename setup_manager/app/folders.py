"""Files on disk: what they take, and deleting them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from setup_manager.errors import SetupError
from setup_manager.units import format_size


def delete_files(paths: Sequence[Path]) -> int:
    """Delete files; one that is gone already is no error.

    Returns:
        Bytes that became free.

    Raises:
        SetupError: If one cannot be deleted.
    """
    freed = 0
    for path in paths:
        size = allocated_bytes(path)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise SetupError(
                f"{path} cannot be deleted.",
                code="folder-not-writable",
                context=[error.strerror or str(error), format_size(size)],
                hint="Check who owns the folder, and run the same command again.",
            ) from error
        freed += size
    return freed


def allocated_bytes(path: Path) -> int:
    """Bytes that a file takes on disk; a sparse one takes less than its length."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    blocks = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else blocks * 512
