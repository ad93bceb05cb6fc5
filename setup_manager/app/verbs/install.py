"""The whole job: check, recommend, plan, download, register, smoke.

Every stage looks at what is there before it does anything, so that the same command goes on after
any interruption: a file that is here is recognised, a registration that holds is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from setup_manager.app.documents import plain
from setup_manager.app.planning import Launch
from setup_manager.app.reasons import shorter_context
from setup_manager.app.record import recorded
from setup_manager.app.requests import Files, RankedRun, settings_for
from setup_manager.app.stages import StageResult, Stages, with_skipped
from setup_manager.app.transfer import plan_transfer
from setup_manager.app.verbs import check, download, recommend, register, runtime, smoke
from setup_manager.app.verbs.runtime import ChosenRuntime, choose_runtime, find_runtimes
from setup_manager.app.verbs.serve import StartCommands
from setup_manager.errors import (
    InsufficientMemoryError,
    InterruptedByUserError,
    RuntimeMissingError,
    SetupError,
)
from setup_manager.fit import Fit, Settings, fit_of
from setup_manager.library import InstalledModel
from setup_manager.runtimes import RegisterOptions
from setup_manager.session import Session, Subject
from setup_manager.smoke import SmokeReport, require_passed
from setup_manager.units import format_memory


@dataclass(frozen=True, kw_only=True)
class Request(Files, RankedRun, RegisterOptions):
    """What is to be installed, and how.

    Attributes:
        model: MODEL argument, None to take the best for this machine.
    """

    model: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done; shown, confirmed, then carried out.

    Attributes:
        request: What was asked for.
        subject: The model.
        runtime: What will run it.
        settings: How it will be started.
        download: What is fetched and written.
        fit: What it will take and how fast it will be, None where that cannot be worked out.
        line_rate: Bytes per second to expect, None where nothing was downloaded before.
        stages: What was done to make the plan.
    """

    request: Request
    subject: Subject
    runtime: ChosenRuntime
    settings: Settings
    download: download.Plan
    fit: Fit | None = None
    line_rate: float | None = None
    stages: tuple[StageResult, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            **self.download.document(),
            "pinned": self.subject.pinned,
            "runtime": self.runtime.document(),
            "settings": plain(self.settings),
            "memory": plain(self.fit.memory) if self.fit else None,
            "speed": plain(self.fit.speed) if self.fit else None,
            "verdict": self.fit.verdict if self.fit else None,
            "download_seconds": self.download_seconds,
        }

    @property
    def download_seconds(self) -> float | None:
        """How long the download will take, None where no rate is known."""
        fetch = self.download.files.fetch_bytes
        return round(fetch / self.line_rate, 1) if self.line_rate else None

    @property
    def progress(self) -> Progress:
        """What was done to make the plan."""
        return Progress(self.stages)

    @property
    def unstarted(self) -> Progress:
        """How far an installation is that ends with its plan."""
        return Progress(with_skipped(self.stages))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an installation came: the ``partial`` of the error that stopped one.

    Attributes:
        stages: In order; those that were not reached are missing.
    """

    stages: tuple[StageResult, ...]

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `install`."""
        return {"stages": [stage.document() for stage in self.stages]}


@dataclass(frozen=True, slots=True)
class Result(Progress):
    """A model that is installed and answered rightly.

    Attributes:
        model: What is where, and what knows it.
        plan: What was planned.
        smoke: What it answered, and what was measured.
        commands: How it is started and asked from now on.
    """

    model: InstalledModel
    plan: Plan
    smoke: SmokeReport
    commands: StartCommands

    @property
    def path(self) -> Path:
        """What a runtime is given: the weights, or their first shard."""
        return self.model.weights.path


def plan(
    session: Session,
    request: Request,
    offer: Callable[[runtime.Plan], bool] | None = None,
) -> Plan:
    """Check the machine, choose a model if none was named, and plan its installation.

    Args:
        session: What to work with.
        request: What is to be installed.
        offer: Shown llama.cpp's official build where nothing here can run a model; True has it
            installed. None for no.

    Raises:
        SetupError: If it cannot be installed here; ``partial`` is the `Progress` so far.
    """
    stages = Stages(session.observer)
    with _telling_how_far(stages):
        # A wrong MODEL is told before anything is looked at.
        named = _subject(session, request.model, request) if request.model is not None else None
        checked = _check(session, stages)
        chosen = _choose_runtime(session, request.runtime, named, checked, offer)
        subject = _recommend(session, stages, request, named, chosen)
        chosen = _suited(session, request.runtime, subject, chosen)
        made = _plan(session, stages, request, subject, chosen)
    return replace(made, stages=stages.ended)


def run(session: Session, plan: Plan) -> Result:
    """Carry out a plan: download, register, smoke; goes on from whatever is here.

    Raises:
        SetupError: Of the class that fits; ``partial`` is the `Progress` so far.
    """
    stages = Stages(session.observer, plan.stages)
    with _telling_how_far(stages), recorded(session, plan.download.model.name):
        installed = _download(session, stages, plan)
        launch = Launch(installed, plan.subject, plan.runtime, plan.settings)
        registered = _register(session, stages, plan, launch)
        report = _smoke(session, stages, replace(launch, model=registered.model))
    return Result(stages.ended, registered.model, plan, report, registered.commands)


def _subject(session: Session, text: str, request: Request) -> Subject:
    return Subject(session, text, request, latest=request.latest)


@contextmanager
def _telling_how_far(stages: Stages) -> Iterator[None]:
    """Put the stages so far into an error that stops the work."""
    try:
        yield
    except SetupError as error:
        error.partial = Progress(stages.ended)
        raise
    except KeyboardInterrupt:
        stopped = _interrupted(stages)
        stopped.partial = Progress(stages.ended)
        raise stopped from None


def _check(session: Session, stages: Stages) -> check.Result:
    with stages.stage("check") as stage:
        checked = check.run(session, check.Request())
        stage.end(checked)
        _refuse_unready(checked)
    return checked


def _choose_runtime(
    session: Session,
    wanted: str,
    named: Subject | None,
    checked: check.Result,
    offer: Callable[[runtime.Plan], bool] | None,
) -> ChosenRuntime:
    """Choose what runs the model; where nothing can, offer llama.cpp's official build."""
    variant = named.variant_key if named is not None else None
    try:
        return choose_runtime(checked.runtimes, wanted, variant)
    except RuntimeMissingError:
        if wanted not in {"auto", runtime.installable(session).name} or offer is None:
            raise
        if not _accept_build(session, offer):
            raise
    return choose_runtime(find_runtimes(session), wanted, variant)


def _suited(
    session: Session, wanted: str, subject: Subject, chosen: ChosenRuntime
) -> ChosenRuntime:
    """Choose again if the runtime is too old for the model that was recommended with it."""
    if chosen.suits(subject.variant_key):
        return chosen
    return choose_runtime(find_runtimes(session), wanted, subject.variant_key)


def _accept_build(session: Session, offer: Callable[[runtime.Plan], bool]) -> bool:
    try:
        offered = runtime.plan(session, runtime.Request())
    except SetupError:
        return False  # what was missing first is the better thing to say
    if not offer(offered):
        return False
    runtime.run(session, offered)
    return True


def _recommend(
    session: Session,
    stages: Stages,
    request: Request,
    named: Subject | None,
    chosen: ChosenRuntime,
) -> Subject:
    with stages.stage("recommend") as stage:
        if named is not None:
            stage.end(skipped=True)
            return named
        result = recommend.run(session, _weighed(request, chosen))
        stage.end(result)
        return _subject(session, result.recommendation.choices[0].model, request)


def _weighed(request: Request, chosen: ChosenRuntime) -> recommend.Request:
    """Ask for what runs as this installation is to run."""
    asked = {field.name: getattr(request, field.name) for field in fields(RankedRun)}
    return recommend.Request(**{**asked, "runtime": chosen.name})


def _plan(
    session: Session, stages: Stages, request: Request, subject: Subject, chosen: ChosenRuntime
) -> Plan:
    with stages.stage("plan") as stage:
        made = _make_plan(session, request, subject, chosen)
        stage.end(made)
        _refuse_unfit(session, made)
        made.download.files.check_room()
    return made


def _make_plan(session: Session, request: Request, subject: Subject, chosen: ChosenRuntime) -> Plan:
    """Work out everything that will be done; asks the hub only for files that are not pinned."""
    machine, model = session.machine, subject.model
    settings = settings_for(subject, request, machine, chosen.name)
    copies = session.runtime(chosen.name).copies(model, chosen.status, request)
    if _pulled(session, request, chosen):
        files = session.downloader.plan((), copied_bytes=copies.peak_bytes, copied_to=copies.store)
    else:
        files = plan_transfer(
            session, model, copied_bytes=copies.peak_bytes, copied_to=copies.store
        )
    planned = download.Plan(model, files)
    made = Plan(request, subject, chosen, settings, planned, line_rate=session.expected_rate)
    if subject.variant is None:
        return made
    load = subject.load(settings, machine)
    return replace(made, fit=fit_of(load, measurements=session.measurements.all()))


def _pulled(session: Session, options: RegisterOptions, chosen: ChosenRuntime) -> bool:
    """Whether the runtime is to fetch the model by itself."""
    return options.pull and bool(session.runtime(chosen.name).own_server)


def _download(session: Session, stages: Stages, plan: Plan) -> InstalledModel:
    planned = plan.download
    with stages.stage("download") as stage:
        if _pulled(session, plan.request, plan.runtime):
            stage.end(skipped=True)
            known = session.inventory.find(planned.model.name)
            return known or session.inventory.record_start(planned.model, {})
        installed, result = download.carry_out(session, planned)
        stage.end(result, skipped=result.fetched_bytes == 0)
    return installed


def _register(session: Session, stages: Stages, plan: Plan, launch: Launch) -> register.Result:
    with stages.stage("register") as stage:
        exact = plan.request.context is not None
        result = register.run(session, register.Plan(launch, plan.request, exact=exact))
        stage.end(result, skipped=result.already)
    return result


def _smoke(session: Session, stages: Stages, launch: Launch) -> SmokeReport:
    with stages.stage("smoke") as stage:
        report = smoke.carry_out(session, smoke.Plan(launch))
        stage.end(report)
        require_passed(report)
    return report


def _refuse_unready(checked: check.Result) -> None:
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
            hint=first.advice or "Run `gemma-setup check` for details.",
        )


def _refuse_unfit(session: Session, plan: Plan) -> None:
    fit, machine = plan.fit, session.machine
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


def _interrupted(stages: Stages) -> InterruptedByUserError:
    where = stages.ended[-1].name if stages.ended else "the beginning"
    return InterruptedByUserError(
        f"Stopped (Ctrl-C) during {where}.",
        hint="Run the same command again to continue: nothing that was downloaded is lost.",
    )
