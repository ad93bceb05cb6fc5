"""What a file's name says: its quantization, its role, and which shard of a model it is.

Publishers write the same things differently: ``gemma-4-E2B-it-UD-Q4_K_XL.gguf`` (unsloth),
``gemma-4-26B_q4_0-it.gguf`` (google), ``google_gemma-4-E4B-it-Q4_K_M.gguf`` (bartowski),
``mmproj-gemma-4-E4B-it-Q8_0.gguf`` (ggml-org), ``gemma-4-E2B-it-mmproj.gguf`` (google).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from setup_manager.catalog.artifact import Role
from setup_manager.catalog.quantizations import QUANTIZATIONS

# The rows of the table, and what llama.cpp (llama-quantize --help) and publishers may name in the
# same way ("UD-", suffixes _L, _XL, …); only between separators, so that "E2B" and "A4B" are none.
_NAMES = (name.removeprefix("QAT-") for row in QUANTIZATIONS for name in (row.label, *row.aliases))
_QUANTIZATION = re.compile(
    r"(?<![A-Za-z0-9])"
    r"((?:UD-)?(?:I?Q[1-8](?:_(?:K|NL|XXS|XS|S|M|L|XL|XXL|[0-9])(?![A-Za-z0-9]))*|TQ[12]_0"
    rf"|{'|'.join(sorted(_NAMES, key=len, reverse=True))}))"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)
_QAT = re.compile(r"(?<![a-z0-9])qat(?![a-z0-9])", re.IGNORECASE)
_DRAFTER = re.compile(r"(^|[-_.])(mtp|assistant)[-_.]", re.IGNORECASE)
# Sidecars of llama.cpp that are no model: importance matrices and other kinds of draft models.
_SIDECAR = re.compile(r"imatrix|(^|[-_.])(eagle3|dflash|dspark)-", re.IGNORECASE)
_SAME = {"FP16": "F16", "FP32": "F32"}


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a split GGUF.

    Attributes:
        prefix: Path without the number and the suffix; the same for all parts.
        index: From 1.
        count: Parts in all.
    """

    prefix: str
    index: int
    count: int


@dataclass(frozen=True, slots=True)
class FileName:
    """What the name of a file in a repository says.

    Attributes:
        role: What the file is for; None if it is no GGUF, or one of no use here such as an
            importance matrix.
        quantization: Label without QAT, e.g. ``"UD-Q4_K_XL"``; None if there is none.
        qat: Whether the weights were trained for their quantization.
        shard: Which part of a split GGUF it is, None for a file that is whole.
    """

    role: Role | None
    quantization: str | None
    qat: bool
    shard: Shard | None

    @property
    def label(self) -> str | None:
        """The label as the catalogue writes it: ``"QAT-Q4_0"``, ``"QAT-UD-Q4_K_XL"``."""
        return f"QAT-{self.quantization}" if self.quantization and self.qat else self.quantization


def read_name(repository: str, path: str) -> FileName:
    """Read what a file's name says; google's mostly leave "qat" out, the repository's has it."""
    qat = _QAT.search(path) is not None or _QAT.search(repository) is not None
    return FileName(_role(path), _quantization(path), qat, _shard(path))


def _quantization(path: str) -> str | None:
    """Read the quantization label from a file's name, else from its folder's.

    Args:
        path: Path inside a repository.

    Returns:
        Upper case, e.g. ``"UD-Q4_K_XL"``, ``"Q4_0"`` or ``"BF16"``; None if there is none.
    """
    for part in reversed(path.split("/")):
        if labels := _QUANTIZATION.findall(part):
            label = str(labels[-1]).upper()
            return _SAME.get(label, label)
    return None


def _role(path: str) -> Role | None:
    """Tell what a file is for.

    Args:
        path: Path inside a repository.

    Returns:
        None if it is no GGUF, or one of no use here such as an importance matrix.
    """
    name = path.rsplit("/", 1)[-1].lower()
    if not name.endswith(".gguf") or _SIDECAR.search(name):
        return None
    if "mmproj" in name:
        return Role.PROJECTOR
    return Role.DRAFTER if _DRAFTER.search(name) else Role.WEIGHTS


def _shard(path: str) -> Shard | None:
    """Read which part of a split GGUF a file is, None for a file that is whole."""
    match = _SHARD.fullmatch(path)
    return Shard(match[1], int(match[2]), int(match[3])) if match else None
