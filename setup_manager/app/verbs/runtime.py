"""Which runtimes are here, and which of them is to run the model."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from setup_manager.errors import DownloadFailedError, RuntimeMissingError, UsageError
from setup_manager.hints import install_extra
from setup_manager.runtimes import embedded, llama_cpp
from setup_manager.runtimes.base import RuntimeStatus, ServerRuntime
from setup_manager.runtimes.llama_builds import InstalledBuild, fetch_releases, install
from setup_manager.runtimes.ollama import server as ollama
from setup_manager.runtimes.releases import Build, choose_build
from setup_manager.session import Session


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which official build of llama.cpp is installed.

    Attributes:
        backend: ``"cpu"``, ``"vulkan"``, ``"cuda"`` or ``"metal"``, None for what fits the machine.
    """

    backend: str | None = None


@dataclass(frozen=True, kw_only=True)
class RemovalRequest:
    """Which build of llama.cpp is removed.

    Attributes:
        build: Its name, None for the one in use.
    """

    build: str | None = None


@dataclass(frozen=True, slots=True)
class ChosenRuntime:
    """What will run the model, and why.

    Attributes:
        status: The runtime as it was found.
        reason: Why this one, for people.
    """

    status: RuntimeStatus
    reason: str

    @property
    def name(self) -> str:
        """``"llama.cpp"``, ``"ollama"`` or ``"embedded"``."""
        return self.status.name

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**runtime_document(self.status), "reason": self.reason}


def runtime_document(status: RuntimeStatus) -> dict[str, Any]:
    """Return an entry of ``data.runtimes``."""
    return asdict(status)


def find_runtimes(session: Session) -> tuple[RuntimeStatus, ...]:
    """Look for every runtime, side by side; none can hold up the others for long."""
    search_path = session.environment.get("PATH", "")
    home = session.home or Path("/")
    builds = session.builds.program_folders()
    with ThreadPoolExecutor(3) as pool:
        searches = (
            pool.submit(llama_cpp.find, search_path, home, builds),
            pool.submit(ollama.find, session.environment),
            pool.submit(embedded.find),
        )
        return tuple(search.result() for search in searches)


def _how_to_get(name: str) -> str:
    ways = {
        "ollama": "Install it from https://ollama.com/download.",
        "llama.cpp": "Run `gemma-setup runtime install llama.cpp`.",
        "embedded": f"Run `{install_extra('embedded')}`.",
    }
    return ways[name]


def choose_runtime(statuses: Sequence[RuntimeStatus], wanted: str) -> ChosenRuntime:
    """Choose what runs the model.

    The rule for ``"auto"``: llama.cpp, since it reads the hub cache and needs no second copy; else
    an Ollama server that runs; else the embedded engine.

    Args:
        statuses: What was found.
        wanted: ``"auto"`` or the name of one.

    Raises:
        RuntimeMissingError: If it is not there, not running or too old.
    """
    by_name = {status.name: status for status in statuses}
    if wanted != "auto":
        return ChosenRuntime(_required(by_name[wanted]), "as asked for with --runtime")
    for name, reason in (
        ("llama.cpp", "it reads the downloaded file as it is, without a second copy"),
        ("ollama", "its server is running, and llama.cpp is not here"),
        ("embedded", "neither llama.cpp nor a running Ollama is here"),
    ):
        if _ready(by_name[name]):
            return ChosenRuntime(by_name[name], reason)
    raise _none_found(statuses)


def _ready(status: RuntimeStatus) -> bool:
    return status.usable and (status.name != "ollama" or bool(status.endpoint))


def _required(status: RuntimeStatus) -> RuntimeStatus:
    if _ready(status):
        return status
    state = "cannot run Gemma 4" if status.found else "was not found"
    if status.found and status.usable:
        state = "is not running"
    raise RuntimeMissingError(
        f"{status.name} {state}.",
        context=[
            fact for fact in (f"{status.version} {status.path}".strip(), status.detail) if fact
        ],
        hint=f"{status.hint or _how_to_get(status.name)} "
        "Or leave out --runtime to use what is here.",
    )


def _none_found(statuses: Sequence[RuntimeStatus]) -> RuntimeMissingError:
    return RuntimeMissingError(
        "Nothing here can run Gemma 4.",
        context=[f"{status.name}: {status.detail or 'not found'}" for status in statuses],
        hint=f"Run `{install_extra('embedded')}`, or `gemma-setup runtime install "
        "llama.cpp`, or install Ollama from https://ollama.com/download.",
    )


def server_runtime(status: RuntimeStatus) -> ServerRuntime:
    """Return a runtime that is started for one model."""
    if status.name == "embedded":
        return embedded.EmbeddedEngine()
    return llama_cpp.server_at(Path(status.path))


@dataclass(frozen=True, slots=True)
class Plan:
    """The official build that will be fetched.

    Attributes:
        build: The build.
    """

    build: Build

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `runtime install`."""
        return {"build": self.build.name, "bytes": self.build.size_bytes}


@dataclass(frozen=True, slots=True)
class Result:
    """A build that was installed and runs here.

    Attributes:
        build: The build.
        program: Its llama-server.
        version: What that says of itself.
    """

    build: Build
    program: Path
    version: str

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `runtime install`."""
        return {
            **Plan(self.build).document(),
            "program": str(self.program),
            "version": self.version,
        }


def plan(session: Session, request: Request) -> Plan:
    """Find the official build of llama.cpp for this machine.

    Raises:
        DownloadFailedError: If the list of releases cannot be had, or no socket may be opened.
        RuntimeMissingError: If there is no build for this machine.
    """
    if session.network.offline:
        raise DownloadFailedError(
            "The official build of llama.cpp cannot be fetched offline.",
            hint="Unset HF_HUB_OFFLINE, or install llama.cpp in another way.",
        )
    releases = fetch_releases(session.network, session.releases_url)
    return Plan(choose_build(releases, session.machine, request.backend))


def run(session: Session, plan: Plan) -> Result:
    """Fetch a build, check that it runs here, and make it the current one.

    Raises:
        SetupError: As the download engine says, or if it does not run here.
    """
    installed, status = install(
        session.builds,
        plan.build,
        session.network,
        session.downloading,
        session.observer.download,
        session.cancel,
    )
    return Result(plan.build, installed.program, status.version)


def installed_builds(session: Session) -> tuple[InstalledBuild, ...]:
    """List the builds that this tool installed, the one in use first."""
    return session.builds.installed()


def plan_removal(session: Session, request: RemovalRequest) -> InstalledBuild:
    """Find the build that will be removed.

    Raises:
        UsageError: If there is no such build.
    """
    builds = installed_builds(session)
    wanted = request.build
    for build in builds:
        if build.name == wanted or (wanted is None and build.current):
            return build
    raise UsageError(
        "No such build of llama.cpp was installed by gemma-setup.",
        code="not-installed",
        context=[f"installed: {', '.join(build.name for build in builds) or 'none'}"],
        hint="`gemma-setup runtime list` shows them.",
    )


def remove_build(session: Session, build: InstalledBuild) -> None:
    """Remove a build; the newest other one becomes the one in use."""
    session.builds.remove(build.name)
