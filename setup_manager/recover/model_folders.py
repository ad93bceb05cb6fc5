"""LM Studio and Jan: plain names in model folders of their own.

LM Studio writes ``downloading_<name>.part`` or ``<name>.part`` (its bug tracker's issues 1477 and
2291; the latter tells of two writers to one part, which made it too long), Jan ``<name>.tmp``.
Finished files have the names that they have on the hub.
"""

from __future__ import annotations

from pathlib import PurePath

from setup_manager.recover.leftover import Trace

_OWNERS = {".lmstudio": "LM Studio", "lm-studio": "LM Studio", "jan": "Jan", "Jan": "Jan"}
_PREFIX = "downloading_"
_SUFFIXES = (".part", ".tmp")


def recognise(folder: PurePath, name: str) -> Trace | None:
    """Say what a file in a model folder is.

    Args:
        folder: Where it lies; tells whose folder it is.
        name: Of the file.
    """
    owner = next((_OWNERS[part] for part in folder.parts if part in _OWNERS), None)
    if owner is None:
        return None
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            final = name.removesuffix(suffix).removeprefix(_PREFIX)
            return Trace(owner, final, finished=False)
    return Trace(owner, name, finished=True) if name.lower().endswith(".gguf") else None
