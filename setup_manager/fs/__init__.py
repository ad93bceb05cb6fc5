"""Files on this disk, written so that they last: whole or not at all, and under harmless names.

May import: errors, units.
Invariant: a reader sees the old content or the new, never half of it.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.fs.atomic import explain_unwritable, write_atomically, write_json
    from setup_manager.fs.disk import Disk, OsDisk, lower_priority
    from setup_manager.fs.lock import FileLock, LockedError
    from setup_manager.fs.names import wrong_path

__all__ = [
    "Disk",
    "FileLock",
    "LockedError",
    "OsDisk",
    "explain_unwritable",
    "lower_priority",
    "write_atomically",
    "write_json",
    "wrong_path",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        atomic="explain_unwritable write_atomically write_json",
        disk="Disk OsDisk lower_priority",
        lock="FileLock LockedError",
        names="wrong_path",
    )
