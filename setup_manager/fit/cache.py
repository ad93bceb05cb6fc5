"""The KV cache, to the byte, as llama.cpp allocates it.

Global layers keep the whole context; local layers keep their window and the batch that is being
computed, rounded up to 256 cells; layers that share another's cache keep nothing. Keys and values
are both stored, also where a layer has no value projection. Source: llama.cpp,
``llama_kv_cache_iswa`` and ``llama_kv_cache``; checked against ``llama-fit-params`` (tests/fit).
"""

from __future__ import annotations

from dataclasses import dataclass

from setup_manager.catalog import Architecture
from setup_manager.fit.settings import CacheType, Settings
from setup_manager.fit.tensors import global_layers, owning_layers

_CELL_STEP = 256
# Bytes of one cached number: halves, or a block of 32 with a 16-bit scale; exact as binary floats.
_ELEMENT_BYTES: dict[CacheType, float] = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}


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


def layers_cache_bytes(architecture: Architecture, settings: Settings, layers: range) -> int:
    """Give the bytes of the keys and values of some layers."""
    owning = owning_layers(architecture, layers)
    everywhere = global_layers(architecture, owning)
    global_bytes, local_bytes = owning_layer_bytes(architecture, settings)
    return everywhere * global_bytes + (len(owning) - everywhere) * local_bytes


def owning_layer_bytes(architecture: Architecture, settings: Settings) -> tuple[int, int]:
    """Give the bytes of the keys and values of one global and of one local layer."""
    cells = cache_cells(architecture, settings)
    everywhere = cache_width(architecture, everywhere=True)
    window = cache_width(architecture, everywhere=False)
    # Without flash attention values are stored transposed, every layer as wide as the widest.
    widest = 0 if settings.flash_attention else max(everywhere, window)
    key_bytes = _ELEMENT_BYTES[settings.kv_type.keys]
    value_bytes = _ELEMENT_BYTES[settings.kv_type.values]
    global_row = everywhere * key_bytes + max(everywhere, widest) * value_bytes
    local_row = window * key_bytes + max(window, widest) * value_bytes
    return int(global_row * cells.global_cells), int(local_row * cells.local_cells)


def cache_read_bytes(
    architecture: Architecture, settings: Settings, layers: range, depth: int
) -> float:
    """Bytes of keys and values that one token reads; layers that share a cache read it too."""
    everywhere = global_layers(architecture, layers)
    window = min(depth, architecture.sliding_window)
    read = everywhere * depth * cache_width(architecture, everywhere=True)
    read += (len(layers) - everywhere) * window * cache_width(architecture, everywhere=False)
    return read * sum(
        _ELEMENT_BYTES[kind] for kind in (settings.kv_type.keys, settings.kv_type.values)
    )


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
