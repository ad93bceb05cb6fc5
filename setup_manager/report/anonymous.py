"""Leaving out of a report what identifies a person: programs, paths, devices, hosts, times."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from setup_manager.privacy import mask
from setup_manager.report.content import Content, Document

_REPOSITORY = re.compile(r"^[^/\s]+/\S+$")
# Two folders at least, so that "tokens/s" and "and/or" stay; the path of a local URL stays too.
_PATH = re.compile(r"(?<![\w:/.~])(?:~|[A-Za-z]:)?(?:[/\\][^\s/\\:\"'<>|]+){2,}[/\\]?")
_ABSOLUTE = re.compile(r"^(?:~|[A-Za-z]:)?[/\\\\].*[/\\\\](?=[^/\\\\]+$)", re.DOTALL)
_HOST = re.compile(r"https?://(?!127\.0\.0\.1|localhost)[^\s/\"']+")
_INCIDENT_WORDS = {
    "retry": "the connection broke or was refused; retried",
    "wait": "waited",
    "dropped": "a source was dropped",
    "damaged": "damaged data was downloaded again",
    "failed": "the transfer stopped",
}
_TIMES = frozenset({"time", "started_at", "created_at", "installed_at"})


def anonymised(content: Content, private: Sequence[str] = ()) -> Content:
    """Leave out what identifies a person.

    Gone are the programs that hold memory, every path, the devices behind disks, proxies, hosts
    that are not this machine, the names of repositories that are not in the catalogue, and times
    of day. Sizes, speeds and the models of CPU and GPU stay: they are what is worth sharing.

    Args:
        content: The whole report.
        private: User and host names, hidden wherever else they stand.
    """
    model = "a model of another repository" if _REPOSITORY.match(content.model) else content.model
    bare = replace(
        content,
        anonymous=True,
        created_at="",
        model=model,
        title=content.title if model == content.model else model,
        machine=_machine(content.machine),
        downloads=tuple(_download(run) for run in content.downloads),
        files=tuple(_file(file) for file in content.files),
        smoke={**content.smoke, "model": model} if content.smoke is not None else None,
        commands=_commands(content.commands) if model == content.model else None,
    )
    return _scrub_fields(bare, private)


def _scrub_fields(content: Content, private: Sequence[str]) -> Content:
    """Go over every text once more, so that a path inside a sentence does not get through."""
    changes = {
        name: _scrub(getattr(content, name), private)
        for name in ("machine", "explanation", "contexts", "recommendation", "nothing_fits",
                     "downloads", "files", "smoke", "smoke_run", "commands")
    }  # fmt: skip
    return replace(content, **changes)


def _scrub(value: Any, private: Sequence[str]) -> Any:
    if isinstance(value, str):
        return _HOST.sub("[host]", _PATH.sub("[path]", mask(value, private)))
    if isinstance(value, Mapping):
        return {
            key: "" if key in _TIMES else _scrub(entry, private) for key, entry in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(_scrub(entry, private) for entry in value)
    return value


def _machine(machine: Document) -> dict[str, Any]:
    return {
        **machine,
        "memory": {**machine["memory"], "users": []},
        "gpus": [{**gpu, "users": []} for gpu in machine["gpus"]],
        "disks": [{**disk, "path": "", "device": ""} for disk in machine["disks"]],
        "container": {**machine["container"], "proxies": []},
        "findings": [{**finding, "detail": "", "hint": ""} for finding in machine["findings"]],
    }


def _download(run: Document) -> dict[str, Any]:
    incidents = [
        {**incident, "message": _INCIDENT_WORDS.get(incident["kind"], "")}
        for incident in run["incidents"]
    ]
    return {**run, "incidents": incidents}


def _file(file: Document) -> dict[str, Any]:
    return {**file, "path": "", "repository": "", "name": ""}


def _commands(commands: Document | None) -> dict[str, Any] | None:
    """Keep the commands, with programs and files by their names alone."""
    if commands is None:
        return None
    return {name: _bare_names(str(value)) for name, value in commands.items()}


def _bare_names(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    bare = [_ABSOLUTE.sub("", word) for word in words]
    return command if bare == words else shlex.join(bare)
