"""What a running model takes, by purpose and by place.

    total = weights (mapped file, copies on a GPU, rearranged copies on the CPU)
          + keys and values + scratch buffers + projector + everything else

The mapped file counts in full and the part of it that the system may drop without harm is told
apart: the original of what was copied to a GPU or rearranged, and the per-layer embeddings, of
which a token reads a few kilobytes.
"""

from __future__ import annotations

from setup_manager.catalog import Architecture
from setup_manager.fit.cache import kv_cache_bytes, local_cache_bytes
from setup_manager.fit.compute import cpu_compute_bytes, untouched_compute_bytes
from setup_manager.fit.load import Load
from setup_manager.fit.placement import (
    drafter_bytes,
    projector_bytes,
    share_bytes,
)
from setup_manager.fit.results import DeviceUse, Memory, Places
from setup_manager.fit.settings import Settings
from setup_manager.fit.weights import rearranged_bytes
from setup_manager.machine import Vendor
from setup_manager.units import MIB

# llama-server's ceilings where nothing is said: --cache-ram 8192, --ctx-checkpoints 32.
_DEFAULT_PROMPT_CACHE_BYTES = 8192 * MIB
_DEFAULT_CHECKPOINTS = 32


def memory_of(load: Load) -> Memory:
    """Work out what a model takes on a machine, in bytes by purpose and by place."""
    if not load.placement.shares:
        return _on_cpu(load)
    if load.placement.unified:
        return _unified(load)
    return _on_cards(load)


def _other_bytes(architecture: Architecture, settings: Settings) -> int:
    """Main memory beside the model: the program, its prompt cache and its checkpoints.

    What Ollama keeps of the latter two cannot be set and counts as growth instead.
    """
    if not settings.bounds_caches:
        return settings.program_bytes
    checkpoints = settings.context_checkpoints * settings.slots
    return (
        settings.program_bytes
        + settings.prompt_cache_bytes
        + checkpoints * local_cache_bytes(architecture, settings)
    )


def _growth_bytes(architecture: Architecture, settings: Settings) -> int:
    """Give what Ollama's engine may add: it is started without caps on either.

    Ollama passes no ``--cache-ram`` and no ``--ctx-checkpoints`` (llm/llama_server.go), so that
    llama-server's own ceilings hold.
    """
    if settings.bounds_caches:
        return 0
    checkpoints = _DEFAULT_CHECKPOINTS * settings.slots * local_cache_bytes(architecture, settings)
    return _DEFAULT_PROMPT_CACHE_BYTES + checkpoints


def _on_cpu(load: Load) -> Memory:
    architecture, weights, settings = load.architecture, load.weights, load.settings
    copies = rearranged_bytes(weights, load.machine.cpu.features)
    return _memory(
        load,
        weights=weights.file_bytes + copies,
        compute=cpu_compute_bytes(architecture, settings),
        other=_other_bytes(architecture, settings) + drafter_bytes(weights, settings),
        reclaimable=min(weights.file_bytes, copies + weights.per_layer_embedding_bytes),
        untouched=untouched_compute_bytes(architecture, settings),
    )


def _unified(load: Load) -> Memory:
    """Main memory that a GPU shares: Metal uses the mapped file itself, CUDA copies it."""
    architecture, weights, settings = load.architecture, load.weights, load.settings
    share = load.placement.shares[0]
    taken = share_bytes(architecture, weights, settings, share)
    copies = 0 if share.gpu.vendor is Vendor.APPLE else taken.weights
    return _memory(
        load,
        weights=weights.file_bytes + copies,
        compute=taken.compute,
        other=_other_bytes(architecture, settings)
        + taken.other
        - projector_bytes(weights, settings),
        reclaimable=min(weights.file_bytes, copies + weights.per_layer_embedding_bytes),
    )


def _on_cards(load: Load) -> Memory:
    """Cards hold copies; the file stays mapped, and of it the system needs what the CPU reads."""
    architecture, weights, settings = load.architecture, load.weights, load.settings
    placement = load.placement
    taken = [share_bytes(architecture, weights, settings, share) for share in placement.shares]
    on_cpu = bool(placement.cpu_layers)
    kept = weights.bytes_of(placement.cpu_layers) + weights.token_embedding_bytes
    return _memory(
        load,
        weights=weights.file_bytes + sum(part.weights for part in taken),
        compute=sum(part.compute for part in taken)
        + (cpu_compute_bytes(architecture, settings) if on_cpu else 0),
        other=_other_bytes(architecture, settings)
        + sum(part.other for part in taken)
        - projector_bytes(weights, settings),
        reclaimable=max(0, weights.file_bytes - kept),
        untouched=untouched_compute_bytes(architecture, settings) if on_cpu else 0,
        devices=tuple(
            DeviceUse(share.gpu.name, part.total, share.gpu.free_bytes, len(share.layers))
            for share, part in zip(placement.shares, taken, strict=True)
        ),
    )


def _memory(
    load: Load,
    *,
    weights: int,
    compute: int,
    other: int,
    reclaimable: int,
    untouched: int = 0,
    devices: tuple[DeviceUse, ...] = (),
) -> Memory:
    """Add up; what is not on a card is in main memory."""
    cache = kv_cache_bytes(load.architecture, load.settings)
    projector = projector_bytes(load.weights, load.settings)
    total = weights + cache + compute + projector + other
    vram = sum(device.used_bytes for device in devices)
    return Memory(
        weights_bytes=weights,
        kv_cache_bytes=cache,
        compute_bytes=compute,
        projector_bytes=projector,
        overhead_bytes=other,
        total_bytes=total,
        by_place=Places(total - vram, vram),
        needed_bytes=total - vram - reclaimable - untouched,
        reclaimable_bytes=reclaimable,
        untouched_bytes=untouched,
        growth_bytes=_growth_bytes(load.architecture, load.settings),
        gpu_layers=load.placement.gpu_layers,
        devices=devices,
        confirmed=load.weights.confirmed,
    )
