"""Session: everything outside of the program that a command works with, made once, when needed.

Values of the environment come in here as values; nothing below reads them for itself.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from setup_manager.catalog import Catalog, load_catalog
from setup_manager.library import History, Inventory, Measurements, Paths
from setup_manager.runtimes import REGISTRY
from setup_manager.session.events import Observer, Silence

if TYPE_CHECKING:
    from setup_manager.download import Downloader, DownloadOptions
    from setup_manager.library import ModelFolder
    from setup_manager.machine import Machine
    from setup_manager.net import Hub, HubAccess, NetworkOptions, Origin
    from setup_manager.runtimes import Runtime


class Session:
    """What a command works with.

    Args:
        paths: Where everything lives.
        environment: The environment variables, for child processes and foreign tools' rules.
        home: The user's home folder, None where there is none.
        hub: How the hub is reached.
        network: Proxies, certificates, time limits.
        downloading: How a download behaves.
        catalog_path: Another catalogue than the package's.
        private_words: Names of the user and the machine, masked in what is shared.
        releases_url: Where the releases of llama.cpp are listed, ``""`` for its own list.
        program: How this program is called, for commands that are shown to be typed.
        recovering: Whether downloads look for what other tools left.
        observer: Who is told how the work goes.
        cancel: Set when the work is to stop.
    """

    def __init__(
        self,
        paths: Paths,
        *,
        environment: Mapping[str, str],
        home: Path | None,
        hub: HubAccess,
        network: NetworkOptions,
        downloading: DownloadOptions,
        catalog_path: Path | None = None,
        recovering: bool = True,
        private_words: tuple[str, ...] = (),
        releases_url: str = "",
        program: str = "gemma-setup",
        observer: Observer | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        self.paths = paths
        self.environment = environment
        self.home = home
        self.hub = hub
        self.network = network
        self.downloading = downloading
        self.recovering = recovering
        self.private_words = private_words
        self.releases_url = releases_url
        self.program = program
        self.observer: Observer = observer or Silence()
        self.cancel = cancel or threading.Event()
        self._catalog_path = catalog_path

    @cached_property
    def catalog(self) -> Catalog:
        """The catalogue.

        Raises:
            UsageError: If it is none.
        """
        return load_catalog(self._catalog_path)

    @cached_property
    def inventory(self) -> Inventory:
        """What this tool put where."""
        return Inventory(self.paths.state.path / "inventory")

    @property
    def history(self) -> History:
        """What is remembered of earlier downloads and tests, for the report."""
        return History(self.paths.state.path / "history")

    @property
    def expected_rate(self) -> float | None:
        """Bytes per second to expect: as in the last download, within the limit that is set."""
        limit = self.downloading.rate_bytes_per_second
        remembered = self.history.line_rate()
        return min(remembered, limit) if remembered and limit else remembered or limit

    @cached_property
    def measurements(self) -> Measurements:
        """Speeds that were measured here before."""
        return Measurements(self.paths.state.path / "measurements.json")

    @cached_property
    def machine(self) -> Machine:
        """This machine, probed once."""
        from setup_manager.machine import read_machine

        places = {
            "models": self.paths.download_root,
            "state": self.paths.state.path,
            "ollama": self.paths.ollama_models.path,
            "temporary": self.paths.temporary.path,
        }
        return read_machine(places=places, environment=self.environment)

    def runtime(self, name: str) -> Runtime:
        """Return a runtime by its name in `REGISTRY`."""
        return REGISTRY[name](self)

    @property
    def runtimes(self) -> tuple[Runtime, ...]:
        """Every runtime that there is, the preferred one first."""
        return tuple(map(self.runtime, REGISTRY))

    @property
    def layout(self) -> ModelFolder:
        """The folder that downloads go to."""
        return self.paths.model_folder

    @property
    def downloader(self) -> Downloader:
        """What brings files into the models folder, telling the observer of the moment."""
        from setup_manager.download import Downloader

        return Downloader(
            self.layout, self.downloading, self.observer.download, self.network, self.cancel
        )

    @cached_property
    def metadata(self) -> Hub:
        """The hub, to be asked about its repositories."""
        from setup_manager.net import Hub

        known = tuple(dict.fromkeys(file.repository for file in self.catalog.files))
        return Hub(self.hub, self.network, known_repositories=known)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """The hub, then its mirrors."""
        return self.hub.origins
