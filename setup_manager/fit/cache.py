"""The KV cache, to the byte, as llama.cpp allocates it.

Global layers keep the whole context; local layers keep their window and the batch that is being
computed, rounded up to 256 cells; layers that share another's cache keep nothing. Keys and values
are both stored, also where a layer has no value projection. Source: llama.cpp,
``llama_kv_cache_iswa`` and ``llama_kv_cache``; checked against ``llama-fit-params`` (tests/fit).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from setup_manager.catalog import Architecture
from setup_manager.fit.settings import KvType, Settings
from setup_manager.fit.tensors import is_global, owns_cache

_CELL_STEP = 256
# Bytes of one cached number: halves, or a block of 32 with a 16-bit scale; exact as binary floats.
_ELEMENT_BYTES = {
    KvType.F16: 2.0,
    KvType.Q8_0: 34 / 32,
    KvType.Q4_0: 18 / 32,
}


@dataclass(frozen=True, slots=True)
class CacheCells:
    """Cells that one layer keeps, all slots together."""

    global_cells: int
    local_cells: int


def _rounded_up(cells: int) -> int:
    return -(-cells // _CELL_STEP) * _CELL_STEP


def cache_cells(architecture: Architecture, settings: Settings) -> CacheCells:
    """Count the cells of a global and of a local layer."""
    slots = settings.slots
    window = architecture.sliding_window
    context = _rounded_up(settings.context)
    if settings.unified_kv:
        return CacheCells(context, _rounded_up(min(context, window * slots + settings.ubatch)))
    local = _rounded_up(min(context, window + settings.ubatch))
    return CacheCells(context * slots, local * slots)


def layers_cache_bytes(
    architecture: Architecture, settings: Settings, layers: Iterable[int]
) -> int:
    """Give the bytes of the keys and values of some layers."""
    global_bytes, local_bytes = owning_layer_bytes(architecture, settings)
    return sum(
        global_bytes if is_global(architecture, layer) else local_bytes
        for layer in layers
        if owns_cache(architecture, layer)
    )


def owning_layer_bytes(architecture: Architecture, settings: Settings) -> tuple[int, int]:
    """Give the bytes of the keys and values of one global and of one local layer."""
    cells = cache_cells(architecture, settings)
    widths = [cache_width(architecture, everywhere=everywhere) for everywhere in (True, False)]
    # Without flash attention values are stored transposed, every layer as wide as the widest.
    values = widths if settings.flash_attention else [max(widths)] * 2
    key_bytes, value_bytes = _ELEMENT_BYTES[settings.key_type], _ELEMENT_BYTES[settings.value_type]
    row_bytes = [k * key_bytes + v * value_bytes for k, v in zip(widths, values, strict=True)]
    return int(row_bytes[0] * cells.global_cells), int(row_bytes[1] * cells.local_cells)


def pair_bytes(settings: Settings) -> float:
    """Give the bytes of a number of a key and a number of a value together."""
    return _ELEMENT_BYTES[settings.key_type] + _ELEMENT_BYTES[settings.value_type]


def cache_width(architecture: Architecture, *, everywhere: bool) -> int:
    """Give the numbers of a key (and of a value) of one token in one global or local layer."""
    if everywhere:
        return architecture.kv_heads_global * architecture.head_dim_global
    return architecture.kv_heads_local * architecture.head_dim_local


def kv_cache_bytes(architecture: Architecture, settings: Settings) -> int:
    """Give the bytes of all keys and values."""
    global_bytes, local_bytes = owning_layer_bytes(architecture, settings)
    return architecture.kv_layers_global * global_bytes + architecture.kv_layers_local * local_bytes


def local_cache_bytes(architecture: Architecture, settings: Settings) -> int:
    """Give the bytes of the local layers of one slot: the size of a context checkpoint."""
    local = architecture.kv_layers_local * owning_layer_bytes(architecture, settings)[1]
    return local // (1 if settings.unified_kv else settings.slots)
