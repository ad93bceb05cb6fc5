"""Making a runtime know an installed model, and taking that back.

What was registered is kept with the model in the inventory; for Ollama an intention is written
before, so that a registration that was cut off is known as ours and gone through again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from setup_manager.errors import RegistrationFailedError
from setup_manager.fit.settings import Settings
from setup_manager.runtimes import llama_cpp, ollama
from setup_manager.runtimes.base import RuntimeStatus
from setup_manager.runtimes.ollama.registration import RegisterProgress
from setup_manager.runtimes.ollama.server import find_model
from setup_manager.runtimes.options import start_options
from setup_manager.runtimes.presets import Preset, preset_name
from setup_manager.smoke.request import SmokeEvent
from setup_manager.state.inventory import InstalledModel, Registration
from setup_manager.units import format_size
from setup_manager.workflow.session import Session
from setup_manager.workflow.smoke import model_files


@dataclass(frozen=True, slots=True)
class RegisterResult:
    """A registration.

    Attributes:
        model: The installed model, with the registration in it.
        registration: What the runtime knows now.
        already: Whether it was registered just so before.
    """

    model: InstalledModel
    registration: Registration
    already: bool

    def document(self) -> dict[str, Any]:
        """Return ``data`` of `register`."""
        return {
            "model": self.model.name,
            "runtime": self.registration.runtime,
            "name": self.registration.name,
            "already": self.already,
            "details": dict(self.registration.details),
        }


@dataclass(frozen=True, slots=True)
class OllamaWay:
    """How a model gets into Ollama.

    Attributes:
        link: Link the blobs and write the manifest by hand: no copy, undocumented.
        pull: Let Ollama fetch the model from the hub by itself.
        name: Name to register under, None for the usual one.
    """

    link: bool = False
    pull: bool = False
    name: str | None = None


def register(
    session: Session,
    model: InstalledModel,
    runtime: RuntimeStatus,
    settings: Settings,
    way: OllamaWay | None = None,
) -> RegisterResult:
    """Make a runtime know a model.

    Args:
        session: What to work with.
        model: The installed model, all files verified.
        runtime: What is to know it.
        settings: How it is to be started.
        way: How it gets into Ollama.

    Raises:
        RegistrationFailedError: If the runtime does not take it, or the name is taken.
    """
    before = next((r for r in model.registrations if r.runtime == runtime.name), None)
    steps = {
        "llama.cpp": lambda: _register_preset(session, model, runtime, settings),
        "ollama": lambda: _register_ollama(
            session, model, runtime, settings, way or OllamaWay(), before
        ),
        "embedded": lambda: Registration("embedded", model.name),
    }
    made = steps[runtime.name]()
    current = model.with_registration(made)
    session.inventory.save(current)
    return RegisterResult(current, made, already=made == before)


def _register_preset(
    session: Session, model: InstalledModel, runtime: RuntimeStatus, settings: Settings
) -> Registration:
    """Write a section of the preset file; the hub cache itself is known to llama.cpp already."""
    name = preset_name(model.variant, model.repository, model.quantization)
    files = model_files(model, with_drafter=settings.drafter)
    flags = llama_cpp.help_flags(Path(runtime.path))
    session.presets.put(Preset(name, files, start_options(settings)), flags)
    details = {
        "preset_file": str(session.presets.path),
        "program": runtime.path,
        "hub_cache": session.paths.models is None
        and session.layout.leads_to(model.weights.artifact),
    }
    return Registration("llama.cpp", name, details)


def _register_ollama(
    session: Session,
    model: InstalledModel,
    runtime: RuntimeStatus,
    settings: Settings,
    way: OllamaWay,
    before: Registration | None,
) -> Registration:
    name = way.name or ollama.registered_name(model.variant, model.repository, model.quantization)
    known = _recorded(before) if before and before.name == name else None
    if known is None:
        known = ollama.Registration(name, "", "")
        _refuse_taken(runtime, name)
        session.inventory.save(model.with_registration(_kept(name, known, runtime)))
    client = ollama.connect(runtime.endpoint)
    if way.pull:
        # The hub's tag has no word for trained weights: they are in a repository of their own.
        source = f"hf.co/{model.repository}:{model.quantization.removeprefix('QAT-')}"
        made = ollama.pull(client, name, source, known=known, observer=_told(session))
    else:
        request = ollama.OllamaRequest(
            name=name,
            files=_blob_files(model, settings),
            options=start_options(settings),
            stores=ollama.store_candidates(session.environment, session.home or Path("/")),
            known=known,
        )
        put = ollama.register_by_link if way.link else ollama.register
        made = put(client, request, _told(session))
    return _kept(name, made, runtime)


def _refuse_taken(runtime: RuntimeStatus, name: str) -> None:
    """Refuse a name that Ollama knows and we never used, before it is written down as ours.

    Raises:
        RegistrationFailedError: If it is taken.
    """
    taken = find_model(ollama.connect(runtime.endpoint), name)
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


def _kept(name: str, made: ollama.Registration, runtime: RuntimeStatus) -> Registration:
    # As JSON gives it back, so that what was kept can be compared with what is.
    details = {**asdict(made), "linked": list(made.linked), "endpoint": runtime.endpoint}
    return Registration("ollama", name, details)


def _recorded(kept: Registration) -> ollama.Registration:
    """Read what was kept of a registration."""
    details = dict(kept.details)
    details.pop("endpoint", None)
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
        there = ollama.unregister(client, _recorded(registration))
    session.inventory.save(model.without_registration(registration.runtime))
    return there
