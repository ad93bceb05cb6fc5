"""Trying an installed model: what is predicted, the test under its guard, what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from setup_manager.app.record import observed
from setup_manager.app.requests import Run
from setup_manager.app.verbs.runtime import server_runtime
from setup_manager.catalog import Role
from setup_manager.errors import UsageError
from setup_manager.fit import Fit, Measurement, Settings, fit_of
from setup_manager.library import InstalledModel
from setup_manager.machine import Live
from setup_manager.net import LocalClient
from setup_manager.runtimes.base import ModelFiles, RuntimeStatus
from setup_manager.runtimes.options import start_options
from setup_manager.session import Session, Subject
from setup_manager.smoke import (
    Prediction,
    SmokeReport,
    SmokeRequest,
    Watch,
    run_smoke,
    run_smoke_ollama,
    smoke_options,
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
class Trial:
    """How far a model is tried.

    Attributes:
        image: Ask about a picture; needs the projector.
        long_minutes: How long generation is repeated, 0 for once.
        with_drafter: Measure with the drafter too.
    """

    image: bool = False
    long_minutes: float = 0.0
    with_drafter: bool = False


def installed(session: Session, name: str) -> InstalledModel:
    """Find an installed model.

    Raises:
        UsageError: If it is not installed, or files are gone.
    """
    model = session.inventory.find(name)
    if model is None:
        raise UsageError(
            f"{name} is not installed.",
            code="not-installed",
            context=[f"installed: {', '.join(m.name for m in session.inventory.models()) or '-'}"],
            hint=f"Run `gemma-setup install {name}` first.",
        )
    if not model.complete:
        gone = next(file for file in model.files if not file.present)
        raise UsageError(
            f"A file of {name} is gone or was changed.",
            code="not-installed",
            context=[str(gone.path)],
            hint=f"Run `gemma-setup download {name}`; it fetches only what is missing.",
        )
    return model


def model_files(model: InstalledModel, *, with_drafter: bool = False) -> ModelFiles:
    """Name the files that a runtime is started with.

    Raises:
        UsageError: If there are none, since Ollama fetched the model by itself.
    """
    if not model.files:
        raise UsageError(
            f"{model.name} is in Ollama only: there is no file of it that another runtime can use.",
            code="not-installed",
            hint=f"Run `gemma-setup download {model.name}`, or use --runtime ollama.",
        )
    projector = model.file(Role.PROJECTOR)
    drafter = model.file(Role.DRAFTER) if with_drafter else None
    return ModelFiles(
        weights=model.weights.path,
        projector=projector.path if projector else None,
        drafter=drafter.path if drafter else None,
    )


def smoke(
    session: Session,
    model: InstalledModel,
    subject: Subject | None,
    runtime: RuntimeStatus,
    settings: Settings,
    trial: Trial | None = None,
) -> SmokeReport:
    """Try a model with a runtime, and keep what was measured.

    Args:
        session: What to work with.
        model: The installed model.
        subject: What the catalogue knows of it, for the prediction; None without.
        runtime: What runs it.
        settings: How it is started for use; the test takes a short context of it.
        trial: How far it is tried.

    Raises:
        SmokeFailedError: If it does not run.
        RuntimeMissingError: If the runtime is too old for it.
    """
    trial = trial or Trial()
    _require_companions(model, trial)
    machine = session.machine
    options = smoke_options(start_options(settings))
    tried = replace(settings, context=options.context, slots=1, drafter=False)
    predicted = _prediction(_predict(session, subject, tried, session.measurements.all()))
    request = SmokeRequest(
        model=model.name,
        options=options,
        predicted=predicted,
        image=trial.image,
        has_gpu=bool(machine.gpus),
        long_minutes=trial.long_minutes,
    )
    watch = _watch(session)
    if runtime.name == "ollama":
        client, known_as = LocalClient(runtime.endpoint), _registered_name(model)
        report = run_smoke_ollama(client, known_as, request, watch, session.observer.smoke)
    else:
        files = model_files(model, with_drafter=trial.with_drafter)
        if not trial.image:
            files = replace(files, projector=None)
        report = run_smoke(server_runtime(runtime), files, request, watch, session.observer.smoke)
    _keep(session, model, report)
    # What is kept beside the measurement is the prediction that knew no measurement, so that
    # corrections do not pile up.
    plain = _predict(session, subject, tried, ())
    measured = report.completion.tokens_per_second
    if report.passed and plain is not None and measured > 0:
        before = plain.speed
        session.measurements.add(
            Measurement(model.name, tried, before.tokens_per_second, measured, before.limited_by)
        )
    return report


def _registered_name(model: InstalledModel) -> str:
    registration = model.registration("ollama")
    if registration is None:
        raise UsageError(
            f"Ollama does not know {model.name} by this tool.",
            code="not-registered",
            hint=f"Run `gemma-setup register {model.name} --runtime ollama` first.",
        )
    return registration.name


def _require_companions(model: InstalledModel, trial: Trial) -> None:
    """Refuse a trial for which a file is missing.

    Raises:
        UsageError: If it is.
    """
    needed = {Role.PROJECTOR: trial.image, Role.DRAFTER: trial.with_drafter}
    for role, wanted in needed.items():
        if wanted and model.file(role) is None:
            raise UsageError(
                f"{model.name} was installed without its {role}.",
                code="not-installed",
                hint=f"Run `gemma-setup download {model.name} --with-{role}` first.",
            )


def _predict(
    session: Session,
    subject: Subject | None,
    settings: Settings,
    measurements: Sequence[Measurement],
) -> Fit | None:
    if subject is None or subject.variant is None:
        return None
    return fit_of(subject.load(settings, session.machine), measurements=measurements)


def _prediction(fit: Fit | None) -> Prediction | None:
    if fit is None:
        return None
    speed = fit.speed
    return Prediction(fit.memory.total_bytes, speed.tokens_per_second, speed.low, speed.high)


def _watch(session: Session) -> Watch:
    live = Live(session.machine, session.environment)
    watch = Watch(live.read, live.read_process, live.used_vram_bytes)
    return observed(watch, session.observer)


def _keep(session: Session, model: InstalledModel, report: SmokeReport) -> None:
    """Record the result with the model."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    current = session.inventory.find(model.name) or model
    session.inventory.save(replace(current, last_smoke={"time": now, **report.to_document()}))
