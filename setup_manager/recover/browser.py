"""Browsers: one prefix, under a name of the browser's choice.

Chromium and its kin write ``name.gguf.crdownload``, ``Unconfirmed 123456.crdownload`` or, until
the name is settled, a hidden ``.com.google.Chrome.XXXXXX``; Firefox ``name.<8 letters>.gguf.part``
(older ones ``name.gguf.part``) with an empty ``name.gguf`` beside it; Safari a folder
``name.gguf.download`` with the file inside. ``name (1).gguf`` is the second try at the same file.
"""

from __future__ import annotations

import re

from setup_manager.recover.leftover import Trace

LEFT_BY = "a browser"
_UNCONFIRMED = re.compile(r"Unconfirmed \d+\.crdownload|\.(com\.google|org\.chromium)\.\w+\.\w{6}")
_FIREFOX = re.compile(r"(?P<stem>.+)\.[\w-]{8}(?P<suffix>\.gguf)\.part")
_SUFFIXES = (".crdownload", ".part", ".download")
_NUMBERED = re.compile(r"(?P<stem>.+) ?\(\d{1,3}\)(?P<suffix>\.gguf)?")


def recognise(folder_name: str, name: str) -> Trace | None:
    """Say whether a browser was at a file of this name.

    Args:
        folder_name: Last component of the folder.
        name: Of the file.
    """
    if _UNCONFIRMED.fullmatch(name):
        return Trace(LEFT_BY, "", finished=False)
    if match := _FIREFOX.fullmatch(name):
        return Trace(LEFT_BY, unnumbered(match["stem"] + match["suffix"]), finished=False)
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            return Trace(LEFT_BY, unnumbered(name.removesuffix(suffix)), finished=False)
    if folder_name.endswith(".download") and name.endswith(".gguf"):
        return Trace(LEFT_BY, unnumbered(name), finished=False)
    return None


def unnumbered(name: str) -> str:
    """Take the number off ``name (1).gguf``."""
    match = _NUMBERED.fullmatch(name)
    return match["stem"].rstrip() + (match["suffix"] or "") if match else name
