"""gemma-setup for Python programs: check, recommend, explain, download, install.

Each function does what the command of that name does and returns what it found; whatever stops it
is a `SetupError`, whose ``message``, ``context`` and ``hint`` say what is wrong and how to go on.
Nothing is printed and nobody is asked.

>>> from setup_manager.api import download, explain
>>> fetched = download("rehearsal")
>>> fetched.path.name
'gemma-4-rehearsal-it-F16.gguf'
>>> explain("rehearsal", context=4096).verdict
'fits'

With the catalogue of the package the names are those of `gemma-setup list`: ``download("e4b")``,
``install("12b:UD-Q5_K_XL")``. An interrupted call goes on where it stopped when it is made again.

Folders, the hub and proxies follow the process's environment variables, or those of a mapping
that is given as ``environment``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from setup_manager.app.planning import Planning
from setup_manager.app.start import StartCommands, start_commands
from setup_manager.app.verbs import check as checking
from setup_manager.app.verbs import download as downloading
from setup_manager.app.verbs import install as installing
from setup_manager.app.verbs.check import CheckResult
from setup_manager.app.verbs.download import DownloadResult
from setup_manager.app.verbs.install import InstallPlan, InstallRequest, StageResult
from setup_manager.app.verbs.recommend import (
    RecommendResult,
    Weighing,
    explain_model,
    recommend_models,
)
from setup_manager.download import DownloadOptions
from setup_manager.errors import SetupError, UsageError
from setup_manager.fit import Explanation
from setup_manager.library import InstalledModel, Place, this_host
from setup_manager.machine import Machine
from setup_manager.session import Observer, Session, Subject, Wanted, open_session
from setup_manager.smoke import SmokeReport

__all__ = [
    "CheckResult",
    "DownloadResult",
    "Explanation",
    "Installation",
    "RecommendResult",
    "SetupError",
    "check",
    "download",
    "explain",
    "install",
    "recommend",
]

KvTypeName = Literal["f16", "q8_0", "q4_0"]
PreferenceName = Literal["speed", "quality", "balanced"]
RuntimeName = Literal["auto", "llama.cpp", "ollama", "embedded"]
TaskName = Literal["chat", "coding", "vision", "long documents"]
StrPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Installation:
    """A model that is installed and answered rightly.

    Attributes:
        model: What lies where, and what knows it.
        path: What a runtime is given: the weights, or their first shard.
        plan: What was planned: memory, speed, settings, runtime.
        smoke: What it answered, and what was measured.
        commands: How it is started and asked from now on.
        stages: How each stage went.
    """

    model: InstalledModel
    path: Path
    plan: InstallPlan
    smoke: SmokeReport
    commands: StartCommands
    stages: tuple[StageResult, ...]


def check(
    model: str | None = None,
    *,
    context: int | None = None,
    kv_type: KvTypeName | None = None,
    runtime: RuntimeName = "auto",
    machine: Machine | None = None,
    models_dir: StrPath | None = None,
    catalog: StrPath | None = None,
    environment: Mapping[str, str] | None = None,
) -> CheckResult:
    """Look at this machine, and with a model whether that one will work here.

    Args:
        model: A MODEL argument, None for the machine alone.
        context: Tokens of context, None for what fits.
        kv_type: How keys and values are stored, None for f16.
        runtime: What is to run the model.
        machine: Judge this machine instead, e.g. another one's ``check().machine``.
        models_dir: A plain folder for models instead of the hub cache.
        catalog: Another catalogue file than the package's.
        environment: Variables that count instead of the process's own.

    Returns:
        What was found; ``failures`` holds what really stops.

    Raises:
        UsageError: If it is no model, or a number is out of range.
    """
    session = _session(environment, models_dir, catalog)
    planning = _planning(context=context, kv_type=kv_type, runtime=runtime)
    subject = Subject(session, model) if model is not None else None
    result = checking.check_elsewhere(machine) if machine else checking.check(session)
    if subject is None:
        return result
    about_it = checking.check_model(session, result, subject, planning)
    return replace(result, checks=(*result.checks, *about_it))


def recommend(
    *,
    prefer: PreferenceName = "balanced",
    task: TaskName = "chat",
    context: int | None = None,
    kv_type: KvTypeName | None = None,
    slots: int | None = None,
    runtime: RuntimeName = "auto",
    headroom_bytes: int | None = None,
    machine: Machine | None = None,
    catalog: StrPath | None = None,
    environment: Mapping[str, str] | None = None,
) -> RecommendResult:
    """Rank what fits a machine, with the reasons for and against.

    Args:
        prefer: What to rank by.
        task: What the model is wanted for.
        context: Tokens of context, None for what fits.
        kv_type: How keys and values are stored, None for f16.
        slots: Requests served side by side, None for one.
        runtime: What is to run it.
        headroom_bytes: Memory to leave free, None for the rule.
        machine: Plan for this machine instead of the one at hand.
        catalog: Another catalogue file than the package's.
        environment: Variables that count instead of the process's own.

    Returns:
        Choices, best first, and what was rejected.

    Raises:
        InsufficientMemoryError: If nothing fits.
        UsageError: If a number is out of range.
    """
    session = _session(environment, None, catalog)
    planning = _planning(
        context=context, kv_type=kv_type, slots=slots, prefer=prefer, runtime=runtime
    )
    _require("task", task, get_args(TaskName))
    weighing = Weighing(task, headroom_bytes)
    return recommend_models(
        session, planning, machine or session.machine, _planned(runtime), weighing
    )


def explain(
    model: str,
    *,
    context: int | None = None,
    kv_type: KvTypeName | None = None,
    slots: int | None = None,
    ubatch: int | None = None,
    runtime: RuntimeName = "auto",
    with_projector: bool = False,
    with_drafter: bool = False,
    machine: Machine | None = None,
    catalog: StrPath | None = None,
    environment: Mapping[str, str] | None = None,
) -> Explanation:
    """Say where a model's memory goes and how fast it will run.

    Args:
        model: A MODEL argument.
        context: Tokens of context, None for what fits.
        kv_type: How keys and values are stored, None for f16.
        slots: Requests served side by side, None for one.
        ubatch: Tokens computed at once, None for 512.
        runtime: What is to run it.
        with_projector: Count the projector too.
        with_drafter: Count the drafter too.
        machine: Plan for this machine instead of the one at hand.
        catalog: Another catalogue file than the package's.
        environment: Variables that count instead of the process's own.

    Raises:
        UsageError: If it is no model, the catalogue does not know it, or a number is out of range.
    """
    session = _session(environment, None, catalog)
    planning = _planning(
        context=context,
        kv_type=kv_type,
        slots=slots,
        ubatch=ubatch,
        runtime=runtime,
        projector=with_projector,
        drafter=with_drafter,
    )
    subject = Subject(session, model, Wanted(projector=with_projector, drafter=with_drafter))
    return explain_model(session, subject, planning, machine or session.machine, _planned(runtime))


def download(
    model: str,
    *,
    with_projector: bool = False,
    with_drafter: bool = False,
    latest: bool = False,
    recover: bool = True,
    mirrors: Sequence[str] = (),
    connections: int | None = None,
    rate_bytes_per_second: int | None = None,
    models_dir: StrPath | None = None,
    catalog: StrPath | None = None,
    observer: Observer | None = None,
    cancel: threading.Event | None = None,
    environment: Mapping[str, str] | None = None,
) -> DownloadResult:
    """Fetch and verify a model; goes on from whatever is here.

    Args:
        model: A MODEL argument.
        with_projector: Fetch the projector too.
        with_drafter: Fetch the drafter too.
        latest: Ask the hub for the newest upload instead of the pinned one.
        recover: Look for what other tools' downloads left behind, and use it.
        mirrors: Base URLs of other hubs with the same files.
        connections: Connections at once, None for what helps.
        rate_bytes_per_second: At most this fast, None for any rate.
        models_dir: A plain folder for models instead of the hub cache.
        catalog: Another catalogue file than the package's.
        observer: Told how it goes.
        cancel: Setting it stops the download within a second; what came is kept.
        environment: Variables that count instead of the process's own.

    Returns:
        The verified files and where they lie.

    Raises:
        SetupError: Of the class that fits, e.g. `DownloadFailedError`; what came is kept.
    """
    if connections is not None:
        _require("connections", connections, range(1, DownloadOptions().most + 1))
    if rate_bytes_per_second is not None and rate_bytes_per_second <= 0:
        raise UsageError(
            "rate_bytes_per_second must be positive.",
            code="bad-argument",
            hint="Leave it out for any rate.",
        )
    session = _session(
        environment,
        models_dir,
        catalog,
        recover=recover,
        mirrors=mirrors,
        options=DownloadOptions(
            connections=connections, rate_bytes_per_second=rate_bytes_per_second
        ),
        observer=observer,
        cancel=cancel,
    )
    wanted = Wanted(latest=latest, projector=with_projector, drafter=with_drafter)
    chosen = Subject(session, model, wanted).model
    downloading.check_disk(session, downloading.plan_download(session, chosen))
    return downloading.download(session, chosen)


def install(
    model: str | None = None,
    *,
    prefer: PreferenceName = "balanced",
    context: int | None = None,
    kv_type: KvTypeName | None = None,
    slots: int | None = None,
    runtime: RuntimeName = "auto",
    with_projector: bool = False,
    with_drafter: bool = False,
    latest: bool = False,
    recover: bool = True,
    mirrors: Sequence[str] = (),
    models_dir: StrPath | None = None,
    catalog: StrPath | None = None,
    confirm: Callable[[InstallPlan], bool] | None = None,
    observer: Observer | None = None,
    cancel: threading.Event | None = None,
    environment: Mapping[str, str] | None = None,
) -> Installation:
    """Do the whole job: check, choose, download, register and try a model.

    Args:
        model: A MODEL argument, None for the best for this machine.
        prefer: What to rank by where no model is named.
        context: Tokens of context, None for what fits.
        kv_type: How keys and values are stored, None for f16.
        slots: Requests served side by side, None for one.
        runtime: What is to run it.
        with_projector: The projector too, for images.
        with_drafter: The drafter too, for speed.
        latest: Ask the hub for the newest upload instead of the pinned one.
        recover: Look for what other tools' downloads left behind, and use it.
        mirrors: Base URLs of other hubs with the same files.
        models_dir: A plain folder for models instead of the hub cache.
        catalog: Another catalogue file than the package's.
        confirm: Given the plan before the first byte; False stops. None goes on.
        observer: Told how it goes.
        cancel: Setting it stops a download within a second; what came is kept.
        environment: Variables that count instead of the process's own.

    Raises:
        SetupError: Of the class that fits; the same call goes on where this one stopped.
    """
    session = _session(
        environment,
        models_dir,
        catalog,
        recover=recover,
        mirrors=mirrors,
        observer=observer,
        cancel=cancel,
    )
    request = InstallRequest(
        model=model,
        wanted=Wanted(latest=latest, projector=with_projector, drafter=with_drafter),
        planning=_planning(
            context=context,
            kv_type=kv_type,
            slots=slots,
            prefer=prefer,
            runtime=runtime,
            projector=with_projector,
            drafter=with_drafter,
        ),
    )
    result = installing.install(session, request, confirm or (lambda _: True))
    if result.error is not None:
        raise result.error
    return _installation(session, result)


def _installation(session: Session, result: installing.InstallResult) -> Installation:
    model, plan, smoke = result.installed, result.plan, result.smoke
    if model is None or plan is None or smoke is None:
        raise TypeError("an installation without an error has all of its parts")
    known_as = model.registration(plan.runtime.name)
    if known_as is None:
        raise TypeError("an installation without an error is registered")
    commands = start_commands(session, model, known_as, "gemma-setup")
    return Installation(model, model.weights.path, plan, smoke, commands, tuple(result.stages))


def _session(
    environment: Mapping[str, str] | None,
    models_dir: StrPath | None,
    catalog: StrPath | None,
    *,
    recover: bool = True,
    mirrors: Sequence[str] = (),
    options: DownloadOptions | None = None,
    observer: Observer | None = None,
    cancel: threading.Event | None = None,
) -> Session:
    variables = os.environ if environment is None else environment
    named = models_dir or variables.get("GEMMA_SETUP_MODELS_DIR")
    decided_by = "models_dir" if models_dir else "GEMMA_SETUP_MODELS_DIR"
    other_catalog = catalog or variables.get("GEMMA_SETUP_CATALOG")
    return open_session(
        this_host(variables),
        models_dir=Place(Path(named).absolute(), decided_by) if named else None,
        catalog_path=Path(other_catalog) if other_catalog else None,
        mirrors=tuple(mirrors),
        downloading=options,
        recovering=recover,
        observer=observer,
        cancel=cancel,
    )


def _planning(
    *,
    context: int | None = None,
    kv_type: KvTypeName | None = None,
    slots: int | None = None,
    ubatch: int | None = None,
    prefer: PreferenceName = "balanced",
    runtime: str = "auto",
    projector: bool = False,
    drafter: bool = False,
) -> Planning:
    _require("kv_type", kv_type, (None, *get_args(KvTypeName)))
    _require("prefer", prefer, get_args(PreferenceName))
    _require("runtime", runtime, get_args(RuntimeName))
    planning = Planning(
        context=context,
        kv_type=kv_type,
        slots=slots,
        ubatch=ubatch,
        preference=prefer,
        runtime=runtime,
        projector=projector,
        drafter=drafter,
    )
    planning.settings(_planned(runtime))
    return planning


def _planned(runtime: str) -> str:
    """Name the runtime that memory is worked out for when none needs to be here yet."""
    return "llama.cpp" if runtime == "auto" else runtime


def _require(name: str, value: object, known: Iterable[object]) -> None:
    """Refuse a value that types alone do not keep out.

    Raises:
        UsageError: If it is none of the known ones.
    """
    choices = tuple(known)
    if value not in choices:
        raise UsageError(
            f"{name} cannot be {value!r}.",
            code="bad-argument",
            hint=f"Give one of: {', '.join(map(str, choices))}.",
        )
