"""What a binary can do, told from the binary itself: build numbers may be missing or made up."""

from __future__ import annotations

from pathlib import Path

# Compilers fold a name of six letters into instructions, so it need not stand alone as a string;
# but run-time type names (``llama_model_gemma4``, earlier ``llm_build_gemma4_iswa``) and longer
# strings contain it, and nothing was called so before the architecture was known.
ARCHITECTURE = b"gemma4"
_BLOCK_BYTES = 1024**2


def file_contains(path: Path, needle: bytes) -> bool:
    """Say whether a file contains some bytes; False if it cannot be read."""
    try:
        with path.open("rb") as source:
            overlap = b""
            while block := source.read(_BLOCK_BYTES):
                if needle in overlap + block:
                    return True
                overlap = block[-(len(needle) - 1) :]
    except OSError:
        return False
    return False
