"""llama.cpp builds that this tool installed: fetched, unpacked, checked, switched to, removed.

A build becomes visible by one rename of a folder that was checked, so that a crash leaves either
the old state or the new one, and a folder whose name says that it may go.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from setup_manager.catalog import Artifact
from setup_manager.download import (
    Downloader,
    DownloadEvent,
    DownloadOptions,
    FileJob,
    FilePlaces,
)
from setup_manager.errors import DownloadFailedError, RuntimeMissingError
from setup_manager.fs import FileLock
from setup_manager.machine import Machine
from setup_manager.net import NetworkOptions, Origin, RequestError, Stream, Transport
from setup_manager.runtimes.releases import (
    PROGRAM,
    RELEASES_URL,
    REPOSITORY,
    Asset,
    Build,
    Release,
    choose_build,
    read_releases,
)
from setup_manager.runtimes.status import RuntimeStatus
from setup_manager.runtimes.unpack import unpack

_LIST_BYTES = 16 * 1024**2
_CURRENT = "current"
_UNFINISHED = ".unfinished-"
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class InstalledBuild:
    """A build that is here.

    Attributes:
        name: Folder name: release tag and backend.
        program: Its llama-server.
        current: Whether it is the one that is used.
    """

    name: str
    program: Path
    current: bool


@dataclass(frozen=True, slots=True)
class AssetLayout:
    """Where archives lie while they come: one folder, under their own names.

    Attributes:
        root: The folder.
    """

    root: Path

    def places(self, artifact: Artifact) -> FilePlaces:
        """Name the paths of an archive; touches no disk."""
        partial = self.root / f"{artifact.sha256}.gemma-setup.partial"
        lock = self.lock_of(partial)
        return FilePlaces.of(partial, self.root / artifact.name, root=self.root, lock=lock)

    def publish(self, artifact: Artifact) -> Path:
        """Return the path: an archive is its own name."""
        return self.places(artifact).visible

    def partials(self) -> tuple[Path, ...]:
        """List the archives that have not come whole."""
        return tuple(sorted(self.root.glob("*.gemma-setup.partial")))

    def lock_of(self, partial: Path) -> Path:
        """Return what whoever fetches an archive holds."""
        return partial.with_name(f"{partial.name}.lock")


@dataclass(frozen=True, slots=True)
class LlamaBuilds:
    """The builds in one folder.

    Attributes:
        root: The folder; it need not be there yet.
        inspect: Judges a llama-server.
    """

    root: Path
    inspect: Callable[[Path], RuntimeStatus]

    @property
    def archives(self) -> AssetLayout:
        """Where archives lie while they come."""
        return AssetLayout(self.root / ".archives")

    @property
    def lock(self) -> Path:
        """What whoever unpacks or removes a build holds."""
        return self.root.with_name(f"{self.root.name}.lock")

    def offer(
        self, network: NetworkOptions, machine: Machine, backend: str | None = None, url: str = ""
    ) -> Build:
        """Find the official build for a machine.

        Args:
            network: Proxies, certificates and time limits.
            machine: What it has to run on.
            backend: A backend that was asked for, None to choose one.
            url: Address of the release list, ``""`` for llama.cpp's own.

        Raises:
            DownloadFailedError: If the list cannot be had.
            RuntimeMissingError: If there is no build for the machine.
        """
        return choose_build(_releases(network, url or RELEASES_URL), machine, backend)

    def install(
        self,
        build: Build,
        network: NetworkOptions,
        options: DownloadOptions | None = None,
        observer: Callable[[DownloadEvent], None] = lambda _event: None,
        cancel: threading.Event | None = None,
    ) -> tuple[InstalledBuild, RuntimeStatus]:
        """Fetch a build through the download engine, with the release's digests, and add it.

        An interrupted download goes on the next time; the archives go when the build is there.

        Raises:
            SetupError: As the download engine and `add` raise.
        """
        layout = self.archives
        jobs = [_job(build.tag, asset) for asset in build.assets]
        Downloader(
            layout, options or DownloadOptions(), observer, network, cancel or threading.Event()
        ).fetch(jobs)
        added = self.add(build.name, [layout.places(job.artifact).content for job in jobs])
        shutil.rmtree(layout.root, ignore_errors=True)
        return added

    def installed(self) -> tuple[InstalledBuild, ...]:
        """List the builds, the current one first, then the newest."""
        current = self._current()
        found = []
        for folder in sorted(self._folders(), key=_age, reverse=True):
            program = _program_in(folder)
            if program is not None:
                found.append(InstalledBuild(folder.name, program, folder.name == current))
        return tuple(sorted(found, key=lambda build: not build.current))

    def program_folders(self) -> tuple[Path, ...]:
        """List the folders to look for llama-server in, for `llama_cpp.find`."""
        return tuple(build.program.parent for build in self.installed())

    def add(self, name: str, archives: Sequence[Path]) -> tuple[InstalledBuild, RuntimeStatus]:
        """Unpack archives as a build, check that it runs, and make it the current one.

        Args:
            name: Its folder's name.
            archives: Verified archives, unpacked in this order.

        Raises:
            UnsafeArchiveError: If an archive is not safe to unpack.
            RuntimeMissingError: If what comes out does not run here or cannot run Gemma 4.
        """
        with FileLock(self.lock):
            return self._add(name, archives)

    def _add(self, name: str, archives: Sequence[Path]) -> tuple[InstalledBuild, RuntimeStatus]:
        unfinished = self.root / f"{_UNFINISHED}{name}-{os.getpid()}"
        try:
            for archive in archives:
                unpack(archive, unfinished)
            status = self._checked(name, unfinished)
            final = self.root / name
            if final.exists():
                _discard(final)
            unfinished.rename(final)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        self._set_current(name)
        program = final / Path(status.path).relative_to(unfinished)
        return InstalledBuild(name, program, current=True), status

    def remove(self, name: str) -> bool:
        """Take a build out; the newest other one becomes the current one.

        Returns:
            Whether it was there.
        """
        with FileLock(self.lock):
            if name not in {folder.name for folder in self._folders()}:
                return False
            _discard(self.root / name)
            left = self.installed()
            if left:
                self._set_current(left[0].name)
            else:
                (self.root / _CURRENT).unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    self.root.rmdir()
            return True

    def leftovers(self) -> tuple[Path, ...]:
        """List what an interrupted installation or removal left."""
        if not self.root.is_dir():
            return ()
        return tuple(p for p in self.root.iterdir() if p.name.startswith(_UNFINISHED))

    def _checked(self, name: str, folder: Path) -> RuntimeStatus:
        """Run what was unpacked: a build for newer system libraries fails here and not later."""
        program = _program_in(folder)
        status = self.inspect(program) if program is not None else None
        if status is not None and status.gemma4:
            return status
        detail = status.detail if status is not None else f"there is no {PROGRAM} in it"
        raise RuntimeMissingError(
            f"The build {name} of llama.cpp does not run here.",
            context=(detail,),
            hint="The official builds for Linux need glibc 2.35 or later. Use the embedded engine "
            "(--runtime embedded), or build llama.cpp yourself.",
        )

    def _folders(self) -> list[Path]:
        if not self.root.is_dir():
            return []
        return [p for p in self.root.iterdir() if p.is_dir() and not p.name.startswith(".")]

    def _current(self) -> str:
        try:
            return (self.root / _CURRENT).read_text("utf-8").strip()
        except OSError:
            return ""

    def _set_current(self, name: str) -> None:
        temporary = self.root / f".{_CURRENT}-{os.getpid()}"
        temporary.write_text(name, "utf-8")
        temporary.replace(self.root / _CURRENT)


def _releases(network: NetworkOptions, url: str) -> tuple[Release, ...]:
    try:
        with Transport(network) as transport:
            stream = transport.request("GET", url, {"Accept": "application/vnd.github+json"})
            text = _text_of(stream)
    except RequestError as error:
        raise _no_list(url, str(error)) from error
    if stream.status != 200:
        raise _no_list(url, f"HTTP {stream.status}: {text[:200]}")
    try:
        return read_releases(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise _no_list(url, "the answer is not JSON") from error


def _job(tag: str, asset: Asset) -> FileJob:
    parts = urlsplit(asset.url)
    artifact = Artifact(REPOSITORY, asset.name, tag, asset.size_bytes, asset.sha256)
    origin = Origin(f"{parts.scheme}://{parts.netloc}", file_url=asset.url)
    return FileJob(artifact, (origin,))


def _program_in(folder: Path) -> Path | None:
    return next((path for path in sorted(folder.rglob(PROGRAM)) if path.is_file()), None)


def _discard(folder: Path) -> None:
    """Remove a folder so that no half of it is ever seen under its name."""
    doomed = folder.with_name(f"{_UNFINISHED}{folder.name}-removed-{os.getpid()}")
    folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _age(folder: Path) -> tuple[int, str]:
    number = _NUMBER.search(folder.name)
    return int(number[0]) if number else 0, folder.name


def _text_of(stream: Stream) -> str:
    body, block = bytearray(), bytearray(64 * 1024)
    try:
        while (count := stream.read_into(memoryview(block))) and len(body) < _LIST_BYTES:
            body += block[:count]
    finally:
        stream.close()
    return body.decode("utf-8", "replace")


def _no_list(url: str, detail: str) -> DownloadFailedError:
    return DownloadFailedError(
        "The list of llama.cpp releases cannot be downloaded.",
        context=(url, detail),
        hint="Try again later, or install llama.cpp another way "
        "(https://github.com/ggml-org/llama.cpp).",
    )
