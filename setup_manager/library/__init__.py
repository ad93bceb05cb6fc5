"""What is on this disk: where it lies, what was installed, what was measured.

May import: download and the rooms below.
Invariant: what is not ours is known as such and never removed.
"""

from typing import TYPE_CHECKING

from setup_manager._doors import lazy

if TYPE_CHECKING:
    from setup_manager.library.history import History
    from setup_manager.library.host import Host
    from setup_manager.library.inventory import (
        InstalledFile,
        InstalledModel,
        Inventory,
        Registration,
    )
    from setup_manager.library.layout import ModelFolder
    from setup_manager.library.measurements import Measurements
    from setup_manager.library.paths import Paths, Place
    from setup_manager.library.recording import Recording

__all__ = [
    "History",
    "Host",
    "InstalledFile",
    "InstalledModel",
    "Inventory",
    "Measurements",
    "ModelFolder",
    "Paths",
    "Place",
    "Recording",
    "Registration",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        history="History",
        host="Host",
        inventory="InstalledFile InstalledModel Inventory Registration",
        layout="ModelFolder",
        measurements="Measurements",
        paths="Paths Place",
        recording="Recording",
    )
