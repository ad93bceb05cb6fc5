"""Archives for the tests: builds in the form of the official ones, and hostile ones."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

# Flags as in `llama-server --help` of b11434; the word gemma4 is what capability looks for.
FAKE_SERVER = """#!/bin/sh
# knows llama_model_gemma4
case "$1" in
--version) echo "version: 9219 (build 9219, commit 0123abc)" ;;
--help) echo "-m, --model FNAME  -c, --ctx-size N  -np, --parallel N  -ctk, --cache-type-k TYPE
  -ctv, --cache-type-v TYPE  -a, --alias STRING  --jinja  --models-preset PATH" ;;
esac
"""


def member(
    name: str,
    content: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    mode: int = 0o644,
) -> tuple[tarfile.TarInfo, bytes]:
    """Make a member of a tar archive."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode, entry.size = kind, link, mode, len(content)
    return entry, content


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Pack members as a .tar.gz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for entry, content in members:
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def build_archive(tag: str, server: str = FAKE_SERVER) -> bytes:
    """Pack a build as llama.cpp's release workflow does: all below ``llama-<tag>/``."""
    top = f"llama-{tag}"
    return tar_of(
        member(f"{top}/", kind=tarfile.DIRTYPE, mode=0o755),
        member(f"{top}/llama-server", server.encode(), mode=0o755),
        member(f"{top}/libllama.so.0.6.0", b"library"),
        member(f"{top}/libllama.so.0", kind=tarfile.SYMTYPE, link="libllama.so.0.6.0"),
        member(f"{top}/libllama.so", kind=tarfile.SYMTYPE, link="libllama.so.0"),
        member(f"{top}/LICENSE", b"MIT"),
    )


def real_build_archive(tag: str, program: Path) -> bytes:
    """Pack a real llama-server with the libraries beside it, links as links."""
    buffer = io.BytesIO()
    folder = program.resolve().parent
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for path in [program.resolve(), *sorted(folder.glob("lib*.so*"))]:
            archive.add(path, f"llama-{tag}/{path.name}")
    return buffer.getvalue()
