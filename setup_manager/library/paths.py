"""Where everything lives, and what decided it.

Pure: the environment comes in as a mapping. The order is flag, environment variable,
configuration file, default, everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from setup_manager.errors import UsageError
from setup_manager.library.layout import HubCacheLayout, ModelFolder, PlainFolderLayout


@dataclass(frozen=True, slots=True)
class Place:
    """A folder and what decided it.

    Attributes:
        path: The folder.
        decided_by: A flag, an environment variable, ``"configuration file"`` or ``"default"``.
    """

    path: Path
    decided_by: str


@dataclass(frozen=True, slots=True)
class Paths:
    """Every folder this tool reads or writes.

    Attributes:
        hub_cache: The Hugging Face hub cache, shared with other tools.
        models: A plain folder for models, None to use the hub cache.
        config_file: Settings of this user.
        data: What must last: runtimes, presets.
        state: What is remembered: inventory, measurements, reports.
        ollama_models: Ollama's store as this user's environment has it.
        temporary: The system's folder for temporary files.
    """

    hub_cache: Place
    models: Place | None
    config_file: Place
    data: Place
    state: Place
    ollama_models: Place
    temporary: Place

    @property
    def download_root(self) -> Path:
        """The folder that downloads go to."""
        return self.models.path if self.models else self.hub_cache.path

    @property
    def model_folder(self) -> ModelFolder:
        """The folder that downloads go to, with its layout."""
        return PlainFolderLayout(self.models.path) if self.models else self.hub_folder

    @property
    def hub_folder(self) -> ModelFolder:
        """The hub cache, with its layout."""
        return HubCacheLayout(self.hub_cache.path)


class PathResolver:
    """Applies the rules to one environment.

    Args:
        environment: The environment variables.
        os_name: ``"linux"``, ``"macos"`` or ``"windows"``.
        home: The user's home folder, None where there is none.
    """

    def __init__(self, environment: Mapping[str, str], os_name: str, home: Path | None) -> None:
        self._environment = environment
        self._os_name = os_name
        self._home = home

    def hub_cache(self) -> Place:
        """Find the hub cache by the same rules as huggingface_hub and llama.cpp."""
        for name, below in (
            ("HF_HUB_CACHE", ""),
            ("HUGGINGFACE_HUB_CACHE", ""),
            ("HF_HOME", "hub"),
            ("XDG_CACHE_HOME", "huggingface/hub"),
        ):
            if place := self._from_variable(name, below):
                return place
        return self._in_home(".cache/huggingface/hub", "HF_HOME")

    def hub_home(self) -> Path:
        """Find the folder in which the hub's token lies."""
        for name, below in (("HF_HOME", ""), ("XDG_CACHE_HOME", "huggingface")):
            if place := self._from_variable(name, below):
                return place.path
        return self._in_home(".cache/huggingface", "HF_HOME").path

    def config_file(self) -> Place:
        """Find the configuration file."""
        return self._own("XDG_CONFIG_HOME", ".config", "config", file="config.toml")

    def data(self) -> Place:
        """Find the folder for what must last."""
        return self._own("XDG_DATA_HOME", ".local/share", "data")

    def state(self) -> Place:
        """Find the folder for what is remembered."""
        return self._own("XDG_STATE_HOME", ".local/state", "state")

    def ollama_models(self) -> Place:
        """Find the store that an Ollama server of this user has."""
        return self._from_variable("OLLAMA_MODELS", "") or self._in_home(
            ".ollama/models", "OLLAMA_MODELS"
        )

    def _from_variable(self, name: str, below: str) -> Place | None:
        value = self._environment.get(name, "").strip()
        if not value:
            return None
        return Place(self.expand(value) / below, name)

    def expand(self, value: str) -> Path:
        """Make a path absolute, with ``~`` as the home folder; links stay as typed."""
        if value.startswith("~") and self._home is not None:
            return self._home / value[1:].lstrip("/\\")
        return Path(os.path.abspath(value))  # noqa: PTH100 - resolving would follow links

    def _in_home(self, below: str, variable: str) -> Place:
        if self._home is None:
            raise UsageError(
                "This user has no home folder.",
                code="no-home",
                context=["HOME is not set and the system knows no home folder for this user"],
                hint=f"Set HOME, or set GEMMA_SETUP_HOME and {variable} to folders of your own.",
            )
        return Place(self._home / below, "default")

    def _own(self, variable: str, below_home: str, kind: str, file: str = "") -> Place:
        if place := self._from_variable("GEMMA_SETUP_HOME", kind):
            return Place(place.path / file, place.decided_by)
        if place := self._from_variable(variable, "gemma-setup"):
            return Place(place.path / file, place.decided_by)
        if self._os_name == "macos":
            base = self._in_home("Library/Application Support/gemma-setup", "GEMMA_SETUP_HOME")
            return Place(base.path / kind / file, base.decided_by)
        if self._os_name == "windows" and (
            place := self._from_variable("LOCALAPPDATA", f"gemma-setup/{kind}")
        ):
            return Place(place.path / file, place.decided_by)
        base = self._in_home(f"{below_home}/gemma-setup", "GEMMA_SETUP_HOME")
        return Place(base.path / file, base.decided_by)


def resolve_paths(
    environment: Mapping[str, str],
    *,
    os_name: str,
    home: Path | None,
    temporary: Path,
    models_dir: Place | None = None,
) -> Paths:
    """Apply the rules to everything.

    Args:
        environment: The environment variables.
        os_name: ``"linux"``, ``"macos"`` or ``"windows"``.
        home: The user's home folder, None where there is none.
        temporary: The system's folder for temporary files.
        models_dir: A plain models folder from the command line or the configuration file.

    Raises:
        UsageError: If a folder is needed below a home folder and there is none.
    """
    resolver = PathResolver(environment, os_name, home)
    return Paths(
        hub_cache=resolver.hub_cache(),
        models=models_dir,
        config_file=resolver.config_file(),
        data=resolver.data(),
        state=resolver.state(),
        ollama_models=resolver.ollama_models(),
        temporary=Place(temporary, "TMPDIR" if environment.get("TMPDIR") else "default"),
    )
