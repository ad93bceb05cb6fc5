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
from setup_manager.fit.placement import (
    PROJECTOR_FACTOR,
    Placement,
    companion_bytes,
    place,
)
from setup_manager.fit.results import DeviceUse, MemoryUse
from setup_manager.fit.settings import Settings, check_settings
from setup_manager.fit.weights import WeightsFacts, rearranged_bytes
from setup_manager.machine import Machine, Vendor
from setup_manager.units import MIB

# llama-server's ceilings where nothing is said: --cache-ram 8192, --ctx-checkpoints 32.
_DEFAULT_PROMPT_CACHE_BYTES = 8192 * MIB
_DEFAULT_CHECKPOINTS = 32


def memory_use(
    architecture: Architecture, weights: WeightsFacts, settings: Settings, machine: Machine
) -> MemoryUse:
    """Work out what a model takes on a machine.

    Args:
        architecture: The variant's constants.
        weights: What the file is made of.
        settings: How it will be started.
        machine: Where.

    Returns:
        Bytes by purpose and by place; ``total_bytes`` is the sum of either.

    Raises:
        UsageError: If the settings are out of range for the variant.
    """
    check_settings(settings, architecture)
    placement = place(architecture, weights, settings, machine)
    if not placement.devices:
        return _on_cpu(architecture, weights, settings, machine, placement)
    if placement.unified:
        return _unified(architecture, weights, settings, placement)
    return _on_cards(architecture, weights, settings, placement)


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


def _projector_bytes(weights: WeightsFacts, settings: Settings) -> int:
    return int(PROJECTOR_FACTOR * weights.projector_file_bytes) if settings.projector else 0


def _drafter_bytes(weights: WeightsFacts, settings: Settings) -> int:
    return companion_bytes(weights, settings) - _projector_bytes(weights, settings)


def _on_cpu(
    architecture: Architecture,
    weights: WeightsFacts,
    settings: Settings,
    machine: Machine,
    placement: Placement,
) -> MemoryUse:
    copies = rearranged_bytes(weights, machine.cpu)
    kv = kv_cache_bytes(architecture, settings)
    compute = cpu_compute_bytes(architecture, settings)
    projector = _projector_bytes(weights, settings)
    other = _other_bytes(architecture, settings) + _drafter_bytes(weights, settings)
    return MemoryUse(
        weights_bytes=weights.file_bytes + copies,
        kv_cache_bytes=kv,
        compute_bytes=compute,
        projector_bytes=projector,
        overhead_bytes=other,
        ram_bytes=weights.file_bytes + copies + kv + compute + projector + other,
        vram_bytes=0,
        reclaimable_bytes=min(weights.file_bytes, copies + weights.per_layer_embedding_bytes),
        untouched_bytes=untouched_compute_bytes(architecture, settings),
        gpu_layers=placement.gpu_layers,
        confirmed=weights.confirmed,
        growth_bytes=_growth_bytes(architecture, settings),
    )


def _unified(
    architecture: Architecture, weights: WeightsFacts, settings: Settings, placement: Placement
) -> MemoryUse:
    """Main memory that a GPU shares: Metal uses the mapped file itself, CUDA copies it."""
    share = placement.devices[0]
    copies = 0 if share.gpu.vendor is Vendor.APPLE else share.weights_bytes
    kv = kv_cache_bytes(architecture, settings)
    projector = _projector_bytes(weights, settings)
    other = _other_bytes(architecture, settings) + share.other_bytes - projector
    total = weights.file_bytes + copies + kv + share.compute_bytes + projector + other
    return MemoryUse(
        weights_bytes=weights.file_bytes + copies,
        kv_cache_bytes=kv,
        compute_bytes=share.compute_bytes,
        projector_bytes=projector,
        overhead_bytes=other,
        ram_bytes=total,
        vram_bytes=0,
        reclaimable_bytes=min(weights.file_bytes, copies + weights.per_layer_embedding_bytes),
        gpu_layers=placement.gpu_layers,
        confirmed=weights.confirmed,
        growth_bytes=_growth_bytes(architecture, settings),
    )


def _on_cards(
    architecture: Architecture, weights: WeightsFacts, settings: Settings, placement: Placement
) -> MemoryUse:
    """Cards hold copies; the file stays mapped, and of it the system needs what the CPU reads."""
    kv = kv_cache_bytes(architecture, settings)
    on_cards = sum(share.weights_bytes for share in placement.devices)
    vram = sum(share.total_bytes for share in placement.devices)
    projector = _projector_bytes(weights, settings)
    compute = sum(share.compute_bytes for share in placement.devices)
    host_compute = 0
    if placement.cpu_layers:
        host_compute = cpu_compute_bytes(architecture, settings)
    other = _other_bytes(architecture, settings)
    gpu_other = sum(share.other_bytes for share in placement.devices) - projector
    host_kv = kv - sum(share.cache_bytes for share in placement.devices)
    kept = sum(weights.layer_bytes[layer] for layer in placement.cpu_layers)
    kept += weights.token_embedding_bytes
    return MemoryUse(
        weights_bytes=weights.file_bytes + on_cards,
        kv_cache_bytes=kv,
        compute_bytes=compute + host_compute,
        projector_bytes=projector,
        overhead_bytes=other + gpu_other,
        ram_bytes=weights.file_bytes + host_kv + host_compute + other,
        vram_bytes=vram,
        reclaimable_bytes=max(0, weights.file_bytes - kept),
        untouched_bytes=(
            untouched_compute_bytes(architecture, settings) if placement.cpu_layers else 0
        ),
        gpu_layers=placement.gpu_layers,
        confirmed=weights.confirmed,
        growth_bytes=_growth_bytes(architecture, settings),
        devices=tuple(
            DeviceUse(share.gpu.name, share.total_bytes, share.gpu.free_bytes, len(share.layers))
            for share in placement.devices
        ),
    )
