"""The host of this process: which system, whose home, where temporary files go.

The rules for folders that follow from it are in `library.paths`.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from setup_manager.library.paths import PathResolver, Paths, Place, resolve_paths

_HOME_VARIABLES = {"windows": "USERPROFILE"}
_USER_NAMES = ("USER", "LOGNAME", "USERNAME")


@dataclass(frozen=True, slots=True)
class Host:
    """What the system says of itself and its user.

    Attributes:
        environment: The environment variables.
        os_name: ``"linux"``, ``"macos"``, ``"windows"``, or what Python calls another system.
        home: The user's home folder, None where there is none.
        temporary: The system's folder for temporary files.
    """

    environment: Mapping[str, str]
    os_name: str
    home: Path | None
    temporary: Path

    @classmethod
    def here(cls, environment: Mapping[str, str], os_name: str | None = None) -> Self:
        """Look at the system.

        Args:
            environment: The environment variables; a home folder named there counts first.
            os_name: This system's if None.
        """
        from setup_manager.platforms import this_platform

        os_name = os_name or this_platform().os
        return cls(environment, os_name, _home(environment, os_name), _temporary())

    def paths(self, models_dir: Place | None = None) -> Paths:
        """Resolve every folder.

        Args:
            models_dir: A plain models folder that was named.

        Raises:
            UsageError: If a folder is needed below a home folder and there is none.
        """
        return resolve_paths(
            self.environment,
            os_name=self.os_name,
            home=self.home,
            temporary=self.temporary,
            models_dir=models_dir,
        )

    @property
    def private_words(self) -> tuple[str, ...]:
        """The names of the user and of the machine, which no shared document may hold."""
        names = (self.environment.get(name, "") for name in _USER_NAMES)
        return tuple(dict.fromkeys(filter(None, (*names, platform.node()))))

    @property
    def resolver(self) -> PathResolver:
        """The rules for folders, applied to this host."""
        return PathResolver(self.environment, self.os_name, self.home)


def _home(environment: Mapping[str, str], os_name: str) -> Path | None:
    if named := environment.get(_HOME_VARIABLES.get(os_name, "HOME")):
        return Path(named)
    try:
        return Path.home()
    except RuntimeError:
        return None


def _temporary() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except OSError:  # nowhere to write at all
        return Path(os.curdir)
