"""Unpacking an archive from the network: nothing of it gets outside of its folder.

Every member is checked and written by this module; neither `tarfile` nor `zipfile` extracts
anything by itself, since what they allow differs between Python versions.
"""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from setup_manager.errors import VerificationFailedError
from setup_manager.fs import wrong_path

MAX_BYTES = 8 * 1000**3
MAX_MEMBERS = 20_000
_BLOCK_BYTES = 1024**2
_LINK_BYTES = 4096
# What the two libraries raise for content that is damaged, encrypted or named impossibly.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    ValueError,
)


class UnsafeArchiveError(VerificationFailedError):
    """An archive that wants out of its folder, or is too large."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of either kind of archive.

    Attributes:
        path: Checked path below the folder.
        kind: ``"file"``, ``"folder"``, ``"symlink"`` or ``"hardlink"``.
        executable: Whether it is a program.
        target: Of a link, as it stands in the archive.
        entry: The archive's own record of it.
    """

    path: PurePosixPath
    kind: str
    executable: bool
    target: str
    entry: tarfile.TarInfo | zipfile.ZipInfo


def unpack(archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Unpack a ``.tar.gz`` or ``.zip`` into a folder.

    Args:
        archive: The file; its content is verified already.
        folder: Where to; made if need be.
        max_bytes: Most bytes that may come out.

    Raises:
        UnsafeArchiveError: If a member is not safe, or too much comes out.
        VerificationFailedError: If it is no such archive.
        OSError: If it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    left = max_bytes
    with _opened(archive) as opened:
        for member in opened.members():
            left -= _write(opened, member, folder, left)


class _Archive:
    """What both kinds of archive have in common."""

    def members(self) -> Iterator[_Member]:
        raise NotImplementedError

    def open(self, member: _Member) -> IO[bytes]:
        raise NotImplementedError


class _Tar(_Archive):
    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def members(self) -> Iterator[_Member]:
        for count, entry in enumerate(self._archive):
            _check_count(count)
            kind = _tar_kind(entry)
            if kind is None:
                raise _unsafe(entry.name, "it is a device or another special file")
            target = entry.linkname if entry.issym() or entry.islnk() else ""
            path = _safe_path(entry.name)
            yield _Member(path, kind, bool(entry.mode & 0o100), target, entry)

    def open(self, member: _Member) -> IO[bytes]:
        assert isinstance(member.entry, tarfile.TarInfo)  # noqa: S101 - made above
        opened = self._archive.extractfile(member.entry)
        if opened is None:
            raise _unsafe(str(member.path), "it has no content")
        return opened


class _Zip(_Archive):
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def members(self) -> Iterator[_Member]:
        for count, entry in enumerate(self._archive.infolist()):
            _check_count(count)
            mode = entry.external_attr >> 16
            kind, target = "folder" if entry.is_dir() else "file", ""
            if stat.S_ISLNK(mode):
                kind, target = "symlink", self._target(entry)
            path = _safe_path(entry.filename)
            yield _Member(path, kind, bool(mode & 0o100), target, entry)

    def _target(self, entry: zipfile.ZipInfo) -> str:
        with self._archive.open(entry) as file:
            return file.read(_LINK_BYTES).decode("utf-8", "surrogateescape")

    def open(self, member: _Member) -> IO[bytes]:
        assert isinstance(member.entry, zipfile.ZipInfo)  # noqa: S101 - made above
        return self._archive.open(member.entry)


@contextmanager
def _opened(archive: Path) -> Iterator[_Archive]:
    try:
        if archive.name.endswith(".zip"):
            with zipfile.ZipFile(archive) as opened_zip:
                yield _Zip(opened_zip)
        else:
            with tarfile.open(archive, "r:gz") as opened_tar:
                yield _Tar(opened_tar)
    except _DAMAGE as error:
        raise VerificationFailedError(
            f"{archive.name} is no archive that can be unpacked.",
            context=(str(error),),
            hint="Run the same command again; it is fetched anew.",
        ) from error


def _write(archive: _Archive, member: _Member, folder: Path, left_bytes: int) -> int:
    """Write one member; return the bytes that it took."""
    target = folder / member.path
    _check_parents(folder, member.path)
    if member.kind == "folder":
        target.mkdir(parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() or target.exists():
        _refuse_or_remove(target, member)
    if member.kind == "symlink":
        target.symlink_to(_safe_target(member))
        return 0
    if member.kind == "hardlink":
        return _link(folder, member, target)
    size = _copy(archive, member, target, left_bytes)
    target.chmod(0o755 if member.executable else 0o644)
    return size


def _refuse_or_remove(target: Path, member: _Member) -> None:
    """Let a later file replace an earlier one (zips of one build overlap), and nothing else."""
    if target.is_symlink() or target.is_dir() or member.kind != "file":
        raise _unsafe(str(member.path), "it is in the archive twice")
    target.unlink()


def _check_parents(folder: Path, path: PurePosixPath) -> None:
    """Refuse to write through a link that the archive brought."""
    for parent in path.parents:
        if (folder / parent).is_symlink():
            raise _unsafe(str(path), "it is behind a link")


def _link(folder: Path, member: _Member, target: Path) -> int:
    """Make a hard link to a file that the archive brought before."""
    path = _safe_path(member.target)
    _check_parents(folder, path)
    source = folder / path
    if source.is_symlink() or not source.is_file():
        raise _unsafe(str(member.path), f"it links to {member.target!r}")
    target.hardlink_to(source)
    return 0


def _copy(archive: _Archive, member: _Member, target: Path, left_bytes: int) -> int:
    size = 0
    with archive.open(member) as source, target.open("xb") as out:
        while block := source.read(_BLOCK_BYTES):
            size += len(block)
            if size > left_bytes:
                raise _unsafe(str(member.path), "more comes out of the archive than is allowed")
            out.write(block)
    return size


def _tar_kind(entry: tarfile.TarInfo) -> str | None:
    if entry.isreg():
        return "file"
    if entry.isdir():
        return "folder"
    if entry.issym():
        return "symlink"
    return "hardlink" if entry.islnk() else None


def _safe_path(name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    wrong = wrong_path(str(path)) if path.parts else None  # "./" is the folder itself
    if wrong is not None:
        raise _unsafe(name, f"its path {wrong}")
    return path


def _safe_target(member: _Member) -> str:
    """Check that a symbolic link stays in its own folder: libraries link to their neighbours."""
    target = PurePosixPath(member.target)
    if len(target.parts) != 1 or target.parts[0] in {"..", "/"} or "\\" in member.target:
        raise _unsafe(str(member.path), f"it links to {member.target!r}")
    return member.target


def _check_count(count: int) -> None:
    if count >= MAX_MEMBERS:
        raise _unsafe("the archive", "it has too many members")


def _unsafe(name: str, why: str) -> UnsafeArchiveError:
    return UnsafeArchiveError(
        "The archive is not safe to unpack.",
        context=(f"{name[:200]!r}: {why}",),
        hint="Nothing was installed. Try another release, or the embedded engine.",
    )
