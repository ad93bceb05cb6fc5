"""Walk folders for what other tools left."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from setup_manager.recover.leftover import Claims, Leftover, Stamp, Trace, shown
from setup_manager.recover.tools import recognise

_MAX_RECORD_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class WalkLimits:
    """How far a search goes, so that a home folder of a million files costs seconds.

    Attributes:
        depth: Folders below each given one.
        entries: Files and folders looked at, all together.
        smallest_bytes: Files below this are not worth a request; no Gemma 4 file is so small.
    """

    depth: int = 8
    entries: int = 200_000
    smallest_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Findings:
    """What a search met.

    Attributes:
        leftovers: Largest first.
        problems: What could not be looked at, and why, one a line.
    """

    leftovers: tuple[Leftover, ...]
    problems: tuple[str, ...] = ()


def find_leftovers(paths: Iterable[Path], limits: WalkLimits | None = None) -> Findings:
    """Look for leftovers in folders, or at single files.

    Links to folders are followed, each folder once, so that loops end; a file with several names
    is reported once.

    Args:
        paths: Folders and files; those that do not exist are passed over in silence.
        limits: How far to go.

    Returns:
        What was found, and what could not be read.
    """
    walk = _Walk(limits or WalkLimits())
    by_file: dict[tuple[int, int], Leftover] = {}
    for path in paths:
        for leftover in walk.below(path):
            by_file.setdefault((leftover.stamp.device, leftover.stamp.inode), leftover)
    found = sorted(by_file.values(), key=lambda item: (-item.size_bytes, str(item.path)))
    return Findings(tuple(found), tuple(walk.problems))


def stamp_of(status: os.stat_result) -> Stamp:
    """Take a file's identity and age from its status."""
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class _Walk:
    """One search; remembers the folders that it has been to."""

    def __init__(self, limits: WalkLimits) -> None:
        self._limits = limits
        self._left = limits.entries
        self._seen: set[tuple[int, int]] = set()
        self.problems: list[str] = []

    def below(self, path: Path) -> Iterator[Leftover]:
        """Yield what is at or below a path."""
        if _is_file(path):
            yield from self._files(path.parent, [path.name], _names(path.parent))
            return
        stack = [(path, 0)]
        while stack:
            folder, depth = stack.pop()
            if not self._is_new(folder):
                continue
            files, folders = self._list(folder)
            yield from self._files(folder, files, frozenset(files))
            if depth < self._limits.depth:
                stack.extend((folder / name, depth + 1) for name in reversed(folders))

    def _is_new(self, folder: Path) -> bool:
        try:
            status = folder.stat()
        except FileNotFoundError:
            return False
        except OSError as problem:
            self._report(folder, problem)
            return False
        key = (status.st_dev, status.st_ino)
        is_new = key not in self._seen and stat.S_ISDIR(status.st_mode)
        self._seen.add(key)
        return is_new

    def _list(self, folder: Path) -> tuple[list[str], list[str]]:
        files: list[str] = []
        folders: list[str] = []
        if self._left <= 0:
            return files, folders
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._left -= 1
                    if self._left < 0:
                        self.problems.append(
                            f"stopped after {self._limits.entries} files and folders, in "
                            f"{shown(folder)}; give the folder that contains the model"
                        )
                        break
                    (folders if _is_folder(entry) else files).append(entry.name)
        except OSError as problem:
            self._report(folder, problem)
        return sorted(files), sorted(folders)

    def _files(
        self, folder: Path, names: Iterable[str], siblings: Collection[str]
    ) -> Iterator[Leftover]:
        for name in names:
            trace = recognise(folder, name, siblings)
            if trace is None:
                continue
            try:
                leftover = self._leftover(folder, name, trace)
            except FileNotFoundError:
                continue  # a dangling link, or gone since
            except OSError as problem:
                self._report(folder / name, problem)
            else:
                if leftover is not None:
                    yield leftover

    def _leftover(self, folder: Path, name: str, trace: Trace) -> Leftover | None:
        path = Path(os.path.realpath(folder / name))  # resolve() ends loops with RuntimeError
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size < self._limits.smallest_bytes:
            return None
        with path.open("rb"):
            pass  # says now, and not in the middle, that it may not be read
        bare = Leftover(path, trace, stamp_of(status))
        records = tuple(folder / record for record in trace.records)
        return replace(bare, records=records, claims=self._claims(trace, records))

    def _claims(self, trace: Trace, records: tuple[Path, ...]) -> Claims | None:
        if trace.read_records is None or not records:
            return None
        try:
            return trace.read_records([_read_record(record) for record in records])
        except (OSError, ValueError) as problem:
            self._report(records[0], problem)
            return None

    def _report(self, path: Path, problem: Exception) -> None:
        reason = problem.strerror if isinstance(problem, OSError) else None
        self.problems.append(f"{shown(path)}: {reason or problem}")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(path.name for path in folder.iterdir())
    except OSError:
        return frozenset()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _read_record(path: Path) -> bytes:
    if not path.is_file():  # opening a pipe would wait for ever
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        return file.read(_MAX_RECORD_BYTES)
