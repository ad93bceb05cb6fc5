"""The tools whose leftovers are known: where each leaves files and how its names are read.

A tool is one row of `TOOLS`: the folders that it writes to and a recogniser, which says from a
file's name, its folder and the names beside it what the file is. What a tool's own records say is
read in `records`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path, PurePath

from setup_manager.recover.leftover import Trace
from setup_manager.recover.records import read_control, read_parts

_OWN_MARK = ".gemma-setup."
_GGUF = ".gguf"
_DIGEST = re.compile(r"[0-9a-f]{64}")

Siblings = Collection[str]
Recogniser = Callable[[PurePath, str, Siblings], Trace | None]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, or several that leave the same.

    Attributes:
        recognise: Says what a file is, from its folder, its name and the names beside it.
        below_home: Folders that it writes to on Linux, macOS or Windows, below the home folder.
        elsewhere: Folders that it writes to whoever the user is.
    """

    recognise: Recogniser
    below_home: tuple[str, ...] = ()
    elsewhere: tuple[Path, ...] = ()


def recognise(folder: PurePath, name: str, siblings: Siblings) -> Trace | None:
    """Ask each tool's row in turn whether a file is its own; what is ours is nobody else's.

    Args:
        folder: Where the file lies.
        name: Of the file.
        siblings: Names of all files in the folder.
    """
    if _OWN_MARK in name:
        return None
    traces = (tool.recognise(folder, name, siblings) for tool in TOOLS)
    return next((trace for trace in traces if trace is not None), None)


def usual_folders(
    home: Path | None, hub_cache: Path, ollama_models: Path, *, llama_cache: Path | None = None
) -> tuple[Path, ...]:
    """List the folders to search, on any of the three systems.

    Args:
        home: The user's home folder, None where there is none.
        hub_cache: The Hugging Face hub cache in use.
        ollama_models: Ollama's store in use.
        llama_cache: What LLAMA_CACHE says.
    """
    given = [hub_cache, ollama_models / "blobs", llama_cache]
    of_user = [home / folder for tool in TOOLS for folder in tool.below_home] if home else []
    elsewhere = [folder for tool in TOOLS for folder in tool.elsewhere]
    return tuple(dict.fromkeys(path for path in [*given, *of_user, *elsewhere] if path))


# huggingface_hub: in the cache a blob in flight is ``blobs/<etag>.incomplete`` (before 1.18;
# appended to from run to run) or ``blobs/<etag>.<8 hex>.incomplete`` (from 1.18 on; unique to its
# process, orphaned by kill -9 and never used again). With ``--local-dir`` it lies in
# ``.cache/huggingface/download/`` as ``<hash of the name>.<etag>.incomplete``, again with or
# without the 8 digits. A finished blob is ``blobs/<etag>``. For an LFS file the entity tag is the
# SHA-256. Over HTTP the bytes are a prefix; hf_xet may write pieces anywhere.
# Source: huggingface_hub's file_download.py and _local_folder.py, 1.17 and 2.4.
_INCOMPLETE = re.compile(r"(?:[\w=-]{8,64}\.)?(?P<etag>[0-9a-f]{64})(?:\.[0-9a-f]{8})?\.incomplete")


def _hugging_face(folder: PurePath, name: str, _siblings: Siblings) -> Trace | None:
    if match := _INCOMPLETE.fullmatch(name):
        return Trace("`hf download`", "", finished=False, sha256=match["etag"])
    if folder.name == "blobs" and _DIGEST.fullmatch(name):
        return Trace("the hub cache", "", finished=True, sha256=name)
    return None


# llama.cpp (``llama-server -hf`` and its kin): a file in flight is ``<final
# path>.downloadInProgress``, a prefix that is appended to; where it is complete and only the rename
# is missing, later builds ask for the range after its end and get 416 for ever. The final path is a
# blob of the hub cache in later builds and ``<org>_<repo>_<file>.gguf`` in one flat folder in
# earlier ones. Source: llama.cpp's common/download.cpp.
_IN_PROGRESS = ".downloadInProgress"
_FLAT_FOLDER = "llama.cpp"


def _llama_cpp(folder: PurePath, name: str, _siblings: Siblings) -> Trace | None:
    if folder.name == _FLAT_FOLDER and name.endswith(_GGUF):
        return Trace("llama.cpp", name, finished=True)
    if not name.endswith(_IN_PROGRESS):
        return None
    final = name.removesuffix(_IN_PROGRESS)
    if _DIGEST.fullmatch(final):
        return Trace("llama.cpp", "", finished=False, sha256=final)
    return Trace("llama.cpp", final, finished=False)


# Ollama's store: ``blobs/sha256-<hex>-partial`` has its full length from the start and is sparse;
# ``…-partial-N`` counts part N. ``blobs/sha256-<hex>`` is finished and was verified by Ollama.
# Source: Ollama's server/download.go.
_BLOB = re.compile(r"sha256-(?P<digest>[0-9a-f]{64})(?P<partial>-partial)?")
_MAX_PARTS = 4096


def _ollama(_folder: PurePath, name: str, siblings: Siblings) -> Trace | None:
    match = _BLOB.fullmatch(name)
    if match is None:
        return None
    if not match["partial"]:
        return Trace("Ollama", "", finished=True, sha256=match["digest"])
    records = tuple(
        record for number in range(_MAX_PARTS) if (record := f"{name}-{number}") in siblings
    )
    return Trace(
        "`ollama pull`",
        "",
        finished=False,
        sha256=match["digest"],
        records=records,
        read_records=read_parts,
    )


# aria2: a file that is full of gaps, and the control file ``<name>.aria2`` beside it.
_CONTROL = ".aria2"


def _aria2(_folder: PurePath, name: str, siblings: Siblings) -> Trace | None:
    if name + _CONTROL not in siblings:
        return None
    return Trace(
        "aria2",
        name,
        finished=False,
        records=(name + _CONTROL,),
        read_records=lambda records: read_control(records[0]),
    )


# LM Studio and Jan keep plain names in model folders of their own. LM Studio writes
# ``downloading_<name>.part`` or ``<name>.part`` (its bug tracker's issues 1477 and 2291; the latter
# tells of two writers to one part, which made it too long), Jan ``<name>.tmp``. Finished files have
# the names that they have on the hub.
_OWNERS = {".lmstudio": "LM Studio", "lm-studio": "LM Studio", "jan": "Jan", "Jan": "Jan"}


def _model_folder(folder: PurePath, name: str, _siblings: Siblings) -> Trace | None:
    owner = next((_OWNERS[part] for part in folder.parts if part in _OWNERS), None)
    if owner is None:
        return None
    for suffix in (".part", ".tmp"):
        if name.endswith(suffix):
            final = name.removesuffix(suffix).removeprefix("downloading_")
            return Trace(owner, final, finished=False)
    return Trace(owner, name, finished=True) if name.lower().endswith(_GGUF) else None


# Browsers leave one prefix. Chromium and its kin write ``name.gguf.crdownload``, ``Unconfirmed
# 123456.crdownload`` or, until the name is settled, a hidden ``.com.google.Chrome.XXXXXX``; Firefox
# ``name.<8 letters>.gguf.part`` (older ones ``name.gguf.part``) with an empty ``name.gguf`` beside
# it; Safari a folder ``name.gguf.download`` with the file inside. ``name (1).gguf`` is the second
# try at the same file.
_UNCONFIRMED = re.compile(r"Unconfirmed \d+\.crdownload|\.(com\.google|org\.chromium)\.\w+\.\w{6}")
_FIREFOX = re.compile(r"(?P<stem>.+)\.[\w-]{8}(?P<suffix>\.gguf)\.part")
_NUMBERED = re.compile(r"(?P<stem>.+) ?\(\d{1,3}\)(?P<suffix>\.gguf)?")


def _browser(folder: PurePath, name: str, _siblings: Siblings) -> Trace | None:
    final: str | None = None
    if _UNCONFIRMED.fullmatch(name):
        final = ""
    elif match := _FIREFOX.fullmatch(name):
        final = match["stem"] + match["suffix"]
    elif name.endswith((".crdownload", ".part", ".download")):
        final = name.rpartition(".")[0]
    elif folder.name.endswith(".download") and name.endswith(_GGUF):
        final = name
    return None if final is None else Trace("a browser", _unnumbered(final), finished=False)


def _unnumbered(name: str) -> str:
    """Take the number off ``name (1).gguf``."""
    match = _NUMBERED.fullmatch(name)
    return match["stem"].rstrip() + (match["suffix"] or "") if match else name


# curl, wget, axel and most scripts write under the final name from the first byte on, so that only
# the header tells whether a plain ``.gguf`` file is all there.
def _plain(_folder: PurePath, name: str, _siblings: Siblings) -> Trace | None:
    if not name.lower().endswith(_GGUF):
        return None
    return Trace("another tool", _unnumbered(name), finished=True)


# In the order in which they are asked: the most telling names first.
TOOLS = (
    Tool(_hugging_face),
    Tool(_llama_cpp, (".cache/llama.cpp", "Library/Caches/llama.cpp", "AppData/Local/llama.cpp")),
    Tool(_ollama, (".ollama/models/blobs",), (Path("/usr/share/ollama/.ollama/models/blobs"),)),
    Tool(_aria2),
    Tool(
        _model_folder,
        (
            ".lmstudio/models",
            ".cache/lm-studio/models",
            "jan/models",
            ".local/share/Jan/data/llamacpp/models",
            "Library/Application Support/Jan/data/llamacpp/models",
            "AppData/Roaming/Jan/data/llamacpp/models",
        ),
    ),
    Tool(_browser, ("Downloads",)),
    Tool(_plain),
)
