"""Where models lie: the Hugging Face hub cache, or a plain folder.

The cache is shared with `hf`, transformers and llama.cpp, which read it without asking anybody:

    models--org--name/
        blobs/<sha256>                      the bytes
        snapshots/<commit>/<path>           a relative link to them
        refs/main                           the commit that a name without a revision means

Two rules follow. Nothing appears there before it is right: the link only when the bytes are there,
the reference only when the link is (`hf cache` calls a repository with a dangling link or reference
corrupted). And nothing of the others is taken away: `refs/main` is theirs, see
`HubCacheLayout.publish`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import Protocol

from setup_manager.catalog import Artifact
from setup_manager.download import FilePlaces
from setup_manager.errors import InsufficientDiskError, SetupError

_PARTIAL = ".gemma-setup.partial"


class ModelFolder(Protocol):
    """A folder of models, however it is laid out."""

    @property
    def root(self) -> Path:
        """The folder."""
        ...

    def places(self, artifact: Artifact) -> FilePlaces:
        """Name the paths of an artifact; changes nothing on disk.

        Raises:
            VerificationFailedError: If a name is not safe.
        """
        ...

    def find(self, artifact: Artifact) -> Path | None:
        """Return the bytes of an artifact if a file of its name and length is there."""
        ...

    def publish(self, artifact: Artifact) -> Path:
        """Make the name that users and other programs find the content by; idempotent.

        Raises:
            SetupError: If the folder cannot be written.
        """
        ...

    def leads_to(self, artifact: Artifact) -> bool:
        """Tell whether other programs find this very file by its repository's name, offline."""
        ...

    def remove(self, artifact: Artifact) -> int:
        """Take a file out and leave everything of others; returns the bytes that became free.

        Raises:
            SetupError: If the folder cannot be written.
        """
        ...

    def partials(self) -> tuple[Path, ...]:
        """List the files in flight, whoever left them."""
        ...

    def lock_of(self, partial: Path) -> Path:
        """Name the lock that whoever writes a partial holds."""
        ...


def folder_holding(path: Path, artifact: Artifact) -> ModelFolder:
    """Find the folder of models that a file was installed in, by its visible path."""
    depth = len(Path(artifact.path).parts)
    # <root>/models--org--name/snapshots/<commit>/<path>, or <root>/org--name/<path>
    commit = path.parents[depth - 1]
    if commit.name == artifact.commit and commit.parent.name == "snapshots":
        return HubCacheLayout(commit.parents[2])
    return PlainFolderLayout(commit.parent)


class HubCacheLayout:
    """The layout of the Hugging Face hub cache.

    Args:
        root: The cache, i.e. what HF_HUB_CACHE means.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def places(self, artifact: Artifact) -> FilePlaces:
        """Name the paths of an artifact; changes nothing on disk.

        Where links cannot be made, the bytes themselves lie in the snapshot, as with other tools;
        then that is their place.

        The lock is the hub client's own for this blob: an `hf download` of the same file waits for
        this one, finds the blob and fetches nothing.

        Raises:
            VerificationFailedError: If a name is not safe.
        """
        artifact.check()
        repository = self._repository(artifact.repository)
        blob = repository / "blobs" / artifact.sha256
        visible = repository / "snapshots" / artifact.commit / artifact.path
        partial = blob.with_name(artifact.sha256 + _PARTIAL)
        unlinked = visible.is_file() and not visible.is_symlink() and not blob.exists()
        content = visible if unlinked else blob
        lock = self.lock_of(partial)
        return FilePlaces.of(partial, content, root=self.root, visible=visible, lock=lock)

    def find(self, artifact: Artifact) -> Path | None:
        """Return the bytes of an artifact if a file of its name and length is there."""
        return _with_length(self.places(artifact).content, artifact)

    def publish(self, artifact: Artifact) -> Path:
        """Make the snapshot's link and, where it is free, `refs/main`.

        `refs/main` decides what `hf … --local-files-only`, transformers offline and
        `llama-server -hf … --offline` see: one commit a repository, and that one only. So it is
        set when it is absent or leads to no file (llama.cpp writes it before its first byte).
        Otherwise it stays: moving it would hide another program's files from it, and a later
        online use moves it to the hub's own commit anyway. Whether a name without a revision
        leads to the artifact says `leads_to`; if not, start it by its path.

        Publishing again is harmless and finishes what a crash left open.

        Raises:
            SetupError: If the folder cannot be written.
        """
        places = self.places(artifact)
        repository = self._repository(artifact.repository)
        with _explained(places.visible):
            places.content.stat()
            places.visible.parent.mkdir(parents=True, exist_ok=True)
            if places.content != places.visible:
                _link(places.content, places.visible, _stage(repository, artifact, "link"))
            if not self._is_taken(repository):
                _write_reference(repository, artifact.commit, _stage(repository, artifact, "ref"))
        return places.visible

    def leads_to(self, artifact: Artifact) -> bool:
        """Tell whether a name without a revision means this very file, offline."""
        repository = self._repository(artifact.repository)
        visible = repository / "snapshots" / artifact.commit / artifact.path
        return _reference(repository) == artifact.commit and visible.is_file()

    def remove(self, artifact: Artifact) -> int:
        """Take a file out and leave everything of others: a blob that is linked elsewhere stays.

        Returns:
            Bytes that became free.

        Raises:
            SetupError: If the folder cannot be written.
        """
        places = self.places(artifact)
        repository = self._repository(artifact.repository)
        snapshot = repository / "snapshots" / artifact.commit
        with _explained(places.visible):
            freed = _unlink(places.visible)
            if not _is_linked(repository, places.content):
                freed += _unlink(places.content)
            _remove_empty_folders(places.visible.parent, stop=repository / "snapshots")
            for kind in ("link", "ref"):
                _unlink(_stage(repository, artifact, kind))
            if not snapshot.exists():
                _remove_references(repository, artifact.commit)
            _remove_skeleton(repository)
        return freed

    def partials(self) -> tuple[Path, ...]:
        """List the files in flight, whoever left them."""
        return tuple(sorted(self.root.glob(f"models--*/blobs/*{_PARTIAL}")))

    def lock_of(self, partial: Path) -> Path:
        """Name the lock that whoever writes a partial holds."""
        sha256 = partial.name.removesuffix(_PARTIAL)
        return self.root / ".locks" / partial.parents[1].name / f"{sha256}.lock"

    def _repository(self, name: str) -> Path:
        return self.root / f"models--{name.replace('/', '--')}"

    def _is_taken(self, repository: Path) -> bool:
        commit = _reference(repository)
        return commit is not None and _holds_files(repository / "snapshots" / commit)


class PlainFolderLayout:
    """A plain folder: ``<root>/org--name/<path>``.

    One folder a repository keeps projectors of one name apart, and is what
    `llama-server --models-dir` reads: a model with its projector and drafter.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def places(self, artifact: Artifact) -> FilePlaces:
        """Name the paths of an artifact; touches no disk."""
        artifact.check()
        folder = self._repository(artifact.repository)
        partial = folder / (artifact.sha256 + _PARTIAL)
        lock = self.lock_of(partial)
        return FilePlaces.of(partial, folder / artifact.path, root=self.root, lock=lock)

    def find(self, artifact: Artifact) -> Path | None:
        """Return the file if it is there with the right length."""
        return _with_length(self.places(artifact).content, artifact)

    def publish(self, artifact: Artifact) -> Path:
        """Return the path: the content is its own name."""
        return self.places(artifact).visible

    def leads_to(self, artifact: Artifact) -> bool:
        """Return False: no program finds a file here by its repository's name."""
        del artifact
        return False

    def remove(self, artifact: Artifact) -> int:
        """Take a file out, and its folders if they are empty then."""
        content = self.places(artifact).content
        with _explained(content):
            freed = _unlink(content)
            _remove_empty_folders(content.parent, stop=self.root)
        return freed

    def partials(self) -> tuple[Path, ...]:
        """List the files in flight."""
        return tuple(sorted(self.root.glob(f"*--*/*{_PARTIAL}")))

    def lock_of(self, partial: Path) -> Path:
        """Name the lock that whoever writes a partial holds."""
        return partial.with_name(partial.name + ".lock")

    def _repository(self, name: str) -> Path:
        return self.root / name.replace("/", "--")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn an error of the file system into one for people."""
    try:
        yield
    except OSError as error:
        facts = [f"{path}: {error.strerror or error}"]
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise InsufficientDiskError(
                "The disk is full.",
                context=facts,
                hint="Free some space (`gemma-setup clean` deletes old partial downloads), then "
                "run the same command again.",
            ) from error
        raise SetupError(
            "The models folder cannot be changed.",
            code="folder-not-writable",
            context=facts,
            hint="Make the folder writable, or choose another one with --models-dir DIR.",
        ) from error


def _with_length(path: Path, artifact: Artifact) -> Path | None:
    try:
        return path if path.is_file() and path.stat().st_size == artifact.size_bytes else None
    except OSError:
        return None


def _stage(repository: Path, artifact: Artifact, kind: str) -> Path:
    """Name a file that is renamed into place; its own for each blob, as the lock is."""
    return repository / f".gemma-setup.{artifact.sha256}.{kind}"


def _link(blob: Path, visible: Path, stage: Path) -> None:
    """Make `visible` mean `blob`: by a relative link, a hard link, or by moving it there.

    Moving is what the hub's client does where no links are possible; a copy would take the space
    of the model a second time. The new name is made aside and renamed, so that whoever reads
    meets the old or the new file, never none.
    """
    if visible.exists() and visible.samefile(blob):
        return
    stage.unlink(missing_ok=True)
    try:
        stage.symlink_to(os.path.relpath(blob, visible.parent))
    except (OSError, NotImplementedError):
        try:
            stage.hardlink_to(blob)
        except (OSError, NotImplementedError):
            blob.replace(visible)
            return
    stage.replace(visible)


def _reference(repository: Path) -> str | None:
    """Return the commit in `refs/main`, None if there is none or it is no commit."""
    try:
        text = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if Artifact.is_commit(text) else None


def _write_reference(repository: Path, commit: str, stage: Path) -> None:
    """Write `refs/main` at once; staged outside `refs`, where every file counts as a reference."""
    stage.write_text(commit, encoding="utf-8")
    reference = repository / "refs" / "main"
    reference.parent.mkdir(exist_ok=True)
    stage.replace(reference)


def _holds_files(snapshot: Path) -> bool:
    return snapshot.is_dir() and any(path.is_file() for path in snapshot.rglob("*"))


def _unlink(path: Path) -> int:
    """Remove a file if it is there and return the bytes that this frees."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    path.unlink()
    return status.st_size if S_ISREG(status.st_mode) and status.st_nlink == 1 else 0


def _is_linked(repository: Path, blob: Path) -> bool:
    """Tell whether any snapshot still links to a blob; a blob's name is unique in a repository.

    Only the first hop counts: the blob itself may be a link into a store that repositories share.
    """
    return any(
        path.is_symlink() and path.readlink().name == blob.name
        for path in (repository / "snapshots").rglob("*")
    )


def _remove_empty_folders(folder: Path, *, stop: Path) -> None:
    """Remove folders that are empty, upwards, but not `stop`."""
    while folder != stop:
        with suppress(FileNotFoundError):
            if any(folder.iterdir()):
                return
            folder.rmdir()
        folder = folder.parent


def _remove_references(repository: Path, commit: str) -> None:
    """Remove references to a commit that has no snapshot any more."""
    for path in list((repository / "refs").rglob("*")):
        if path.is_file() and path.read_bytes().strip() == commit.encode():
            path.unlink()
            _remove_empty_folders(path.parent, stop=repository / "refs")


def _remove_skeleton(repository: Path) -> None:
    """Remove a repository's folder if only empty folders of the layout are left in it."""
    parts = [repository / name for name in ("blobs", "snapshots", "refs")]
    is_empty = not any(any(part.iterdir()) for part in parts if part.is_dir())
    if repository.is_dir() and is_empty and set(repository.iterdir()) <= set(parts):
        for part in parts:
            with suppress(FileNotFoundError):
                part.rmdir()
        repository.rmdir()
