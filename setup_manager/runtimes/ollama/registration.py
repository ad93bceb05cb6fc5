"""Making Ollama know a model, checking that it does, and taking everything out again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup_manager.errors import RegistrationFailedError
from setup_manager.net import BadAnswerError, LocalClient, RequestError
from setup_manager.runtimes.base import Observer, RuntimeEvent
from setup_manager.runtimes.ollama.names import full_name, is_plain
from setup_manager.runtimes.ollama.server import (
    find_model,
    list_models,
    show,
    unexpected,
)
from setup_manager.runtimes.ollama.store import (
    BlobFile,
    Placed,
    kept_times,
    manifest_path,
    model_facts,
    place_blob,
    remove_blob,
    remove_manifest,
    store_of_modelfile,
    write_manifest,
    write_probe,
)
from setup_manager.runtimes.options import StartOptions

_CREATE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class OllamaEntry:
    """What was put into Ollama, for the inventory and for taking it out.

    Attributes:
        name: Name of the model, with its tag.
        digest: Of its manifest, hexadecimal.
        way: ``"create"``, ``"link"`` or ``"pull"``.
        store: The store that blobs were linked into, ``""`` if none were.
        linked: Digests of the blobs that this tool linked, hexadecimal.
        uploaded_bytes: Bytes that were uploaded.
    """

    name: str
    digest: str
    way: str
    store: str = ""
    linked: tuple[str, ...] = ()
    uploaded_bytes: int = 0


@dataclass(frozen=True, slots=True)
class OllamaRequest:
    """What is registered.

    Attributes:
        name: See `names.registered_name`.
        files: Weights, and projector and drafter if wanted; one file for each shard.
        options: Start parameters.
        stores: Folders in which the server's store may be; empty for a server elsewhere.
        known: What this tool recorded for that name: an earlier registration, or one that was
            begun (without a digest) and may or may not have got through.
    """

    name: str
    files: tuple[BlobFile, ...]
    options: StartOptions
    stores: Sequence[Path] = ()
    known: OllamaEntry | None = None


def register(
    client: LocalClient, request: OllamaRequest, observer: Observer = lambda _: None
) -> OllamaEntry:
    """Register files in the documented way: blobs, then create.

    Blobs are linked into the store where that can be done, else uploaded. Create rewrites the
    weights into a blob of its own, so the linked one is taken out again afterwards.

    Args:
        client: HTTP to the server.
        request: What is registered.
        observer: Told the progress.

    Returns:
        What was put where. A registration that is still as recorded is left as it is.

    Raises:
        RegistrationFailedError: If the name is taken by something else, or Ollama refuses.
    """
    name = full_name(request.name)
    done = _as_recorded(client, name, request.known)
    if done is not None:
        return done
    with kept_times(file.path for file in request.files):
        return _create(client, name, request, observer)


def _create(
    client: LocalClient, name: str, request: OllamaRequest, observer: Observer
) -> OllamaEntry:
    store = find_store(client, request.stores)
    placed: dict[BlobFile, Placed | None] = {}
    try:
        for file in request.files:
            placed[file] = _bring_blob(client, file, store, observer)
        _follow(client, "/api/create", _create_body(name, request), "create", observer)
        digest = _verified(client, name, observer)
        kept = _in_use(client, _brought(placed, request.known))
    except BaseException:
        with suppress(RegistrationFailedError):
            _drop_unused(client, store, _brought(placed, request.known))
        raise
    _drop_unused(client, store, _brought(placed, request.known))
    uploaded = sum(file.path.stat().st_size for file, way in placed.items() if way is None)
    return OllamaEntry(name, digest, "create", str(store or ""), kept, uploaded)


def _brought(
    placed: Mapping[BlobFile, Placed | None], known: OllamaEntry | None
) -> tuple[str, ...]:
    """Return the digests that this tool put there, now or in a registration that was begun."""
    return tuple(
        file.sha256 for file, way in placed.items() if way is not Placed.THERE or known is not None
    )


def register_by_link(
    client: LocalClient, request: OllamaRequest, observer: Observer = lambda _: None
) -> OllamaEntry:
    """Register files without any copy: linked blobs and a manifest written by hand.

    Undocumented, so every step is checked against the server, and undone if it does not take.

    Raises:
        RegistrationFailedError: If the name is taken, the store cannot be linked into, or the
            server does not accept what was written.
    """
    name = full_name(request.name)
    done = _as_recorded(client, name, request.known)
    if done is not None:
        return done
    store = find_store(client, request.stores)
    if store is None:
        raise RegistrationFailedError(
            "No store of this Ollama server was found that files can be linked into.",
            context=tuple(str(place) for place in request.stores),
            hint="Leave out --ollama-link; the store must be writable and on the same disk.",
        )
    return _link(client, store, name, request, observer)


def pull(
    client: LocalClient,
    name: str,
    source: str,
    *,
    known: OllamaEntry | None = None,
    observer: Observer = lambda _: None,
) -> OllamaEntry:
    """Let Ollama fetch a model from the hub itself, then give it a name with its size in it.

    Args:
        client: HTTP to the server.
        name: Name to register under.
        source: ``"hf.co/org/repo:QUANT"``, or a name of Ollama's own library.
        known: As in `OllamaRequest`.
        observer: Told the progress.

    Raises:
        RegistrationFailedError: If the name is taken, or Ollama cannot fetch it.
    """
    wanted = full_name(name)
    done = _as_recorded(client, wanted, known)
    if done is not None:
        return done
    before = find_model(client, source)
    _follow(client, "/api/pull", {"model": source}, "pull", observer)
    _send(client, "POST", "/api/copy", {"source": source, "destination": wanted})
    if before is None and full_name(source) != wanted:
        _delete(client, source)
    return OllamaEntry(wanted, _verified(client, wanted, observer), "pull")


def unregister(client: LocalClient, registration: OllamaEntry) -> bool:
    """Take a registration out again.

    Args:
        client: HTTP to the server.
        registration: What `register` returned.

    Returns:
        Whether it was there. A model of that name with another digest is somebody else's and
        stays; one that was begun and has no digest yet is ours by its name, which was free then.

    Raises:
        RegistrationFailedError: If Ollama refuses.
    """
    model = find_model(client, registration.name)
    ours = model is not None and registration.digest in {"", model.digest}
    if ours:
        _delete(client, registration.name)
        if find_model(client, registration.name) is not None:
            raise unexpected("/api/delete", f"{registration.name} is still registered")
    if registration.store:
        _drop_unused(client, Path(registration.store), registration.linked)
    return ours


def missing_blobs(client: LocalClient, files: Sequence[BlobFile]) -> tuple[str, ...]:
    """Return the digests, hexadecimal, of the files that the server does not have."""
    return tuple(file.sha256 for file in files if not _has_blob(client, file.digest))


def find_store(client: LocalClient, candidates: Sequence[Path]) -> Path | None:
    """Find the server's store among some folders by asking the server.

    A model that it knows names its blob by its path. Without one, a blob of a few bytes is written
    and the server asked whether it sees it; the blob is taken out again.

    Args:
        client: HTTP to the server.
        candidates: Folders to try; none for a server that is elsewhere.

    Returns:
        The store, None if none of them is it or nothing can be written there.
    """
    if not candidates:
        return None
    for model in list_models(client):
        told = store_of_modelfile(str(show(client, model.name).get("modelfile", "")))
        if told is not None:
            return told if (told / "blobs").is_dir() else None
    return next((place for place in candidates if _is_store(client, place)), None)


_LINKS = (Placed.REFLINK, Placed.HARD_LINK)


def _is_store(client: LocalClient, place: Path) -> bool:
    try:
        sha256 = write_probe(place)
    except OSError:
        return False
    try:
        return _has_blob(client, f"sha256:{sha256}")
    finally:
        with suppress(OSError):
            remove_blob(place, sha256)


def _as_recorded(client: LocalClient, name: str, known: OllamaEntry | None) -> OllamaEntry | None:
    """Return the recorded registration if it still holds; refuse a name that means another model.

    A registration that was begun and not finished is gone through again, over what it left.
    """
    if not is_plain(name):
        raise RegistrationFailedError(
            f"{name!r} is not a valid model name.",
            hint="Use letters, digits, '.', '_' and '-', and a tag after ':' if you like.",
        )
    model = find_model(client, name)
    if model is None or (known is not None and not known.digest):
        return None
    if known is not None and model.digest == known.digest:
        return known
    raise RegistrationFailedError(
        f"Ollama already has a model called {name}, which gemma-setup did not create.",
        context=(f"digest {model.digest[:12]}, family {model.family or 'unknown'}",),
        hint=f"Choose another name with --name, or remove it with `ollama rm {name}`.",
    )


def _has_blob(client: LocalClient, digest: str) -> bool:
    path = f"/api/blobs/{digest}"
    try:
        return client.status(path, method="HEAD") == 200
    except RequestError as error:
        raise unexpected(path, str(error)) from error


def _bring_blob(
    client: LocalClient, file: BlobFile, store: Path | None, observer: Observer
) -> Placed | None:
    """Get a blob into the store; None means that it was uploaded."""
    if _has_blob(client, file.digest):
        return Placed.THERE
    if store is not None:
        observer(RuntimeEvent("link", detail=file.name))
        way = place_blob(store, file, touched=True)
        if way is not None and _has_blob(client, file.digest):
            return way
        if way in _LINKS:
            remove_blob(store, file.sha256)
    _upload(client, file, observer)
    return None


def _upload(client: LocalClient, file: BlobFile, observer: Observer) -> None:
    path = f"/api/blobs/{file.digest}"
    try:
        total = file.path.stat().st_size
        client.upload(
            path,
            file.path,
            lambda sent: observer(
                RuntimeEvent("upload", detail=file.name, done_bytes=sent, total_bytes=total)
            ),
        )
    except (RequestError, OSError) as error:
        raise unexpected(path, str(error)) from error


def _create_body(name: str, request: OllamaRequest) -> dict[str, Any]:
    drafter = {file.name: file.digest for file in request.files if file.role == "drafter"}
    body: dict[str, Any] = {
        "model": name,
        "files": {file.name: file.digest for file in request.files if file.role != "drafter"},
        "parameters": start_parameters(request.options),
    }
    if drafter:
        body["draft_files"] = drafter
    return body


def start_parameters(options: StartOptions) -> dict[str, Any]:
    """Return what Ollama takes of the start parameters.

    How keys and values are stored is a setting of the whole server there
    (``OLLAMA_KV_CACHE_TYPE``), as are the slots (``OLLAMA_NUM_PARALLEL``).
    """
    parameters: dict[str, Any] = {"num_ctx": options.context // max(options.slots, 1)}
    if options.gpu_layers is not None:
        parameters["num_gpu"] = options.gpu_layers
    if options.threads is not None:
        parameters["num_thread"] = options.threads
    return parameters


def _follow(
    client: LocalClient, path: str, body: Mapping[str, Any], step: str, observer: Observer
) -> None:
    """Send a request that answers with its progress, and wait for its success."""
    try:
        for event in _events(client, path, body):
            observer(_progress(step, event))
            if event.get("status") == "success":
                return
    except RequestError as error:
        raise unexpected(path, str(error)) from error
    raise unexpected(path, "it ended without success")


def _events(client: LocalClient, path: str, body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for event in client.stream(path, body, timeout_seconds=_CREATE_SECONDS):
        if not isinstance(event, dict):
            raise BadAnswerError(200, str(event)[:200])
        if "error" in event:
            raise BadAnswerError(int(event.get("status") or 500), str(event["error"])[:1000])
        yield event


def _progress(step: str, event: Mapping[str, Any]) -> RuntimeEvent:
    done, total = event.get("completed"), event.get("total")
    return RuntimeEvent(
        step,
        detail=str(event.get("status", "")),
        done_bytes=done if isinstance(done, int) else 0,
        total_bytes=total if isinstance(total, int) else 0,
    )


def _verified(client: LocalClient, name: str, observer: Observer) -> str:
    """Check that the server lists the model and can read its file; return the manifest's digest."""
    observer(RuntimeEvent("verify", detail=name))
    model = find_model(client, name)
    if model is None:
        raise unexpected("/api/tags", f"{name} is not listed")
    # The family may come from a manifest; the architecture is read from the file itself.
    facts = show(client, name).get("model_info")
    if not isinstance(facts, dict) or not facts.get("general.architecture"):
        raise unexpected("/api/show", f"{name} has no file that Ollama can read")
    return model.digest


def _delete(client: LocalClient, name: str) -> None:
    _send(client, "DELETE", "/api/delete", {"model": name})


def _send(client: LocalClient, method: str, path: str, body: Mapping[str, Any]) -> None:
    try:
        client.send(method, path, body)
    except RequestError as error:
        raise unexpected(path, str(error)) from error


def _in_use(client: LocalClient, digests: Sequence[str]) -> tuple[str, ...]:
    """Pick the blobs that some model of the server is made of."""
    if not digests:
        return ()
    modelfiles = [
        str(show(client, model.name).get("modelfile", "")) for model in list_models(client)
    ]
    return tuple(digest for digest in digests if any(digest in text for text in modelfiles))


def _drop_unused(client: LocalClient, store: Path | None, digests: Sequence[str]) -> None:
    """Take out blobs that this tool brought and that no model is made of.

    What cannot be removed here (a store that is elsewhere, or only readable) Ollama prunes at its
    next start.
    """
    if store is None:
        return
    used = _in_use(client, digests)
    for digest in set(digests) - set(used):
        with suppress(OSError):
            remove_blob(store, digest)


def _link(
    client: LocalClient, store: Path, name: str, request: OllamaRequest, observer: Observer
) -> OllamaEntry:
    """Link, write and check; take everything out again if any of it fails."""
    if request.known is not None:
        remove_manifest(store, name)
    if manifest_path(store, name).exists():
        raise _cannot_link(store, f"there is a manifest of {name} that the server does not list")
    brought: list[str] = []
    try:
        linked = _place_all(store, request.files, brought, observer)
        parameters = start_parameters(request.options)
        facts = model_facts(request.files)
        written = write_manifest(store, name, request.files, facts, parameters)
        brought += written.small_blobs
        _check_written(client, name, written.digest, observer)
    except OSError as error:
        _undo_link(store, name, brought)
        raise _cannot_link(store, str(error)) from error
    except BaseException:
        _undo_link(store, name, brought)
        raise
    return OllamaEntry(name, written.digest, "link", str(store), linked)


def _place_all(
    store: Path, files: Sequence[BlobFile], brought: list[str], observer: Observer
) -> tuple[str, ...]:
    """Put every file into the store, noting in `brought` what came in even if a later one fails."""
    for file in files:
        observer(RuntimeEvent("link", detail=file.name))
        way = place_blob(store, file)
        if way is None:
            raise _cannot_link(store, file.name)
        if way in _LINKS:
            brought.append(file.sha256)
    return tuple(brought)


def _check_written(client: LocalClient, name: str, digest: str, observer: Observer) -> None:
    if _verified(client, name, observer) != digest:
        raise unexpected("/api/tags", f"{name} is another model than the one written")


def _undo_link(store: Path, name: str, brought: Sequence[str]) -> None:
    with suppress(OSError):
        remove_manifest(store, name)
    for digest in brought:
        with suppress(OSError):
            remove_blob(store, digest)


def _cannot_link(store: Path, detail: str) -> RegistrationFailedError:
    return RegistrationFailedError(
        "The file cannot be linked into Ollama's store.",
        context=(str(store), detail),
        hint="Leave out --ollama-link to upload it instead, which needs space for a copy.",
    )
