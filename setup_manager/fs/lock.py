"""The one lock between processes: a file beside what it guards, held by one process at a time."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock

_POLL_SECONDS = 0.1


class LockedError(Exception):
    """Another process holds the lock."""


class FileLock:
    """A lock, as a context manager.

    On file systems without locks everyone gets it at once: what it guards must also be safe
    without, as a partial is by its journal's owner and its digest.

    Args:
        path: The lock file; its folder is made if need be.
        wait: Wait for another holder instead of raising `LockedError`.
        on_wait: Called once when waiting begins.
        cancelled: Asked while waiting; True ends it with `LockedError`.
    """

    def __init__(
        self,
        path: Path,
        *,
        wait: bool = True,
        on_wait: Callable[[], None] = lambda: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._path = path
        self._lock = filelock.FileLock(str(path), thread_local=False)
        self._wait = wait
        self._on_wait = on_wait
        self._cancelled = cancelled
        self._held = False

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        told = False
        while not self._try():
            if not self._wait or self._cancelled():
                raise LockedError
            if not told:
                self._on_wait()
                told = True
            time.sleep(_POLL_SECONDS)
        return self

    def _try(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            return False
        except NotImplementedError:
            return True  # no locks here
        except OSError as error:
            if error.errno in {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}:
                return True
            raise
        self._held = True
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._held:
            self._held = False
            self._lock.release()
