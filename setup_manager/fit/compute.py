"""Scratch buffers of the engine.

On the CPU the output of a whole batch rules: the vocabulary of 262,144 times the batch, in 32 bits.
Beside it stand five rows of the residual stream for each token of the batch and the attention mask
over all cells of a sequence. Without flash attention the scores of a layer stand at the place of
the output when they are larger. The terms were read off the answers of ``llama-fit-params``
(scripts/memory_oracle.py) and are held to them within 3 % by tests/fit.
"""

from __future__ import annotations

from setup_manager.catalog import Architecture
from setup_manager.fit.cache import cache_cells
from setup_manager.fit.settings import Settings
from setup_manager.units import MIB

_FLOAT_BYTES = 4


def cpu_compute_bytes(architecture: Architecture, settings: Settings) -> int:
    """Give the compute buffers of an engine that runs on the CPU."""
    rows = min(settings.ubatch, settings.context)
    logits = architecture.vocabulary_size * _FLOAT_BYTES
    stream = 5 * architecture.hidden_size * _FLOAT_BYTES
    if settings.flash_attention:
        return rows * (logits + stream + _mask_bytes(architecture, settings, element_bytes=2))
    cells = _cells_of_a_sequence(architecture, settings)[0]
    scores = cells * architecture.heads * _FLOAT_BYTES + _attention_row_bytes(architecture)
    mask = _mask_bytes(architecture, settings, element_bytes=_FLOAT_BYTES)
    return rows * (mask + max(logits + stream, scores))


def untouched_compute_bytes(architecture: Architecture, settings: Settings) -> int:
    """Give the part of the reserved output that a chat never writes.

    Only the last token of a prompt is asked for its output, one for each slot. Without flash
    attention the scores of a layer are written to the same place.
    """
    if not settings.flash_attention:
        return 0
    rows = min(settings.ubatch, settings.context)
    return max(0, rows - settings.slots) * architecture.vocabulary_size * _FLOAT_BYTES


def _cells_of_a_sequence(architecture: Architecture, settings: Settings) -> tuple[int, int]:
    """Cells that one token attends over, in a global and in a local layer."""
    cells = cache_cells(architecture, settings)
    streams = 1 if settings.unified_kv else settings.slots
    return cells.global_cells // streams, cells.local_cells // streams


def _mask_bytes(architecture: Architecture, settings: Settings, *, element_bytes: int) -> int:
    """Bytes of both attention masks for one token of the batch."""
    return sum(_cells_of_a_sequence(architecture, settings)) * element_bytes


def _attention_row_bytes(architecture: Architecture) -> int:
    """What stands beside the scores of one token: stream, queries, per-layer inputs."""
    queries = 3 * architecture.heads * architecture.head_dim_global
    per_layer = architecture.per_layer_embedding_length * architecture.layers
    return (5 * architecture.hidden_size + queries + per_layer) * _FLOAT_BYTES


# Printed logs of Gemma 4 on CUDA: 135 to 190 MiB at a batch of 512, 541 to 1,278 at 2048. The upper
# ends count, since too little is what hurts.
_GPU_AT_512 = 190 * MIB
_GPU_AT_2048 = 1278 * MIB


def gpu_compute_bytes(architecture: Architecture, settings: Settings) -> int:
    """Give the compute buffers on one GPU."""
    rows = min(settings.ubatch, settings.context)
    slope = (_GPU_AT_2048 - _GPU_AT_512) / (2048 - 512)
    base = _GPU_AT_512 * rows / 512 if rows <= 512 else _GPU_AT_512 + slope * (rows - 512)
    mask = rows * _mask_bytes(architecture, settings, element_bytes=2)
    scores = 0
    if not settings.flash_attention:
        cells = _cells_of_a_sequence(architecture, settings)[0]
        scores = rows * cells * (architecture.heads * _FLOAT_BYTES + 2)
    return int(base) + mask + scores
