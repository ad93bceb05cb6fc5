"""Trying an installed model: what is predicted, the test under its guard, what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from setup_manager.app.planning import Launch, plan_launch
from setup_manager.app.record import observed, recorded
from setup_manager.app.requests import Run
from setup_manager.catalog import Role
from setup_manager.errors import UsageError
from setup_manager.fit import Fit, Measurement, Settings, fit_of
from setup_manager.library import InstalledModel
from setup_manager.machine import Live
from setup_manager.runtimes import REGISTRY, StartOptions
from setup_manager.session import Session, Subject
from setup_manager.smoke import (
    SMOKE_CONTEXT,
    Prediction,
    SmokeReport,
    SmokeRequest,
    Watch,
    run_smoke,
)


@dataclass(frozen=True, kw_only=True)
class Request(Run):
    """Which model is tried, and how far.

    Attributes:
        model: MODEL argument of an installed model.
        image: Ask about a picture; needs the projector.
        long_minutes: How long generation is repeated, 0 for once.
    """

    model: str
    image: bool = False
    long_minutes: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be tried, and how far.

    Attributes:
        launch: The model, what runs it, and how it is started for use; the test takes a short
            context of it.
        image: Ask about a picture; needs the projector.
        long_minutes: How long generation is repeated, 0 for once.
        with_drafter: Measure with the drafter too.
    """

    launch: Launch
    image: bool = False
    long_minutes: float = 0.0
    with_drafter: bool = False


def plan(session: Session, request: Request) -> Plan:
    """Say what will be tried.

    Raises:
        RuntimeMissingError: If what is to run it is not here.
        UsageError: If the model is not installed, or a file that the test needs is not.
    """
    launch = plan_launch(session, request.model, request)
    needed = {Role.PROJECTOR: request.image, Role.DRAFTER: request.with_drafter}
    for role, wanted in needed.items():
        if wanted:
            _require_companion(launch.model, role)
    if request.with_drafter:
        _require_comparison(launch)
    return Plan(launch, request.image, request.long_minutes, request.with_drafter)


def run(session: Session, plan: Plan) -> SmokeReport:
    """Try a model with a runtime, and keep what was measured.

    Returns:
        What came of it, right or wrong: `require_passed` makes the error of a wrong one.

    Raises:
        SmokeFailedError: If it does not run.
        RuntimeMissingError: If the runtime is too old for it.
    """
    with recorded(session, plan.launch.model.name):
        return carry_out(session, plan)


def carry_out(session: Session, plan: Plan) -> SmokeReport:
    """Do what `run` does, without a record for the report."""
    launch, model = plan.launch, plan.launch.model
    options = StartOptions.of(replace(launch.settings, drafter=plan.with_drafter))
    context = min(options.context, SMOKE_CONTEXT)
    tried = replace(launch.settings, context=context, slots=1, drafter=False)
    request = SmokeRequest(
        model=model,
        status=launch.runtime.status,
        options=options,
        predicted=_prediction(session, launch.subject, tried),
        image=plan.image,
        has_gpu=bool(session.machine.gpus),
        long_minutes=plan.long_minutes,
    )
    runtime = session.runtime(launch.runtime.name)
    report = run_smoke(runtime, request, _watch(session), session.observer.smoke)
    _keep(session, model, report)
    # What is kept beside the measurement is the prediction that knew no measurement, so that
    # corrections do not pile up.
    plain = _fit(session, launch.subject, tried, ())
    measured = report.completion.tokens_per_second
    if report.passed and plain is not None and measured > 0:
        before = plain.speed
        session.measurements.add(
            Measurement(model.name, tried, before.tokens_per_second, measured, before.limited_by)
        )
    return report


def _require_companion(model: InstalledModel, role: Role) -> None:
    if model.file(role) is None:
        raise UsageError(
            f"{model.name} was installed without its {role}.",
            code="not-installed",
            hint=f"Run `gemma-setup download {model.name} --with-{role}` first.",
        )


def _require_comparison(launch: Launch) -> None:
    """Refuse to compare with and without the drafter where the runtime has one way only.

    Raises:
        UsageError: If it has.
    """
    if REGISTRY[launch.runtime.name].own_server:
        others = [name for name in REGISTRY if not REGISTRY[name].own_server]
        raise UsageError(
            f"{launch.runtime.name} cannot be measured with and without the drafter.",
            code="drafter-not-comparable",
            context=["it starts the model as registered and reports nothing about the drafter"],
            hint="Leave out --with-drafter, or use a runtime that is started for each test: "
            f"--runtime {' or '.join(others)}.",
        )


def _prediction(session: Session, subject: Subject | None, settings: Settings) -> Prediction | None:
    fit = _fit(session, subject, settings, session.measurements.all())
    if fit is None:
        return None
    speed = fit.speed
    return Prediction(fit.memory.total_bytes, speed.tokens_per_second, speed.low, speed.high)


def _fit(
    session: Session,
    subject: Subject | None,
    settings: Settings,
    measurements: Sequence[Measurement],
) -> Fit | None:
    if subject is None or subject.variant is None:
        return None
    return fit_of(subject.load(settings, session.machine), measurements=measurements)


def _watch(session: Session) -> Watch:
    live = Live(session.machine, session.environment)
    watch = Watch(live.read, live.read_process, live.used_vram_bytes)
    return observed(watch, session.observer)


def _keep(session: Session, model: InstalledModel, report: SmokeReport) -> None:
    """Record the result with the model."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    result = {"time": now, **report.document()}
    session.inventory.update(model, lambda known: replace(known, last_smoke=result))
