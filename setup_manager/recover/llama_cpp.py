"""llama.cpp's own downloads: ``llama-server -hf`` and its kin.

A file in flight is ``<final path>.downloadInProgress``, a prefix that is appended to; where it is
complete and only the rename is missing, later builds ask for the range after its end and get 416
for ever. The final path is a blob of the hub cache in later builds and
``<org>_<repo>_<file>.gguf`` in one flat folder in earlier ones.
Source: llama.cpp's common/download.cpp.
"""

from __future__ import annotations

import re

from setup_manager.recover.leftover import Trace

LEFT_BY = "llama.cpp"
_FLAT_CACHE = "llama.cpp"
_SUFFIX = ".downloadInProgress"
_DIGEST = re.compile(r"[0-9a-f]{64}")


def recognise(folder_name: str, name: str) -> Trace | None:
    """Say whether llama.cpp was at a file.

    Args:
        folder_name: Last component of the folder.
        name: Of the file.
    """
    if folder_name == _FLAT_CACHE and name.endswith(".gguf"):
        return Trace(LEFT_BY, name, finished=True)
    if not name.endswith(_SUFFIX):
        return None
    final = name.removesuffix(_SUFFIX)
    if _DIGEST.fullmatch(final):
        return Trace(LEFT_BY, "", finished=False, sha256=final)
    return Trace(LEFT_BY, final, finished=False)
