"""Ollama's store on this disk: blobs placed without a copy, and manifests written by hand.

A store belongs to the server. It is touched only where a check against the running server has shown
that it is the one, and only files that this module put there are ever taken out.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from setup_manager.gguf import GgufError, Header, read_header

LINUX_SERVICE_STORE = Path("/usr/share/ollama/.ollama/models")
_MODEL = "application/vnd.ollama.image.model"
_PROJECTOR = "application/vnd.ollama.image.projector"
_DRAFT = "application/vnd.ollama.image.draft"
_PARAMS = "application/vnd.ollama.image.params"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
# ioctl request FICLONE of linux/fs.h: share the extents of another file.
_FICLONE = 0x40049409


class Placed(StrEnum):
    """How a blob came into the store."""

    REFLINK = "reflink"
    HARD_LINK = "hard link"
    THERE = "was there"


@dataclass(frozen=True, slots=True)
class BlobFile:
    """A file to be registered.

    Attributes:
        name: File name, as given to Ollama.
        path: Where it is.
        sha256: Its digest, hexadecimal.
        role: ``"weights"``, ``"projector"`` or ``"drafter"``.
    """

    name: str
    path: Path
    sha256: str
    role: str = "weights"

    @property
    def digest(self) -> str:
        """In Ollama's spelling: ``"sha256:…"``."""
        return f"sha256:{self.sha256}"


def store_candidates(environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """List where the store of a local server may be, the likeliest first.

    Args:
        environment: For OLLAMA_MODELS.
        home: The user's home.
    """
    configured = environment.get("OLLAMA_MODELS", "").strip()
    places = [Path(configured)] if configured else []
    places += [home / ".ollama" / "models", LINUX_SERVICE_STORE]
    return tuple(place for place in dict.fromkeys(places) if (place / "blobs").is_dir())


def store_of_modelfile(modelfile: str) -> Path | None:
    """Read the store from a model's ``FROM`` line, which names a blob by its path."""
    for line in modelfile.splitlines():
        path = Path(line.removeprefix("FROM ").strip())
        if line.startswith("FROM ") and path.parent.name == "blobs" and path.is_absolute():
            return path.parent.parent
    return None


def blob_path(store: Path, sha256: str) -> Path:
    """Return where a blob is in a store."""
    return store / "blobs" / f"sha256-{sha256}"


def place_blob(store: Path, file: BlobFile, *, touched: bool = False) -> Placed | None:
    """Put a file into the store without copying its bytes.

    A reflink is tried first: it is a file of its own, so that nothing done to one name is seen
    under the other. Both need the same file system and the right to write there.

    Args:
        store: The store.
        file: The file.
        touched: Whether the server is going to set the blob's times, as create does; then a hard
            link will not do unless the server's user owns the file.

    Returns:
        How it was done; None if it cannot be done here.
    """
    target, source = blob_path(store, file.sha256), file.path.resolve()
    try:
        if target.exists():
            return Placed.THERE
        if _reflink(source, target):
            return Placed.REFLINK
        if not _server_can_use(source, target.parent, touched=touched):
            return None
        os.link(source, target)
    except OSError:
        return None
    return Placed.HARD_LINK


@contextlib.contextmanager
def kept_times(files: Iterable[Path]) -> Iterator[None]:
    """Give files their times back afterwards: a server sets them on a blob, and a link shares them.

    Others tell by its times whether a file was changed.
    """
    before = {}
    for path in files:
        with contextlib.suppress(OSError):
            status = path.stat()
            before[path] = (status.st_atime_ns, status.st_mtime_ns)
    try:
        yield
    finally:
        for path, times in before.items():
            with contextlib.suppress(OSError):
                os.utime(path, ns=times)


def remove_blob(store: Path, sha256: str) -> None:
    """Take a blob out of the store again; one that is gone is fine.

    Raises:
        OSError: If it cannot be removed.
    """
    blob_path(store, sha256).unlink(missing_ok=True)


def write_probe(store: Path) -> str:
    """Write a blob of a few random bytes, to ask a server whether it sees it.

    Returns:
        Its digest, hexadecimal; the caller removes it.

    Raises:
        OSError: If nothing can be written there.
    """
    content = secrets.token_bytes(32)
    sha256 = hashlib.sha256(content).hexdigest()
    _write_new(blob_path(store, sha256), content, like=store / "blobs")
    return sha256


def manifest_path(store: Path, name: str) -> Path:
    """Return where the manifest of a model in the library is."""
    model, _, tag = name.partition(":")
    return store / "manifests" / "registry.ollama.ai" / "library" / model / (tag or "latest")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a hand-written manifest says of a model.

    Attributes:
        parameters: Parameter count as Ollama writes it, e.g. ``"7.5B"``.
        quantization: Quantization label, ``"unknown"`` for a file that names none.
    """

    parameters: str
    quantization: str


def model_facts(files: Iterable[BlobFile]) -> ModelFacts:
    """Read from the weights' headers what Ollama's create says of them.

    Raises:
        OSError: If a file cannot be read.
    """
    headers = [_header(file.path) for file in files if file.role == "weights"]
    count = sum(math.prod(tensor.shape) for header in headers for tensor in header.tensors)
    label = next((header.quantization for header in headers if header.quantization), "unknown")
    return ModelFacts(short_count(count), label)


def _header(path: Path) -> Header:
    try:
        with path.open("rb") as file:
            return read_header(file)
    except GgufError as error:
        raise OSError(errno.EINVAL, f"{path.name} is no GGUF file: {error}") from error


def short_count(number: int) -> str:
    """Write a count as Ollama does: ``"97K"``, ``"307.20M"``, ``"7.5B"``, ``"12B"``.

    Source: ``HumanNumber`` in Ollama's format/format.go.
    """
    for unit, letter, digits in ((10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0)):
        if number >= unit:
            exact = number % unit == 0
            return f"{number / unit:.{0 if exact else digits}f}{letter}"
    return str(number)


@dataclass(frozen=True, slots=True)
class WrittenManifest:
    """What writing a manifest left in the store.

    Attributes:
        digest: The manifest's, hexadecimal, as ``/api/tags`` tells it.
        small_blobs: Digests of the small blobs that were not there before.
    """

    digest: str
    small_blobs: tuple[str, ...]


def write_manifest(
    store: Path,
    name: str,
    files: Iterable[BlobFile],
    facts: ModelFacts,
    parameters: Mapping[str, Any],
) -> WrittenManifest:
    """Write a manifest that names blobs which are in the store, and the small blobs it needs.

    The form is that of manifests which Ollama 0.33 wrote for a created Gemma 4 model.

    Args:
        store: The store.
        name: Name of the model with its tag.
        files: The files; their blobs are in the store.
        facts: What to say of the model.
        parameters: Start parameters such as ``num_ctx``.

    Raises:
        OSError: If it cannot be written, or a manifest of that name is there.
    """
    layers = [_file_layer(file) for file in files]
    start = _SmallBlob(_PARAMS, {**parameters, "stop": ["<turn|>"]})
    digests = [layer["digest"] for layer in (*layers, start.layer)]
    has_drafter = any(layer["mediaType"] == _DRAFT for layer in layers)
    config = _SmallBlob(_CONFIG, _config(facts, digests, has_drafter=has_drafter))
    document = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": config.layer,
        "layers": [*layers, start.layer],
    }
    content = _json(document)
    small = tuple(blob.sha256 for blob in (start, config) if blob.write(store))
    path = manifest_path(store, name)
    _make_folder(path.parent, like=store / "manifests")
    _write_new(path, content, like=store / "manifests")
    return WrittenManifest(hashlib.sha256(content).hexdigest(), small)


def remove_manifest(store: Path, name: str) -> None:
    """Take out a manifest and the folder that it leaves empty; one that is gone is fine."""
    path = manifest_path(store, name)
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.parent.rmdir()


def _config(facts: ModelFacts, digests: list[Any], *, has_drafter: bool) -> dict[str, Any]:
    drafter = {"draft": {"model_format": "gguf", "architecture": "gemma4-assistant"}}
    return {
        **(drafter if has_drafter else {}),
        "model_format": "gguf",
        "model_family": "gemma4",
        "model_families": ["gemma4"],
        "model_type": facts.parameters,
        "file_type": facts.quantization,
        "renderer": "gemma4",
        "parser": "gemma4",
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": digests},
    }


def _file_layer(file: BlobFile) -> dict[str, Any]:
    kinds = {"weights": _MODEL, "projector": _PROJECTOR, "drafter": _DRAFT}
    return {
        "mediaType": kinds[file.role],
        "digest": file.digest,
        "size": file.path.stat().st_size,
    }


class _SmallBlob:
    """A JSON document that is stored as a blob."""

    def __init__(self, kind: str, document: Mapping[str, Any]) -> None:
        self._content = _json(document)
        self.sha256 = hashlib.sha256(self._content).hexdigest()
        self.layer = {
            "mediaType": kind,
            "digest": f"sha256:{self.sha256}",
            "size": len(self._content),
        }

    def write(self, store: Path) -> bool:
        """Put it into the store; return whether it was not there before."""
        try:
            _write_new(blob_path(store, self.sha256), self._content, like=store / "blobs")
        except FileExistsError:
            return False
        return True


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _make_folder(folder: Path, *, like: Path) -> None:
    """Make a folder and those above it, each owned as the store is: the server removes them."""
    if folder.is_dir():
        return
    _make_folder(folder.parent, like=like)
    folder.mkdir(exist_ok=True)
    _own_like(folder, like)


def _write_new(path: Path, content: bytes, *, like: Path) -> None:
    """Write a file that was not there, whole or not at all, owned as the store is."""
    temporary = path.with_name(f".{path.name}.gemma-setup")
    try:
        temporary.write_bytes(content)
        temporary.chmod(0o644)
        _own_like(temporary, like)
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _server_can_use(file: Path, blobs: Path, *, touched: bool) -> bool:
    """Whether the owner of the store may use a file that keeps its own owner and mode."""
    status, owner = file.stat(), blobs.stat().st_uid
    if owner in {0, status.st_uid}:
        return True
    return not touched and bool(status.st_mode & 0o004)


def _own_like(path: Path, like: Path) -> None:
    """Give a file to the owner of the store, which only root can and only root must."""
    if hasattr(os, "chown") and os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _reflink(source: Path, target: Path) -> bool:
    """Clone a file on a file system that shares extents (btrfs, XFS, APFS)."""
    clones = {"linux": _clone_on_linux, "darwin": _clone_on_macos}
    clone = clones.get(sys.platform)
    if clone is None:
        return False
    temporary = target.with_name(f".{target.name}.gemma-setup")
    try:
        clone(source, temporary)
        temporary.chmod(0o644)
        _own_like(temporary, target.parent)
        os.link(temporary, target)
    except OSError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _clone_on_linux(source: Path, target: Path) -> None:
    import fcntl

    with source.open("rb") as original, target.open("xb") as copy:
        fcntl.ioctl(copy, _FICLONE, original.fileno())


def _clone_on_macos(source: Path, target: Path) -> None:
    """Use clonefile(2); the standard library does not offer it."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if library.clonefile(os.fsencode(source), os.fsencode(target), 0) != 0:
        raise OSError(ctypes.get_errno(), "clonefile failed")
