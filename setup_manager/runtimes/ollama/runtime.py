"""Ollama as one of the runtimes: a server of its own that is given models and asked for them.

What was registered is kept with the model in the inventory. An intention is written before, so that
a registration that was cut off is known as ours and gone through again.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from setup_manager.catalog import Model, Role
from setup_manager.errors import RegistrationFailedError, UsageError
from setup_manager.fit import Settings
from setup_manager.library import InstalledFile, InstalledModel, Registration
from setup_manager.net import LocalClient
from setup_manager.runtimes.base import (
    Copies,
    Observer,
    Opening,
    RegisterOptions,
    Runtime,
)
from setup_manager.runtimes.ollama.address import same_server
from setup_manager.runtimes.ollama.names import registered_name
from setup_manager.runtimes.ollama.registration import (
    OllamaEntry,
    OllamaRequest,
    find_store,
    missing_blobs,
    pull,
    register,
    register_by_link,
    start_parameters,
    unregister,
)
from setup_manager.runtimes.ollama.served import OllamaServed
from setup_manager.runtimes.ollama.server import NAME, UPDATE, connect, find, find_model
from setup_manager.runtimes.ollama.store import BlobFile, store_candidates
from setup_manager.runtimes.ollama.versions import assess, ollama_copies_bytes
from setup_manager.runtimes.options import StartOptions
from setup_manager.runtimes.status import RuntimeStatus
from setup_manager.units import MIB, format_size

# What the inventory keeps of a registration beside the entry itself.
_BESIDE = frozenset({"endpoint", "asked"})


class Ollama(Runtime):
    """An Ollama server, on this machine or another."""

    name = NAME
    title = "Ollama"
    program_bytes = 200 * MIB
    bounds_caches = False
    reason = "its server is running, and llama.cpp was not found"
    own_server = "ollama run"

    @classmethod
    def how_to_get(cls) -> str:
        """Return what installs it."""
        return "Install it from https://ollama.com/download."

    def find(self) -> RuntimeStatus:
        """Look for a running server, and for a program if none runs."""
        return find(self.at.environment)

    @classmethod
    def judged(cls, status: RuntimeStatus, variant: str | None) -> RuntimeStatus:
        """Hold a running server's version against what the variant needs."""
        if not status.endpoint:
            return status
        assessment = assess(status.version, variant)
        if assessment.gemma4 == status.gemma4:
            return status
        return replace(status, gemma4=assessment.gemma4, detail=assessment.detail, hint=UPDATE)

    @classmethod
    def ready(cls, status: RuntimeStatus) -> bool:
        """Whether its server runs."""
        return status.usable and bool(status.endpoint)

    def copies(self, model: Model, status: RuntimeStatus, options: RegisterOptions) -> Copies:
        """Work out what create, or its own download, writes into its store."""
        if options.ollama_link or self._holds(model, status, options):
            return Copies()
        if options.pull:
            return Copies(model.size_bytes, self._likely_store())
        size = sum(artifact.size_bytes for artifact in model.weights)
        peak = ollama_copies_bytes(status.version, size).peak_bytes
        return Copies(peak, self._likely_store())

    def _likely_store(self) -> Path:
        return next(iter(self._stores()), self.at.paths.ollama_models.path)

    def _stores(self) -> tuple[Path, ...]:
        return store_candidates(self.at.environment, self.at.home or Path("/"))

    def _holds(self, model: Model, status: RuntimeStatus, options: RegisterOptions) -> bool:
        """Whether a model is registered as recorded, so that nothing will be copied."""
        installed = self.at.inventory.find(model.name)
        if installed is None:
            return False
        known = _known(installed.registrations, status.endpoint, _name_for(installed, options))
        if known is None or not known.details.get("digest"):
            return False
        if options.pull:
            return bool(known.details["way"] == "pull")
        files = known.details.get("asked", {}).get("files", ())
        return all(artifact.sha256 in files for artifact in model.weights)

    def register(
        self,
        model: InstalledModel,
        status: RuntimeStatus,
        settings: Settings,
        options: RegisterOptions,
        observer: Observer,
        *,
        exact: bool,
    ) -> Registration:
        """Register by its interface, by links of ours, or by a download of its own."""
        client = connect(status.endpoint)
        name = _name_for(model, options)
        pulled = options.pull or not model.files
        request = OllamaRequest(
            name=name,
            files=() if pulled else _blob_files(model, settings),
            options=StartOptions.of(settings),
            stores=self._stores(),
        )
        asked = _asked(request)
        before = _known(model.registrations, status.endpoint, name)
        if before is not None and _is_stale(before, asked, options, exact=exact):
            model, before = self._without(model, before), None
        endpoint = str(before.details["endpoint"]) if before else status.endpoint
        known = _entry(before) if before else None
        if known is None:
            _refuse_taken(client, name)
            known = OllamaEntry(name, "", "", linked=missing_blobs(client, request.files))
            begun = _kept(name, known, endpoint, asked)
            self.at.inventory.update(model, lambda kept: kept.with_registration(begun))
        made = _put(client, model, replace(request, known=known), options, observer)
        if before is not None and made == known:
            return before
        return _kept(name, made, endpoint, asked)

    def _without(self, model: InstalledModel, stale: Registration) -> InstalledModel:
        self.unregister(stale)
        return self.at.inventory.update(model, lambda kept: kept.without_registration(stale))

    def unregister(self, registration: Registration) -> bool:
        """Delete it on the server that it was registered with, and the blobs of ours."""
        client = connect(str(registration.details.get("endpoint", "")))
        entry = _entry(registration)
        if not entry.digest:  # cut off: where its blobs went was not written down yet
            store = find_store(client, self._stores()) if entry.linked else None
            entry = replace(entry, store=str(store or ""))
        return unregister(client, entry)

    def start_line(self, registration: Registration, model: str, program: str) -> str:
        """Return the command that chats with the model."""
        del model, program
        return f"{self.own_server} {shlex.quote(registration.name)}"

    def endpoint_of(self, registration: Registration) -> str:
        """Return the address of the server that it was registered with."""
        return str(registration.details["endpoint"])

    def open(
        self,
        model: InstalledModel,
        status: RuntimeStatus,
        options: StartOptions,
        opening: Opening,
    ) -> OllamaServed:
        """Prepare to have the server load the model by the latest name that it has there."""
        del options
        known = _known(model.registrations, status.endpoint)
        if known is None:
            raise UsageError(
                f"Ollama does not know {model.name} from gemma-setup.",
                code="not-registered",
                context=(status.endpoint,),
                hint=f"Run `gemma-setup register {model.name} --runtime ollama` first.",
            )
        return OllamaServed(LocalClient(status.endpoint), known.name, opening)


def _name_for(model: InstalledModel, options: RegisterOptions) -> str:
    usual = registered_name(model.variant, model.repository, model.quantization)
    return options.name or usual


def _known(
    registrations: Iterable[Registration], endpoint: str, name: str | None = None
) -> Registration | None:
    """Find the latest registration with one server, or the one of a name there."""
    return next(
        (
            entry
            for entry in reversed(tuple(registrations))
            if entry.runtime == NAME
            and name in {None, entry.name}
            and same_server(str(entry.details.get("endpoint", "")), endpoint)
        ),
        None,
    )


def _put(
    client: LocalClient,
    model: InstalledModel,
    request: OllamaRequest,
    options: RegisterOptions,
    observer: Observer,
) -> OllamaEntry:
    if not request.files:
        # The hub's tag has no word for trained weights: they are in a repository of their own.
        source = f"hf.co/{model.repository}:{model.quantization.removeprefix('QAT-')}"
        return pull(client, request.name, source, known=request.known, observer=observer)
    put = register_by_link if options.ollama_link else register
    return put(client, request, observer)


def _asked(request: OllamaRequest) -> dict[str, Any]:
    """Say what a registration was made of, to tell one that is out of date."""
    return {
        "files": [file.sha256 for file in request.files],
        "parameters": start_parameters(request.options),
    }


def _is_stale(
    before: Registration, asked: dict[str, Any], options: RegisterOptions, *, exact: bool
) -> bool:
    """Whether a registration has other files, other settings or another form than asked for now.

    Settings that nobody asked for follow the free memory, and are no reason to do it all again.
    """
    made_of = before.details.get("asked", asked)
    form = "link" if options.ollama_link else "pull" if options.pull else before.details["way"]
    other_files = made_of["files"] != asked["files"]
    other_settings = exact and made_of["parameters"] != asked["parameters"]
    finished = bool(before.details["digest"])
    return finished and (other_files or other_settings or before.details["way"] != form)


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
            hint=f"Choose another name with --name, or remove it with `ollama rm {name}`.",
        )


def _blob_files(model: InstalledModel, settings: Settings) -> tuple[BlobFile, ...]:
    unwanted = set() if settings.drafter else {Role.DRAFTER}
    return tuple(_blob(file) for file in model.files if file.artifact.role not in unwanted)


def _blob(file: InstalledFile) -> BlobFile:
    return BlobFile(file.path.name, file.path.resolve(), file.artifact.sha256, file.artifact.role)


def _kept(name: str, made: OllamaEntry, endpoint: str, asked: dict[str, Any]) -> Registration:
    # As JSON gives it back, so that what was kept can be compared with what is.
    details = {**asdict(made), "linked": list(made.linked), "endpoint": endpoint, "asked": asked}
    return Registration(NAME, name, details)


def _entry(kept: Registration) -> OllamaEntry:
    """Read what was kept of a registration."""
    details = {key: value for key, value in kept.details.items() if key not in _BESIDE}
    return OllamaEntry(**{**details, "linked": tuple(details.get("linked", ()))})
