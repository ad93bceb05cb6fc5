"""What is on this disk: where it lies, what was installed, what was measured.

May import: download and the rooms below.
Invariant: what is not ours is known as such and never removed.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.library.history import (
        MOST_INCIDENTS,
        DownloadRun,
        DownloadSample,
        History,
        Incident,
        MachineSample,
        SmokeMark,
        SmokeRun,
        Thinned,
    )
    from setup_manager.library.host import Host, this_host
    from setup_manager.library.inventory import (
        InstalledFile,
        InstalledModel,
        Inventory,
        Registration,
    )
    from setup_manager.library.layout import HubCacheLayout, PlainFolderLayout
    from setup_manager.library.measurements import Measurements
    from setup_manager.library.paths import Paths, Place

__all__ = [
    "MOST_INCIDENTS",
    "DownloadRun",
    "DownloadSample",
    "History",
    "Host",
    "HubCacheLayout",
    "Incident",
    "InstalledFile",
    "InstalledModel",
    "Inventory",
    "MachineSample",
    "Measurements",
    "Paths",
    "Place",
    "PlainFolderLayout",
    "Registration",
    "SmokeMark",
    "SmokeRun",
    "Thinned",
    "this_host",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        history="DownloadRun DownloadSample History Incident MOST_INCIDENTS MachineSample SmokeMark SmokeRun Thinned",
        host="Host this_host",
        inventory="InstalledFile InstalledModel Inventory Registration",
        layout="HubCacheLayout PlainFolderLayout",
        measurements="Measurements",
        paths="Paths Place",
    )
