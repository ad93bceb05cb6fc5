"""Rebuild the catalogue from the hub: newest commits, sizes and digests.

    python -m scripts.refresh_catalog [--endpoint URL] [--catalog FILE] [--output FILE] [--check]

Of every repository that the catalogue names, each GGUF whose name tells what it is becomes an
entry at the newest commit. Variants, their architecture and the order of entries stay. Where a file
has another digest than before, the former entry is kept as superseded, so that old copies of it
are still recognised. Split files stay as they are: they are resolved live.

With HF_TOKEN set, gated repositories can be read. Nothing is written if one cannot be had.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from setup_manager.catalog.artifact import Role
from setup_manager.catalog.load import load_catalog
from setup_manager.catalog.naming import read_name
from setup_manager.errors import SetupError
from setup_manager.net.choosing import RemoteFile, Snapshot
from setup_manager.net.hub import Hub
from setup_manager.net.origin import HubAccess

CATALOG = Path(__file__).parents[1] / "setup_manager" / "catalog" / "catalog.json"
_ROLES = [role.value for role in Role]

Entry = dict[str, Any]


def refreshed(document: dict[str, Any], snapshots: Mapping[str, Snapshot]) -> dict[str, Any]:
    """Return the catalogue with the entries that the snapshots give.

    Args:
        document: The catalogue as it is.
        snapshots: Every repository that it names, by that name, at its newest commit.
    """
    files: list[Entry] = document["files"]
    for repository, snapshot in snapshots.items():
        files = [*_merged(files, repository, snapshot)]
    variants = list(document["variants"])
    return {**document, "files": sorted(files, key=lambda entry: _place(entry, variants))}


def _merged(files: list[Entry], repository: str, snapshot: Snapshot) -> Iterator[Entry]:
    """Bring the entries of one repository up to date; those of others pass."""
    remote = {file.path: file for file in snapshot.files if _is_catalogued(file)}
    current_digests = {file.sha256 for file in remote.values()}
    own = [entry for entry in files if entry["repository"] == repository]
    known = {entry["path"] for entry in own if not entry["superseded"]}
    for entry in files:
        if entry not in own or read_name(repository, entry["path"]).shard:
            yield entry
        elif entry["superseded"]:
            # A repository that went back to a former upload has it as its current one.
            if entry["sha256"] not in current_digests:
                yield entry
        else:
            yield from _updated(entry, remote.get(entry["path"]), snapshot)
    variants = {entry["variant"] for entry in own}
    if len(variants) == 1:
        for file in remote.values():
            if file.path not in known:
                yield _new_entry(next(iter(variants)), file, snapshot)


def _is_catalogued(file: RemoteFile) -> bool:
    """Tell whether a file's name says enough: what it is for and, of weights, their type."""
    name = read_name("", file.path)
    if name.role is None or file.sha256 is None or name.shard:
        return False
    return name.role is not Role.WEIGHTS or name.quantization is not None


def _updated(entry: Entry, file: RemoteFile | None, snapshot: Snapshot) -> Iterator[Entry]:
    if file is not None:
        yield {**entry, **_identity(file, snapshot)}
    if entry["sha256"] is not None and (file is None or file.sha256 != entry["sha256"]):
        yield {**entry, "superseded": True}


def _new_entry(variant: str, file: RemoteFile, snapshot: Snapshot) -> Entry:
    repository = snapshot.repository
    name = read_name(repository, file.path)
    label = name.label if name.role is Role.WEIGHTS else name.quantization
    return {
        "variant": variant,
        "quantization": label or "",
        "qat": name.qat,
        "role": str(name.role),
        "repository": repository,
        "path": file.path,
        **_identity(file, snapshot),
        "superseded": False,
    }


def _identity(file: RemoteFile, snapshot: Snapshot) -> Entry:
    return {
        # As the hub spells it now, should it have been renamed.
        "repository": snapshot.repository,
        "commit": snapshot.commit,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
    }


def _place(entry: Entry, variants: Sequence[str]) -> tuple[object, ...]:
    """Sort by variant and role, current before superseded, QAT first; else as it stood."""
    label = entry["quantization"] if entry["role"] == Role.WEIGHTS else ""
    return (
        variants.index(entry["variant"]),
        _ROLES.index(entry["role"]),
        entry["superseded"],
        not entry["qat"],
        label,
    )


def formatted(document: dict[str, Any]) -> str:
    """Write a catalogue: one space a level, a list of plain values on one line."""
    return _formatted(document, 0) + "\n"


def _formatted(value: Any, level: int) -> str:
    if isinstance(value, dict):
        inside = [
            f"{json.dumps(key)}: {_formatted(item, level + 1)}" for key, item in value.items()
        ]
        return _block("{", inside, "}", level)
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return _block("[", [_formatted(item, level + 1) for item in value], "]", level)
    return json.dumps(value, ensure_ascii=False)


def _block(opening: str, inside: list[str], closing: str, level: int) -> str:
    if not inside:
        return opening + closing
    margin = "\n" + " " * level
    return opening + ",".join(f"{margin} {item}" for item in inside) + margin + closing


def look_up_all(repositories: Iterable[str], metadata: Hub) -> dict[str, Snapshot]:
    """Ask for the newest commit of each repository.

    Raises:
        SetupError: For all that cannot be had at once.
    """
    snapshots, problems = {}, []
    for repository in repositories:
        try:
            snapshots[repository] = metadata.look_up(repository)
        except SetupError as error:
            problems.append(f"{repository}: {error.message} {error.hint}")
    if problems:
        raise SetupError(
            "Some repositories of the catalogue cannot be had; nothing was changed.",
            context=problems,
            hint="Set HF_TOKEN, or take the repository out of the catalogue.",
        )
    return snapshots


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Say what differs, one line an entry."""
    lines = []
    for sign, one, other in (("-", before, after), ("+", after, before)):
        lines += [f"{sign} {_line(entry)}" for entry in one["files"] if entry not in other["files"]]
    return lines


def _line(entry: Entry) -> str:
    commit, digest = entry["commit"] or "no commit", entry["sha256"] or "no digest"
    state = " superseded" if entry["superseded"] else ""
    return f"{entry['repository']}/{entry['path']} {commit[:9]} {digest[:12]}{state}"


def _checked(text: str) -> None:
    """Load the result as the program would; a default that is gone shows here.

    Raises:
        UsageError: If it is no catalogue.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.json"
        path.write_text(text, "utf-8")
        load_catalog(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    parser.add_argument("--endpoint", default=endpoint, help="the hub (%(default)s)")
    parser.add_argument("--catalog", type=Path, default=CATALOG, help="what to start from")
    parser.add_argument("--output", type=Path, help="where to write (the catalogue itself)")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if it would change")
    return parser.parse_args()


def refresh(arguments: argparse.Namespace) -> int:
    """Do it, and return the exit code.

    Raises:
        SetupError: If the hub cannot be asked or the result would be no catalogue.
    """
    load_catalog(arguments.catalog)
    before = json.loads(arguments.catalog.read_text("utf-8"))
    repositories = dict.fromkeys(entry["repository"] for entry in before["files"])
    metadata = Hub(HubAccess(arguments.endpoint, os.environ.get("HF_TOKEN")))
    after = refreshed(before, look_up_all(sorted(repositories), metadata))
    found = changes(before, after)
    print("\n".join(found) or "Nothing has changed.")
    if arguments.check:
        return 1 if found else 0
    if found and "as_of" in after:
        after["as_of"] = f"{datetime.now(UTC):%Y-%m}"
    text = formatted(after)
    _checked(text)
    (arguments.output or arguments.catalog).write_text(text, "utf-8")
    return 0


def main() -> int:
    """Refresh the catalogue; a failure is told and is 2."""
    try:
        return refresh(_arguments())
    except SetupError as error:
        print("\n".join((error.message, *error.context, error.hint)), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
