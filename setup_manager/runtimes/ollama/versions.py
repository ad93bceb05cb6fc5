"""What a version of Ollama can do with Gemma 4, and what registering costs there."""

from __future__ import annotations

import re
from dataclasses import dataclass

Version = tuple[int, int, int]

FIRST_GEMMA4: Version = (0, 20, 0)
FIRST_FOREIGN_GGUF: Version = (0, 30, 0)
FIRST_12B: Version = (0, 30, 5)
CURRENT_TEMPLATE: Version = (0, 32, 1)
# From here on create passes every GGUF through `llama-quantize … COPY` (Ollama issue 17554).
FIRST_REWRITING: Version = (0, 30, 0)


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a version is good for.

    Attributes:
        gemma4: Whether it runs the model; None for a version that says nothing.
        detail: Why not, or what is lacking; ``""`` if all is well.
    """

    gemma4: bool | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CopyNeed:
    """Disk that registering takes in Ollama's store, beside the downloaded file.

    Attributes:
        peak_bytes: While it registers.
        settled_bytes: Afterwards, before Ollama prunes at its next start.
    """

    peak_bytes: int
    settled_bytes: int


def parse_version(text: str) -> Version | None:
    """Read a version such as ``"0.32.1"`` or ``"0.33.0-rc2"``.

    Returns:
        Three numbers; None for anything else and for ``0.0.0``, which a build without a version
        calls itself.
    """
    match = re.match(r"v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?![\d.])", text.strip())
    version = (int(match[1]), int(match[2]), int(match[3])) if match else None
    return None if version == (0, 0, 0) else version


def assess(text: str, variant: str | None = None) -> Assessment:
    """Say what a version is good for.

    Args:
        text: The answer of ``/api/version``.
        variant: Variant key, None if none is chosen yet.
    """
    version = parse_version(text)
    if version is None:
        return Assessment(
            gemma4=None, detail=f"version {text or 'unknown'} does not tell what it can do"
        )
    if version < FIRST_GEMMA4:
        return Assessment(
            gemma4=False, detail=f"{text} does not know Gemma 4: 0.30 or later is needed"
        )
    if version < FIRST_FOREIGN_GGUF:
        return Assessment(
            gemma4=False, detail=f"{text} does not take GGUF files made elsewhere: 0.30 is needed"
        )
    if variant == "12b" and version < FIRST_12B:
        return Assessment(
            gemma4=False, detail=f"{text} crashes on the 12B model: 0.30.5 or later is needed"
        )
    if version < CURRENT_TEMPLATE:
        return Assessment(
            gemma4=True, detail=f"{text} has an old chat template: 0.32.1 or later is better"
        )
    return Assessment(gemma4=True)


def ollama_copies_bytes(version: str, size_bytes: int, *, linked: bool = False) -> CopyNeed:
    """Compute what registering weights takes in Ollama's store.

    Creating rewrites the file: first into a temporary copy, then, while its digest is computed,
    into the new blob (Ollama's ``rewriteLayerWithLlamaQuantize`` and ``NewLayer``). An uploaded
    blob comes on top of that and stays until Ollama prunes; a linked one takes no room.

    Args:
        version: As Ollama says it; an unknown one is taken for a current one.
        size_bytes: Size of the weights.
        linked: Whether the blob can be linked and need not be uploaded.
    """
    known = parse_version(version)
    uploaded = 0 if linked else size_bytes
    if known is not None and known < FIRST_REWRITING:
        return CopyNeed(uploaded, uploaded)
    return CopyNeed(2 * size_bytes + uploaded, size_bytes + uploaded)
