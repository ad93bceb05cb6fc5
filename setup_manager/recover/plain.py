"""Plain ``.gguf`` files: finished ones, and the short ones that curl and wget leave.

curl, wget, axel and most scripts write under the final name from the first byte on, so that only
the header tells whether the file is all there. LM Studio and Jan keep their models under plain
names in folders of their own; in flight LM Studio's are ``downloading_<name>.part`` and Jan's
``<name>.tmp``.
"""

from __future__ import annotations

from pathlib import PurePath

from setup_manager.recover.browser import unnumbered
from setup_manager.recover.leftover import Trace

_FOLDERS = {".lmstudio": "LM Studio", "lm-studio": "LM Studio", "jan": "Jan", "Jan": "Jan"}
_LM_STUDIO_PREFIX = "downloading_"


def recognise(folder: PurePath, name: str) -> Trace | None:
    """Say what a file with a plain name is.

    Args:
        folder: Where it lies; tells whose model folder it is.
        name: Of the file.
    """
    owner = next((_FOLDERS[part] for part in folder.parts if part in _FOLDERS), None)
    if owner and name.endswith((".part", ".tmp")):
        final = name.removesuffix(".part").removesuffix(".tmp").removeprefix(_LM_STUDIO_PREFIX)
        return Trace(owner, final, finished=False)
    if not name.lower().endswith(".gguf"):
        return None
    return Trace(owner or "another tool", unnumbered(name), finished=True)
