"""Fetching files: planned once, then carried out, resumed and verified.

May import: net and the rooms below.
Invariant: a final name appears only by renaming verified bytes.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.download.engine import Downloader
    from setup_manager.download.events import DownloadEvent, Kind
    from setup_manager.download.installed import FileCheck
    from setup_manager.download.job import (
        DownloadOptions,
        FileJob,
        FilePlaces,
        VerifiedFile,
    )
    from setup_manager.download.plan import DownloadPlan
    from setup_manager.download.reader import NoRangesError, RangeReader

__all__ = [
    "DownloadEvent",
    "DownloadOptions",
    "DownloadPlan",
    "Downloader",
    "FileCheck",
    "FileJob",
    "FilePlaces",
    "Kind",
    "NoRangesError",
    "RangeReader",
    "VerifiedFile",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        engine="Downloader",
        events="DownloadEvent Kind",
        installed="FileCheck",
        job="DownloadOptions FileJob FilePlaces VerifiedFile",
        plan="DownloadPlan",
        reader="NoRangesError RangeReader",
    )
