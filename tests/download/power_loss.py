"""What a disk may hold after a cut of power, replayed from a record of what was done to it.

A recorder notes every write, sync, rename and removal of a fetch. For a cut after any of them,
`states` yields what a file system may legally leave: bytes that were not synced may be there,
missing, old or zero, block by block; names that were not synced (new files, renames,
removals) may or may not have happened, each by itself. Bytes whose sync returned, and names whose
folder's sync returned, are there. This is weaker than what ext4, XFS or APFS promise, on purpose.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from setup_manager.fs.disk import OsDisk

BLOCK = 4096
_SUBSETS = 3


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing done to the disk.

    Attributes:
        kind: ``create``, ``write``, ``resize``, ``sync``, ``rename``, ``remove``, ``sync_folder``.
        name: File or folder, relative to the root.
        offset: Of a write; new length of a resize.
        data: Of a write.
        target: New name of a rename.
    """

    kind: str
    name: str
    offset: int = 0
    data: bytes = b""
    target: str = ""


class Recorder(OsDisk):
    """A disk that works and notes what is done.

    Args:
        root: Names are relative to it; what lies outside (temporary state) is inside too.
        leave_out: Kind of sync that is neither done nor noted: ``data``, ``journal`` or ``folder``.
    """

    def __init__(self, root: Path, leave_out: str = "") -> None:
        self.operations: list[Operation] = []
        self._root = root
        self._leave_out = leave_out
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def _name(self, path: Path) -> str:
        return str(path.resolve().relative_to(self._root.resolve()))

    def _of(self, descriptor: int) -> str:
        name = self._name(Path(f"/proc/self/fd/{descriptor}").readlink())
        if name not in self._known:
            self._note(Operation("create", name))
        return name

    def _note(self, operation: Operation) -> None:
        self.operations.append(operation)
        self._known.add(operation.target or operation.name)

    def write_at(self, descriptor: int, data: memoryview | bytes, offset: int) -> None:
        with self._lock:
            name = self._of(descriptor)
            super().write_at(descriptor, data, offset)
            self._note(Operation("write", name, offset, bytes(data)))

    def append(self, descriptor: int, data: bytes) -> None:
        with self._lock:
            name = self._of(descriptor)
            self._note(Operation("write", name, os.fstat(descriptor).st_size, data))
            super().append(descriptor, data)

    def sync_data(self, descriptor: int) -> None:
        with self._lock:
            name = self._of(descriptor)
            is_journal = name.endswith(".journal")
            if self._leave_out == ("journal" if is_journal else "data"):
                return
            self._note(Operation("sync", name))

    def resize(self, descriptor: int, size_bytes: int) -> None:
        with self._lock:
            name = self._of(descriptor)
            super().resize(descriptor, size_bytes)
            self._note(Operation("resize", name, size_bytes))

    def write_new(self, path: Path, data: bytes) -> None:
        with self._lock:
            name = self._name(path)
            path.write_bytes(data)
            self._note(Operation("create", name))
            self._note(Operation("write", name, 0, data))
            if self._leave_out != "journal":
                self._note(Operation("sync", name))

    def rename(self, source: Path, target: Path) -> None:
        with self._lock:
            names = self._name(source), self._name(target.parent) + "/" + target.name
            source.replace(target)
            self._note(Operation("rename", names[0], target=names[1]))
        self.sync_folder(target.parent)

    def remove(self, path: Path) -> None:
        with self._lock:
            if path.exists():
                name = self._name(path)
                path.unlink()
                self._note(Operation("remove", name))

    def sync_folder(self, path: Path) -> None:
        if self._leave_out != "folder":
            with self._lock:
                self._note(Operation("sync_folder", self._name(path)))


@dataclass
class _File:
    """One inode: what is safe, and what may or may not have reached the device."""

    safe: bytes = b""
    pending: list[Operation] = field(default_factory=list)

    def sync(self) -> None:
        self.safe = apply(self.safe, self.pending)
        self.pending = []


def apply(content: bytes, operations: list[Operation]) -> bytes:
    """Return content after writes and resizes."""
    data = bytearray(content)
    for operation in operations:
        if operation.kind == "resize":
            del data[operation.offset :]
            data.extend(bytes(operation.offset - len(data)))
        else:
            end = operation.offset + len(operation.data)
            data.extend(bytes(max(0, end - len(data))))
            data[operation.offset : end] = operation.data
    return bytes(data)


def _contents(file: _File, rng: random.Random) -> list[bytes]:
    """Return what a file may hold: nothing new, all, and mixtures by block.

    A block holds what it held or what was written last; one that was never written holds zeros.
    """
    if not file.pending:
        return [file.safe]
    full = apply(file.safe, file.pending)
    old = file.safe.ljust(len(full), b"\0")[: len(full)]
    found = [file.safe, full, old]
    for _ in range(_SUBSETS):
        mixed = bytearray(full)
        for start in range(0, len(full), BLOCK):
            block = slice(start, start + BLOCK)
            mixed[block] = rng.choice([full[block], old[block]])
        found.append(bytes(mixed))
    return found


def _name_subsets(pending: list[Operation], rng: random.Random) -> Iterator[list[Operation]]:
    yield []
    yield list(pending)
    for index in range(len(pending)):
        yield pending[:index]
        yield pending[:index] + pending[index + 1 :]
    for _ in range(_SUBSETS):
        yield [operation for operation in pending if rng.random() < 0.5]


@dataclass(frozen=True)
class State:
    """What the disk holds after a cut.

    Attributes:
        cut: After how many operations the power went.
        files: Content by name.
    """

    cut: int
    files: tuple[tuple[str, bytes], ...]

    def write_to(self, root: Path) -> None:
        """Lay the state out in an empty folder."""
        for name, content in self.files:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def states(
    operations: list[Operation], seed: int, cuts: list[int] | None = None
) -> Iterator[State]:
    """Yield the distinct states that a cut may leave, for every cut or for the given ones."""
    rng = random.Random(seed)
    seen: set[int] = set()
    wanted = set(range(len(operations) + 1) if cuts is None else cuts)
    safe_names: dict[str, _File] = {}
    live: dict[str, _File] = {}
    pending: list[tuple[Operation, _File]] = []
    for cut, operation in enumerate([*operations, None]):
        if cut in wanted:
            for state in _states_now(cut, safe_names, pending, rng):
                if hash(state.files) not in seen:
                    seen.add(hash(state.files))
                    yield state
        if operation is not None:
            pending = _step(operation, live, safe_names, pending)


def _step(
    operation: Operation,
    live: dict[str, _File],
    safe_names: dict[str, _File],
    pending: list[tuple[Operation, _File]],
) -> list[tuple[Operation, _File]]:
    """Take one operation into account; returns the names that are still pending."""
    name = operation.name
    if operation.kind == "create":
        live[name] = _File()
        return [*pending, (operation, live[name])]
    if operation.kind in {"write", "resize"}:
        live[name].pending.append(operation)
    elif operation.kind == "sync":
        live[name].sync()
    elif operation.kind == "rename":
        live[operation.target] = live.pop(name)
        return [*pending, (operation, live[operation.target])]
    elif operation.kind == "remove":
        return [*pending, (operation, live.pop(name))]
    else:
        inside = [item for item in pending if str(Path(item[0].name).parent) == name]
        for done, file in inside:
            _rename(safe_names, done, file)
        return [item for item in pending if item not in inside]
    return pending


def _rename(names: dict[str, _File], operation: Operation, file: _File) -> None:
    """Let a change of names happen, if it can."""
    if operation.kind == "create":
        names[operation.name] = file
    elif operation.kind == "remove":
        names.pop(operation.name, None)
    elif names.get(operation.name) is file:
        del names[operation.name]
        names[operation.target] = file


def _states_now(
    cut: int,
    safe_names: dict[str, _File],
    pending: list[tuple[Operation, _File]],
    rng: random.Random,
) -> Iterator[State]:
    by_operation = {id(operation): file for operation, file in pending}
    for subset in _name_subsets([operation for operation, _ in pending], rng):
        names = dict(safe_names)
        for operation in subset:
            _rename(names, operation, by_operation[id(operation)])
        choices = {name: _contents(file, rng) for name, file in names.items()}
        for turn in range(max((len(found) for found in choices.values()), default=1)):
            files = tuple(
                (name, found[turn % len(found)]) for name, found in sorted(choices.items())
            )
            yield State(cut, files)
