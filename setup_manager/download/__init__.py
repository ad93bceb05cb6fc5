"""Fetching files: planned once, then carried out, resumed and verified.

May import: net and the rooms below.
Invariant: a final name appears only by renaming verified bytes.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.download.adopt import adopt_file
    from setup_manager.download.checks import stamp_of, write_checks
    from setup_manager.download.chunks import Coverage, chunk_size
    from setup_manager.download.engine import check_disk, fetch, plan_files
    from setup_manager.download.events import DownloadEvent, Kind, Observer
    from setup_manager.download.file_fetch import disk_state
    from setup_manager.download.hashing import hash_whole
    from setup_manager.download.installed import FileCheck, repair, verify_file
    from setup_manager.download.options import DownloadOptions
    from setup_manager.download.places import FileJob, FilePlaces, Layout
    from setup_manager.download.plan import DownloadPlan
    from setup_manager.download.sources import Source, backoff
    from setup_manager.download.store import FileBusyError, FileClaim, remove_leftovers
    from setup_manager.download.verified import VerifiedFile

__all__ = [
    "Coverage",
    "DownloadEvent",
    "DownloadOptions",
    "DownloadPlan",
    "FileBusyError",
    "FileCheck",
    "FileClaim",
    "FileJob",
    "FilePlaces",
    "Kind",
    "Layout",
    "Observer",
    "Source",
    "VerifiedFile",
    "adopt_file",
    "backoff",
    "check_disk",
    "chunk_size",
    "disk_state",
    "fetch",
    "hash_whole",
    "plan_files",
    "remove_leftovers",
    "repair",
    "stamp_of",
    "verify_file",
    "write_checks",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        adopt="adopt_file",
        checks="stamp_of write_checks",
        chunks="Coverage chunk_size",
        engine="plan_files check_disk fetch",
        events="DownloadEvent Kind Observer",
        file_fetch="disk_state",
        hashing="hash_whole",
        installed="FileCheck repair verify_file",
        options="DownloadOptions",
        places="FileJob FilePlaces Layout",
        plan="DownloadPlan",
        sources="Source backoff",
        store="FileBusyError FileClaim remove_leftovers",
        verified="VerifiedFile",
    )
