"""Which runtimes are here, and which of them is to run the model."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup_manager.app.contract import Document
from setup_manager.codec import to_plain
from setup_manager.errors import DownloadFailedError, RuntimeMissingError, UsageError
from setup_manager.runtimes import REGISTRY, Build, InstalledBuild, Runtime, RuntimeStatus
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
        """Its key in `REGISTRY`."""
        return self.status.name

    def suits(self, variant: str | None) -> bool:
        """Whether it runs a variant of the catalogue; None for no known one."""
        kind = REGISTRY[self.name]
        return kind.ready(kind.judged(self.status, variant))

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**to_plain(self.status), "reason": self.reason}


def find_runtimes(session: Session) -> tuple[RuntimeStatus, ...]:
    """Look for every runtime, side by side; none can hold up the others for long."""
    with ThreadPoolExecutor(len(REGISTRY)) as pool:
        return tuple(pool.map(lambda runtime: runtime.find(), session.runtimes))


def choose_runtime(
    statuses: Sequence[RuntimeStatus], wanted: str, variant: str | None = None
) -> ChosenRuntime:
    """Choose what runs the model: without a wish the first of `REGISTRY` that can.

    Args:
        statuses: What was found.
        wanted: ``"auto"`` or the name of one.
        variant: Variant of the catalogue that it is to run, None for no known one.

    Raises:
        RuntimeMissingError: If it is not there, not running or too old.
    """
    judged = {status.name: REGISTRY[status.name].judged(status, variant) for status in statuses}
    if wanted != "auto":
        return ChosenRuntime(_required(judged[wanted]), "chosen with --runtime")
    for name, kind in REGISTRY.items():
        if kind.ready(judged[name]):
            return ChosenRuntime(judged[name], kind.reason)
    raise _none_found(tuple(judged.values()))


def _required(status: RuntimeStatus) -> RuntimeStatus:
    kind = REGISTRY[status.name]
    if kind.ready(status):
        return status
    state = "cannot run Gemma 4" if status.found else "was not found"
    if status.found and status.usable:
        state = "is not running"
    raise RuntimeMissingError(
        f"{status.name} {state}.",
        context=[
            fact for fact in (f"{status.version} {status.path}".strip(), status.detail) if fact
        ],
        hint=f"{status.hint or kind.how_to_get()} Or leave out --runtime to use what is installed.",
    )


def _none_found(statuses: Sequence[RuntimeStatus]) -> RuntimeMissingError:
    return RuntimeMissingError(
        "Nothing here can run Gemma 4.",
        context=[f"{status.name}: {status.detail or 'not found'}" for status in statuses],
        hint=ways_to_get_one(),
    )


def ways_to_get_one() -> str:
    """Say what installs each of the runtimes."""
    ways = (f"{name}: {kind.how_to_get()}" for name, kind in REGISTRY.items())
    return f"Install one of them. {' '.join(ways)}"


def installable(session: Session) -> Runtime:
    """Return the runtime that this tool installs by itself."""
    return next(runtime for runtime in session.runtimes if runtime.installable)


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
class Result(Document):
    """A build that was installed and runs here.

    Attributes:
        build: Its name.
        bytes: What was fetched for it.
        program: Its llama-server.
        version: What that says of itself.
    """

    build: str
    bytes: int
    program: Path
    version: str


def plan(session: Session, request: Request) -> Plan:
    """Find the official build of llama.cpp for this machine.

    Raises:
        DownloadFailedError: If the list of releases cannot be had, or no socket may be opened.
        RuntimeMissingError: If there is no build for this machine.
    """
    if session.network.offline:
        raise DownloadFailedError(
            "The official build of llama.cpp cannot be downloaded offline.",
            hint="Unset HF_HUB_OFFLINE, or install llama.cpp another way.",
        )
    builds = installable(session).builds
    build = builds.offer(session.network, session.machine, request.backend, session.releases_url)
    return Plan(build)


def run(session: Session, plan: Plan) -> Result:
    """Fetch a build, check that it runs here, and make it the current one.

    Raises:
        SetupError: As the download engine says, or if it does not run here.
    """
    installed, status = installable(session).builds.install(
        plan.build,
        session.network,
        session.downloading,
        session.observer.download,
        session.cancel,
    )
    return Result(plan.build.name, plan.build.size_bytes, installed.program, status.version)


def installed_builds(session: Session) -> tuple[InstalledBuild, ...]:
    """List the builds that this tool installed, the one in use first."""
    return installable(session).builds.installed()


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
        "gemma-setup has installed no such build of llama.cpp.",
        code="not-installed",
        context=[f"installed: {', '.join(build.name for build in builds) or 'none'}"],
        hint="`gemma-setup runtime list` shows them.",
    )


def remove_build(session: Session, build: InstalledBuild) -> None:
    """Remove a build; the newest other one becomes the one in use."""
    installable(session).builds.remove(build.name)
