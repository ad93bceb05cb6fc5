"""The whole job: check, recommend, plan, download, register, smoke.

Every stage looks at what is there before it does anything, so that the same command goes on after
any interruption: a file that is here is recognised, a registration that holds is left alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from setup_manager.app.documents import plain
from setup_manager.app.folders import device_of
from setup_manager.app.planning import Planning, settings_for
from setup_manager.app.reasons import choice_reasons, shorter_context
from setup_manager.app.record import recorded
from setup_manager.app.requests import Files, IntoOllama, RankedRun
from setup_manager.app.verbs.check import CheckResult, check
from setup_manager.app.verbs.download import (
    DownloadResult,
    check_disk,
    download,
    plan_document,
    plan_download,
)
from setup_manager.app.verbs.recommend import recommend_models
from setup_manager.app.verbs.register import (
    OllamaWay,
    RegisterResult,
    is_in_ollama,
    ollama_store,
    register,
)
from setup_manager.app.verbs.runtime import (
    ChosenRuntime,
    choose_runtime,
    find_runtimes,
    install_build,
    offered_build,
)
from setup_manager.app.verbs.smoke import smoke
from setup_manager.download import DownloadPlan
from setup_manager.download import check_disk as check_room
from setup_manager.errors import (
    InsufficientDiskError,
    InsufficientMemoryError,
    InterruptedByUserError,
    RuntimeMissingError,
    SetupError,
)
from setup_manager.fit import Fit, Settings, fit_of
from setup_manager.library import InstalledModel
from setup_manager.machine import Status
from setup_manager.runtimes.ollama.versions import ollama_copies_bytes
from setup_manager.runtimes.releases import Build
from setup_manager.session import Session, StageEvent, StageStatus, Subject, Wanted
from setup_manager.smoke import SmokeReport, require_passed
from setup_manager.units import format_duration, format_memory, format_rate, format_size

STAGES = ("check", "recommend", "plan", "download", "register", "smoke")


@dataclass(frozen=True, kw_only=True)
class Request(Files, RankedRun, IntoOllama):
    """What is to be installed, and how.

    Attributes:
        model: MODEL argument, None to take the best for this machine.
    """

    model: str | None = None


@dataclass(frozen=True, slots=True)
class InstallRequest:
    """What is to be installed, and how.

    Attributes:
        model: MODEL argument, None to take the best for this machine.
        wanted: Which files.
        planning: How it is to run.
        ollama: How it gets into Ollama.
        dry_run: Stop once the plan is made.
    """

    model: str | None = None
    wanted: Wanted = field(default_factory=Wanted)
    planning: Planning = field(default_factory=Planning)
    ollama: OllamaWay = field(default_factory=OllamaWay)
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class InstallPlan:
    """What will be done; shown, confirmed, then carried out.

    Attributes:
        subject: The model.
        runtime: What will run it.
        settings: How it will be started.
        download: What is fetched and written.
        fit: What it will take and how fast it will be, None where that cannot be worked out.
    """

    subject: Subject
    runtime: ChosenRuntime
    settings: Settings
    download: DownloadPlan
    fit: Fit | None

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            **plan_document(self.subject.model, self.download),
            "pinned": self.subject.pinned,
            "runtime": self.runtime.document(),
            "settings": plain(self.settings),
            "memory": plain(self.fit.memory) if self.fit else None,
            "speed": plain(self.fit.speed) if self.fit else None,
            "verdict": self.fit.verdict if self.fit else None,
        }


@dataclass(frozen=True, slots=True)
class StageResult:
    """How a stage ended.

    Attributes:
        name: One of `STAGES`.
        status: ``"done"``, ``"skipped"`` or ``"failed"``.
        seconds: How long it took.
        data: What the command of that name would give.
    """

    name: str
    status: StageStatus
    seconds: float
    data: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """Return an entry of ``data.stages``."""
        return {
            "name": self.name,
            "status": self.status.value,
            "seconds": round(self.seconds, 3),
            "data": self.data,
        }


@dataclass(slots=True)
class InstallResult:
    """How far an installation came; a failure leaves what was done before it.

    Attributes:
        stages: In order; those that were not reached are missing.
        plan: What was planned, once it was.
        installed: The model as recorded, once it was downloaded.
        smoke: The smoke test, once it ran.
        error: What stopped it, or None.
    """

    stages: list[StageResult] = field(default_factory=list)
    plan: InstallPlan | None = None
    installed: InstalledModel | None = None
    smoke: SmokeReport | None = None
    error: SetupError | None = None

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `install`."""
        return {"stages": [stage.document() for stage in self.stages]}


class _Stage:
    """One stage while it runs; whoever runs it fills in what came of it."""

    def __init__(self) -> None:
        self.status = StageStatus.DONE
        self.data: dict[str, Any] = {}
        self.detail = ""

    def end(self, detail: str, data: dict[str, Any], *, skipped: bool = False) -> None:
        self.detail = detail
        self.data = data
        self.status = StageStatus.SKIPPED if skipped else StageStatus.DONE


def install(
    session: Session,
    request: InstallRequest,
    confirm: Callable[[InstallPlan], bool] = lambda _: True,
    offer: Callable[[Build], bool] = lambda _: False,
) -> InstallResult:
    """Carry out the whole job, or go on with it.

    Args:
        session: What to work with.
        request: What is to be installed.
        confirm: Shown the plan before the first byte; False stops.
        offer: Shown llama.cpp's official build where nothing here can run a model; True has it
            installed.

    Returns:
        How far it came. An error is in the result and not raised, beside the stages before it.
    """
    installation = _Installation(session, request)
    with recorded(session) as record:
        try:
            installation.run(confirm, offer)
        except KeyboardInterrupt:
            installation.result.error = _interrupted(installation.result)
        except SetupError as error:
            installation.result.error = error
        if installation.result.plan is not None:
            record.model = installation.result.plan.subject.model.name
    return installation.result


class _Installation:
    def __init__(self, session: Session, request: InstallRequest) -> None:
        self._session = session
        self._request = request
        self.result = InstallResult()

    def run(self, confirm: Callable[[InstallPlan], bool], offer: Callable[[Build], bool]) -> None:
        # A wrong MODEL or number is told before anything is looked at.
        subject = self._named_subject()
        self._request.planning.settings("llama.cpp")
        checked = self._check()
        runtime = self._runtime(checked, offer)
        subject = self._recommend(subject, checked, runtime)
        plan = self._plan(subject, checked, runtime)
        if self._request.dry_run:
            self._skip_rest()
            return
        if not confirm(plan):
            raise SetupError(
                "Nothing was installed.",
                code="declined",
                hint="Run the same command again, or name another MODEL.",
            )
        self._download(plan)
        self._register(plan)
        self._smoke(plan)

    def _named_subject(self) -> Subject | None:
        if self._request.model is None:
            return None
        return Subject(self._session, self._request.model, self._request.wanted)

    def _check(self) -> CheckResult:
        with self._stage("check") as stage:
            checked = check(self._session)
            warnings = sum(entry.status is Status.WARN for entry in checked.checks)
            memory = format_memory(checked.machine.memory.available_bytes)
            detail = f"{memory} of memory available"
            if warnings:
                detail += f", {warnings} warning{'s' if warnings > 1 else ''} (gemma-setup check)"
            stage.end(detail, checked.document())
            _refuse_unready(checked)
        return checked

    def _runtime(self, checked: CheckResult, offer: Callable[[Build], bool]) -> ChosenRuntime:
        """Choose what runs the model; where nothing can, offer llama.cpp's official build."""
        wanted = self._request.planning.runtime
        try:
            return choose_runtime(checked.runtimes, wanted)
        except RuntimeMissingError:
            if wanted not in {"auto", "llama.cpp"} or self._request.dry_run:
                raise
            if not self._accept_build(offer):
                raise
        return choose_runtime(find_runtimes(self._session), wanted)

    def _accept_build(self, offer: Callable[[Build], bool]) -> bool:
        try:
            build = offered_build(self._session)
        except SetupError:
            return False  # what was missing first is the better thing to say
        if not offer(build):
            return False
        install_build(self._session, build)
        return True

    def _recommend(
        self, subject: Subject | None, checked: CheckResult, runtime: ChosenRuntime
    ) -> Subject:
        with self._stage("recommend") as stage:
            if subject is not None:
                stage.end("not needed, the model was named", {}, skipped=True)
                return subject
            result = recommend_models(
                self._session, self._request.planning, checked.machine, runtime.name
            )
            best = result.recommendation.choices[0]
            reason = choice_reasons(best)[0]
            stage.end(f"{best.model}: {reason}", result.document())
            return Subject(self._session, best.model, self._request.wanted)

    def _plan(self, subject: Subject, checked: CheckResult, runtime: ChosenRuntime) -> InstallPlan:
        with self._stage("plan") as stage:
            plan = make_plan(self._session, subject, self._request, checked, runtime)
            self.result.plan = plan
            fetch = plan.download.fetch_bytes
            detail = f"{format_size(fetch)} to fetch" if fetch else "nothing to fetch"
            stage.end(f"{subject.name}, {detail}, {runtime.name}", plan.document())
            _refuse_unfit(plan, checked)
            _check_disks(self._session, plan.download)
        return plan

    def _download(self, plan: InstallPlan) -> None:
        with self._stage("download") as stage:
            if self._pulled(plan.runtime):
                model, inventory = plan.subject.model, self._session.inventory
                known = inventory.find(model.name)
                self.result.installed = known or inventory.record_start(model, {})
                stage.end("left to Ollama", {}, skipped=True)
                return
            copied = plan.download.extra_bytes if _shares_disk(self._session) else 0
            result = download(self._session, plan.subject.model, copied_bytes=copied)
            self.result.installed = self._session.inventory.find(plan.subject.model.name)
            already = result.fetched_bytes == 0
            stage.end(_download_detail(result), result.document(), skipped=already)

    def _register(self, plan: InstallPlan) -> None:
        installed = self._installed()
        with self._stage("register") as stage:
            result = register(
                self._session,
                installed,
                plan.runtime.status,
                plan.settings,
                self._request.ollama,
                exact=self._request.planning.context is not None,
            )
            self.result.installed = result.model
            stage.end(_register_detail(result), result.document(), skipped=result.already)

    def _smoke(self, plan: InstallPlan) -> None:
        installed = self._installed()
        with self._stage("smoke") as stage:
            report = smoke(
                self._session, installed, plan.subject, plan.runtime.status, plan.settings
            )
            self.result.smoke = report
            stage.end(smoke_detail(report), report.to_document())
            require_passed(report)

    def _pulled(self, runtime: ChosenRuntime) -> bool:
        """Whether Ollama is to fetch the model by itself."""
        return self._request.ollama.pull and runtime.name == "ollama"

    def _installed(self) -> InstalledModel:
        if self.result.installed is None:
            raise TypeError("nothing was downloaded yet")
        return self.result.installed

    def _skip_rest(self) -> None:
        reached = {stage.name for stage in self.result.stages}
        for name in STAGES:
            if name not in reached:
                skipped = StageResult(name, StageStatus.SKIPPED, 0.0, {})
                self.result.stages.append(skipped)

    @contextmanager
    def _stage(self, name: str) -> Iterator[_Stage]:
        """Time a stage and tell the observer; one that raises is recorded as failed."""
        observer = self._session.observer
        begin = time.monotonic()
        observer.stage(StageEvent(name, StageStatus.RUNNING))
        stage = _Stage()
        try:
            yield stage
        except BaseException as error:
            stage.status = StageStatus.FAILED
            stage.detail = error.message if isinstance(error, SetupError) else "interrupted"
            raise
        finally:
            seconds = time.monotonic() - begin
            self.result.stages.append(StageResult(name, stage.status, seconds, stage.data))
            observer.stage(StageEvent(name, stage.status, stage.detail, seconds))


def make_plan(
    session: Session,
    subject: Subject,
    request: InstallRequest,
    checked: CheckResult,
    runtime: ChosenRuntime,
) -> InstallPlan:
    """Work out everything that will be done; asks the hub only for files that are not pinned.

    Raises:
        SetupError: If the model cannot be had, or the settings are out of range.
    """
    machine = checked.machine
    settings = settings_for(subject, request.planning, machine, runtime.name)
    planned = _plan_files(session, subject, runtime, request.ollama)
    if subject.variant is None:
        return InstallPlan(subject, runtime, settings, planned, None)
    fit = fit_of(subject.load(settings, machine), measurements=session.measurements.all())
    return InstallPlan(subject, runtime, settings, planned, fit)


def _plan_files(
    session: Session, subject: Subject, runtime: ChosenRuntime, way: OllamaWay
) -> DownloadPlan:
    if runtime.name == "ollama" and way.pull:
        return DownloadPlan((), extra_bytes=subject.model.size_bytes)
    copied = _copied_bytes(session, runtime, subject, way)
    return plan_download(session, subject.model, copied_bytes=copied)


def _copied_bytes(
    session: Session, runtime: ChosenRuntime, subject: Subject, way: OllamaWay
) -> int:
    """What the runtime will write beside the downloaded files, at its peak."""
    if runtime.name != "ollama" or way.link or is_in_ollama(session, subject.model, way.name):
        return 0
    size = sum(artifact.size_bytes for artifact in subject.model.weights)
    return ollama_copies_bytes(runtime.status.version, size).peak_bytes


def _check_disks(session: Session, planned: DownloadPlan) -> None:
    """Refuse a plan without room for the files, or for copies in a store on another disk.

    Raises:
        InsufficientDiskError: With what is needed and what is free, and where.
    """
    if _shares_disk(session):
        check_disk(session, planned)
        return
    check_disk(session, replace(planned, extra_bytes=0))
    store = ollama_store(session)
    try:
        copies = DownloadPlan((), extra_bytes=planned.extra_bytes)
        check_room(copies, store, session.downloading)
    except InsufficientDiskError as error:
        raise InsufficientDiskError(
            "There is not enough room on the disk of Ollama's store.",
            context=[str(store), *error.context],
            hint="Free room there, or move the store (OLLAMA_MODELS for Ollama's server).",
        ) from error


def _shares_disk(session: Session) -> bool:
    """Whether what Ollama copies takes room on the disk that the files go to."""
    return device_of(ollama_store(session)) == device_of(session.paths.download_root)


def _refuse_unready(checked: CheckResult) -> None:
    """Stop before anything is begun on a machine on which it cannot work.

    The runtime and the disk are judged later, for the model that is chosen.
    """
    failures = [entry for entry in checked.failures if entry.group not in {"runtimes", "disk"}]
    if failures:
        first = failures[0]
        kind = InsufficientMemoryError if first.group in {"memory", "gpu"} else SetupError
        raise kind(
            f"This machine is not ready: {first.name}.",
            code=None if kind is InsufficientMemoryError else "check-failed",
            context=[f"{failure.name}: {failure.detail}" for failure in failures],
            hint=first.advice or "Run `gemma-setup check` for the whole picture.",
        )


def _refuse_unfit(plan: InstallPlan, checked: CheckResult) -> None:
    fit, machine = plan.fit, checked.machine
    if fit is None or fit.verdict != "no":
        return
    needed, free = format_memory(fit.memory.needed_bytes), format_memory(fit.available_bytes)
    users = [
        f"{user.name} holds {format_memory(user.resident_bytes)}"
        for user in machine.memory.users[:3]
    ]
    raise InsufficientMemoryError(
        f"{plan.subject.name} does not fit into the memory that is free now.",
        context=[
            f"needs {needed} at {plan.settings.context:,} tokens of context",
            f"available {free}: {format_memory(fit.shortfall_bytes)} are missing",
            *users,
        ],
        hint=f"Close programs, {shorter_context(fit)}or see `gemma-setup recommend`.",
    )


def _download_detail(result: DownloadResult) -> str:
    size = format_size(result.model.size_bytes)
    if result.fetched_bytes == 0:
        return f"{size} are here already, verified"
    rate = format_rate(result.fetched_bytes / max(result.seconds, 0.001))
    detail = f"{format_size(result.fetched_bytes)} fetched at {rate}, verified"
    if result.reused_bytes:
        detail += f"; {format_size(result.reused_bytes)} were here"
    retries = sum(file.retries for file in result.files)
    return f"{detail}; {retries} retries" if retries else detail


def _register_detail(result: RegisterResult) -> str:
    registration = result.registration
    known = "knows it already as" if result.already else "knows it as"
    return f"{registration.runtime} {known} {registration.name}"


def smoke_detail(report: SmokeReport) -> str:
    """Say in one line how a smoke test went."""
    answer = " ".join(report.text.split())[:40]
    rate = report.completion.tokens_per_second
    speed_words = f"{rate:.{0 if rate >= 100 else 1}f} tokens/s"
    if not report.passed:
        return f"answered {answer!r}: not right"
    return (
        f"{answer!r}; {speed_words}, loaded in {format_duration(report.load_seconds)}, "
        f"peak {format_memory(report.memory_bytes)}"
    )


def _interrupted(result: InstallResult) -> InterruptedByUserError:
    where = result.stages[-1].name if result.stages else "the beginning"
    return InterruptedByUserError(
        f"Stopped on request during {where}.",
        hint="Run the same command again to go on: nothing that arrived is lost.",
    )
