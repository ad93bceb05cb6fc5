"""huggingface_hub: `hf download`, and everything else that fills its cache.

In the cache a blob in flight is ``blobs/<etag>.incomplete`` (before 1.18; appended to from run to
run) or ``blobs/<etag>.<8 hex>.incomplete`` (from 1.18 on; unique to its process, orphaned by
kill -9 and never used again). With ``--local-dir`` it lies in ``.cache/huggingface/download/`` as
``<hash of the name>.<etag>.incomplete``, again with or without the 8 digits. A finished blob is
``blobs/<etag>``. For an LFS file the entity tag is the SHA-256. Over HTTP the bytes are a prefix;
hf_xet may write pieces anywhere.
Source: huggingface_hub's file_download.py and _local_folder.py, 1.17 and 2.4.
"""

from __future__ import annotations

import re

from setup_manager.recover.leftover import Trace

LEFT_BY = "`hf download`"
_INCOMPLETE = re.compile(r"(?:[\w=-]{8,64}\.)?(?P<etag>[0-9a-f]{64})(?:\.[0-9a-f]{8})?\.incomplete")
_BLOB = re.compile(r"[0-9a-f]{64}")


def recognise(folder_name: str, name: str) -> Trace | None:
    """Say what a file in the hub cache or in a local folder's cache is.

    Args:
        folder_name: Last component of the folder.
        name: Of the file.
    """
    if match := _INCOMPLETE.fullmatch(name):
        return Trace(LEFT_BY, "", finished=False, sha256=match["etag"])
    if folder_name == "blobs" and _BLOB.fullmatch(name):
        return Trace("the hub cache", "", finished=True, sha256=name)
    return None
