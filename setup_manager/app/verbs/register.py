"""Making a runtime know an installed model, and taking that back.

What was registered is kept with the model in the inventory; for Ollama an intention is written
before, so that a registration that was cut off is known as ours and gone through again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from setup_manager.app.installed import model_files
from setup_manager.app.planning import Launch, plan_launch
from setup_manager.app.requests import IntoOllama, Run
from setup_manager.app.verbs.serve import StartCommands, start_commands
from setup_manager.catalog import Model, Role
from setup_manager.errors import RegistrationFailedError
from setup_manager.fit import Settings
from setup_manager.library import InstalledModel, Registration
from setup_manager.net import LocalClient
from setup_manager.runtimes import llama_cpp, ollama
from setup_manager.runtimes.base import RuntimeStatus
from setup_manager.runtimes.ollama.registration import (
    RegisterProgress,
    find_store,
    missing_blobs,
    start_parameters,
)
from setup_manager.runtimes.ollama.server import find_model
from setup_manager.runtimes.ollama.versions import ollama_copies_bytes
from setup_manager.runtimes.options import start_options
from setup_manager.runtimes.presets import Preset, preset_name
from setup_manager.session import Session
from setup_manager.smoke import SmokeEvent
from setup_manager.units import format_size


@dataclass(frozen=True, kw_only=True)
class Request(Run, IntoOllama):
    """What is registered, and with what.

    Attributes:
        model: MODEL argument of an installed model.
    """

    model: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be registered.

    Attributes:
        launch: The model, what is to know it, and how it will be started.
        way: How it gets into Ollama.
        exact: Whether the settings were asked for: a registration with others is made anew.
    """

    launch: Launch
    way: IntoOllama
    exact: bool = False

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `register` before anything is done."""
        return {"model": self.launch.model.name, "runtime": self.launch.runtime.name}


@dataclass(frozen=True, slots=True)
class Result:
    """A registration.

    Attributes:
        model: The installed model, with the registration in it.
        registration: What the runtime knows now.
        already: Whether it was registered just so before.
        commands: How it is started and asked from now on.
    """

    model: InstalledModel
    registration: Registration
    already: bool
    commands: StartCommands

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `register`."""
        return {
            "model": self.model.name,
            "runtime": self.registration.runtime,
            "name": self.registration.name,
            "already": self.already,
            "details": dict(self.registration.details),
            "start": self.commands.start,
            "ask": self.commands.ask,
        }


def plan(session: Session, request: Request) -> Plan:
    """Say what will be registered, and that there is room for the copies.

    Raises:
        RuntimeMissingError: If what is to know it is not here.
        UsageError: If the model is not installed.
        InsufficientDiskError: If there is no room for the runtime's copies.
    """
    launch = plan_launch(session, request.model, request)
    copied = copied_bytes(session, _files_of(launch.model), launch.runtime.status, request)
    if copied:
        store = ollama_store(session)
        session.downloader.plan((), copied_bytes=copied, copied_to=store).check_room()
    return Plan(launch, request, exact=request.context is not None)


def run(session: Session, plan: Plan) -> Result:
    """Make a runtime know a model.

    Raises:
        RegistrationFailedError: If the runtime does not take it, or the name is taken.
    """
    launch, model = plan.launch, plan.launch.model
    runtime, settings = launch.runtime.status, launch.settings
    steps = {
        "llama.cpp": lambda: _register_preset(session, model, runtime, settings),
        "ollama": lambda: _register_ollama(
            session, model, runtime, settings, plan.way, exact=plan.exact
        ),
        "embedded": lambda: Registration("embedded", model.name),
    }
    made = steps[runtime.name]()
    # Read again: an older registration may have been taken out on the way.
    current = session.inventory.update(model, lambda known: known.with_registration(made))
    commands = start_commands(session, current, made)
    return Result(current, made, made in model.registrations, commands)


def _register_preset(
    session: Session, model: InstalledModel, runtime: RuntimeStatus, settings: Settings
) -> Registration:
    """Write a section of the preset file; the hub cache itself is known to llama.cpp already."""
    files = model_files(model, with_drafter=settings.drafter)
    name = _preset_name(session, model)
    details = {
        "preset_file": str(session.presets.path),
        "program": runtime.path,
        "hub_cache": session.paths.models is None
        and session.layout.leads_to(model.weights.artifact),
    }
    made = Registration("llama.cpp", name, details)
    if model.registration("llama.cpp", name) is None and name in session.presets.names():
        raise RegistrationFailedError(
            f"The preset file has a section {name} that this tool did not write.",
            context=(str(session.presets.path),),
            hint="Give that section another name, or take it out.",
        )
    session.inventory.update(model, lambda known: known.with_registration(made))
    flags = llama_cpp.help_flags(Path(runtime.path))
    session.presets.put(Preset(name, files, start_options(settings)), flags)
    return made


def _preset_name(session: Session, model: InstalledModel) -> str:
    """Name a model's section; two repositories of one name are told apart by their owners."""
    name = preset_name(model.variant, model.repository, model.quantization)
    others = (other for other in session.inventory.models() if other.name != model.name)
    if any(other.registration("llama.cpp", name) for other in others):
        return preset_name(None, model.repository.replace("/", "-"), model.quantization)
    return name


def _register_ollama(
    session: Session,
    model: InstalledModel,
    runtime: RuntimeStatus,
    settings: Settings,
    way: IntoOllama,
    *,
    exact: bool,
) -> Registration:
    name = way.name or ollama.registered_name(model.variant, model.repository, model.quantization)
    client = ollama.connect(runtime.endpoint)
    pulled = way.pull or not model.files
    request = ollama.OllamaRequest(
        name=name,
        files=() if pulled else _blob_files(model, settings),
        options=start_options(settings),
        stores=_stores(session),
    )
    asked = _asked(request)
    before = model.registration("ollama", name)
    if before is not None and _is_stale(before, asked, way, exact=exact):
        unregister(session, model, before)
        model, before = model.without_registration(before), None
    known = _recorded(before) if before else None
    if known is None:
        _refuse_taken(client, name)
        known = ollama.Registration(name, "", "", linked=missing_blobs(client, request.files))
        begun = _kept(name, known, runtime, asked)
        session.inventory.update(model, lambda known: known.with_registration(begun))
    if pulled:
        # The hub's tag has no word for trained weights: they are in a repository of their own.
        source = f"hf.co/{model.repository}:{model.quantization.removeprefix('QAT-')}"
        made = ollama.pull(client, name, source, known=known, observer=_told(session))
    else:
        put = ollama.register_by_link if way.ollama_link else ollama.register
        made = put(client, replace(request, known=known), _told(session))
    if before is not None and made == known:
        asked = before.details.get("asked", asked)
    return _kept(name, made, runtime, asked)


def _stores(session: Session) -> tuple[Path, ...]:
    return ollama.store_candidates(session.environment, session.home or Path("/"))


def ollama_store(session: Session) -> Path:
    """Return where the store of a local Ollama most likely is."""
    return next(iter(_stores(session)), session.paths.ollama_models.path)


def _asked(request: ollama.OllamaRequest) -> dict[str, Any]:
    """Say what a registration was made of, to tell one that is out of date."""
    return {
        "files": [file.sha256 for file in request.files],
        "parameters": start_parameters(request.options),
    }


def _is_stale(before: Registration, asked: dict[str, Any], way: IntoOllama, *, exact: bool) -> bool:
    """Whether a registration has other files, other settings or another form than asked for now.

    Settings that nobody asked for follow the free memory, and are no reason to do it all again.
    """
    made_of = before.details.get("asked", asked)
    form = "link" if way.ollama_link else "pull" if way.pull else before.details["way"]
    other_files = made_of["files"] != asked["files"]
    other_settings = exact and made_of["parameters"] != asked["parameters"]
    finished = bool(before.details["digest"])
    return finished and (other_files or other_settings or before.details["way"] != form)


def copied_bytes(session: Session, model: Model, runtime: RuntimeStatus, way: IntoOllama) -> int:
    """Say what a registration will write beside the model's own files, at its peak."""
    if runtime.name != "ollama" or way.ollama_link or _is_in_ollama(session, model, way):
        return 0
    if way.pull:
        return model.size_bytes
    size = sum(artifact.size_bytes for artifact in model.weights)
    return ollama_copies_bytes(runtime.version, size).peak_bytes


def _is_in_ollama(session: Session, model: Model, way: IntoOllama) -> bool:
    """Whether a model is registered with Ollama as recorded, so that nothing will be copied."""
    known = session.inventory.find(model.name)
    if known is None:
        return False
    name = way.name or ollama.registered_name(known.variant, known.repository, known.quantization)
    registration = known.registration("ollama", name)
    if registration is None or not registration.details.get("digest"):
        return False
    if way.pull:
        return bool(registration.details["way"] == "pull")
    files = registration.details.get("asked", {}).get("files", ())
    return all(artifact.sha256 in files for artifact in model.weights)


def _files_of(installed: InstalledModel) -> Model:
    weights = (file.artifact for file in installed.files if file.artifact.role is Role.WEIGHTS)
    return Model(
        installed.name, installed.variant, installed.quantization, installed.qat, tuple(weights)
    )


def _refuse_taken(client: LocalClient, name: str) -> None:
    """Refuse a name that Ollama knows and we never used, before it is written down as ours.

    Raises:
        RegistrationFailedError: If it is taken.
    """
    taken = find_model(client, name)
    if taken is not None:
        raise RegistrationFailedError(
            f"Ollama already has a model called {name}, and it is not one that this tool put "
            "there.",
            context=(f"digest {taken.digest[:12]}, {format_size(taken.size_bytes)}",),
            hint=f"Give another name with --name, or remove it with `ollama rm {name}`.",
        )


def _blob_files(model: InstalledModel, settings: Settings) -> tuple[ollama.BlobFile, ...]:
    wanted = {"weights"} | ({"drafter"} if settings.drafter else set()) | {"projector"}
    return tuple(
        ollama.BlobFile(
            file.path.name, file.path.resolve(), file.artifact.sha256, file.artifact.role
        )
        for file in model.files
        if file.artifact.role in wanted
    )


def _kept(
    name: str, made: ollama.Registration, runtime: RuntimeStatus, asked: dict[str, Any]
) -> Registration:
    # As JSON gives it back, so that what was kept can be compared with what is.
    details = {**asdict(made), "linked": list(made.linked)}
    details |= {"endpoint": runtime.endpoint, "asked": asked}
    return Registration("ollama", name, details)


def _recorded(kept: Registration) -> ollama.Registration:
    """Read what was kept of a registration."""
    beside = {"endpoint", "asked"}
    details = {key: value for key, value in kept.details.items() if key not in beside}
    return ollama.Registration(**{**details, "linked": tuple(details.get("linked", ()))})


def _told(session: Session) -> Callable[[RegisterProgress], None]:
    def tell(progress: RegisterProgress) -> None:
        done = f"{format_size(progress.done_bytes)} of {format_size(progress.total_bytes)}"
        detail = f"{progress.detail} {done if progress.total_bytes else ''}".strip()
        session.observer.smoke(SmokeEvent(progress.step, detail=detail))

    return tell


def unregister(session: Session, model: InstalledModel, registration: Registration) -> bool:
    """Take a registration out of its runtime and out of the inventory.

    Returns:
        Whether the runtime still knew it.

    Raises:
        RegistrationFailedError: If the runtime refuses, or Ollama's server does not answer.
    """
    there = True
    if registration.runtime == "llama.cpp":
        there = session.presets.remove(registration.name)
    elif registration.runtime == "ollama":
        client = ollama.connect(str(registration.details.get("endpoint", "")))
        recorded = _recorded(registration)
        if not recorded.digest:  # cut off: where its blobs went was not written down yet
            store = find_store(client, _stores(session)) if recorded.linked else None
            recorded = replace(recorded, store=str(store or ""))
        there = ollama.unregister(client, recorded)
    session.inventory.update(model, lambda known: known.without_registration(registration))
    return there
