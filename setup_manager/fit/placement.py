"""Which layers run where: on the CPU, on a card, on several cards, or in unified memory.

The rule is llama.cpp's own (``-ngl auto``): the last layers and the output go to the GPU first, as
many as fit while 1,024 MiB stay free on each card. Cards are filled one after the other and never
taken for one big card: each has its own context and its own scratch buffers. Unified memory is the
machine's main memory and is never added to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from setup_manager.catalog import Architecture
from setup_manager.fit.cache import layers_cache_bytes, owning_layer_bytes
from setup_manager.fit.compute import gpu_compute_bytes
from setup_manager.fit.settings import Settings
from setup_manager.fit.tensors import is_global, owns_cache
from setup_manager.fit.weights import WeightsFacts
from setup_manager.machine import Gpu, Machine, Vendor
from setup_manager.units import MIB

# llama.cpp, common/fit.cpp: bytes it leaves free on each device.
CARD_MARGIN_BYTES = 1024 * MIB
# Projectors measured at 1.85 times their file (weights, and buffers for one image).
PROJECTOR_FACTOR = 1.85
# A GPU's own context: 150 to 300 MiB on CUDA by published logs; ROCm and Vulkan counted the same.
CARD_CONTEXT_BYTES = 300 * MIB
UNIFIED_CONTEXT_BYTES = 150 * MIB
# An integrated GPU's own memory below this holds no model, only the screen.
_WORTHWHILE_BYTES = 4096 * MIB


@dataclass(frozen=True, slots=True)
class DeviceShare:
    """What one GPU takes of a model.

    Attributes:
        gpu: The device.
        layers: Blocks on it.
        output: Whether the output matrix is on it.
        weights_bytes: Of the weights.
        cache_bytes: Of the keys and values.
        compute_bytes: Its scratch buffers.
        other_bytes: Its context, projector and drafter.
    """

    gpu: Gpu
    layers: tuple[int, ...]
    output: bool
    weights_bytes: int
    cache_bytes: int
    compute_bytes: int
    other_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.cache_bytes + self.compute_bytes + self.other_bytes


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs.

    Attributes:
        devices: GPUs in use; empty for the CPU alone.
        cpu_layers: Blocks that the CPU computes.
        unified: Whether the GPU shares main memory.
    """

    devices: tuple[DeviceShare, ...]
    cpu_layers: tuple[int, ...]
    unified: bool = False

    @property
    def gpu_layers(self) -> int:
        """Blocks on GPUs, and the output where it is there, as ``-ngl`` counts them."""
        return sum(len(share.layers) + share.output for share in self.devices)


def usable_gpus(machine: Machine) -> tuple[Gpu, ...]:
    """Choose the GPUs that an engine would use.

    Cards come before integrated GPUs. One to which the BIOS gave much memory of its own is a card
    with slow memory. One that shares main memory counts when it is Apple's or NVIDIA's, or its
    bandwidth is a known figure: others read the same memory at the same rate as the CPU and most
    engines leave them alone.
    """
    cards = [gpu for gpu in machine.gpus if not gpu.unified and not gpu.integrated]
    if not cards:
        cards = [g for g in machine.gpus if not g.unified and g.free_bytes >= _WORTHWHILE_BYTES]
    if cards:
        best = max(cards, key=lambda gpu: gpu.free_bytes)
        same = [gpu for gpu in cards if gpu.vendor is best.vendor]
        return tuple(sorted(same, key=lambda gpu: -gpu.free_bytes))
    strong = (Vendor.APPLE, Vendor.NVIDIA)
    shared = [
        gpu
        for gpu in machine.gpus
        if gpu.unified and (gpu.vendor in strong or gpu.bandwidth_bytes_per_second)
    ]
    return tuple(shared[:1])


def place(
    architecture: Architecture, weights: WeightsFacts, settings: Settings, machine: Machine
) -> Placement:
    """Decide where every layer runs."""
    every = tuple(range(architecture.layers))
    gpus = usable_gpus(machine)
    if not gpus or settings.gpu_layers == 0:
        return Placement((), every)
    costs = _Costs(architecture, weights, settings)
    if gpus[0].unified:
        wanted = architecture.layers + 1 if settings.gpu_layers is None else settings.gpu_layers
        share = costs.share(gpus[0], _last(every, wanted), output=True, first=True)
        return Placement((share,), _rest(every, share.layers), unified=True)
    if settings.gpu_layers is not None:
        share = costs.share(gpus[0], _last(every, settings.gpu_layers), output=True, first=True)
        return Placement((share,), _rest(every, share.layers))
    return _fill(costs, every, gpus)


def _last(every: tuple[int, ...], with_output: int) -> tuple[int, ...]:
    count = min(len(every), with_output - 1)
    return every[len(every) - count :]


def _rest(every: tuple[int, ...], taken: tuple[int, ...]) -> tuple[int, ...]:
    return every[: len(every) - len(taken)]


@dataclass(frozen=True, slots=True)
class _Costs:
    """What layers cost on a device."""

    architecture: Architecture
    weights: WeightsFacts
    settings: Settings

    def fixed(self, gpu: Gpu, *, first: bool) -> int:
        """Bytes that a device takes before its first layer."""
        other = UNIFIED_CONTEXT_BYTES if gpu.unified else CARD_CONTEXT_BYTES
        return other + (companion_bytes(self.weights, self.settings) if first else 0)

    def share(self, gpu: Gpu, layers: tuple[int, ...], *, output: bool, first: bool) -> DeviceShare:
        """Add up what a device takes."""
        embedding = self.weights.token_embedding_bytes if output else 0
        return DeviceShare(
            gpu=gpu,
            layers=layers,
            output=output,
            weights_bytes=embedding + sum(self.weights.layer_bytes[layer] for layer in layers),
            cache_bytes=layers_cache_bytes(self.architecture, self.settings, layers),
            compute_bytes=gpu_compute_bytes(self.architecture, self.settings),
            other_bytes=self.fixed(gpu, first=first),
        )


def companion_bytes(weights: WeightsFacts, settings: Settings) -> int:
    """Give what the projector and the drafter take where the model runs."""
    projector = int(PROJECTOR_FACTOR * weights.projector_file_bytes) if settings.projector else 0
    return projector + (weights.drafter_file_bytes if settings.drafter else 0)


def _fill(costs: _Costs, every: tuple[int, ...], gpus: tuple[Gpu, ...]) -> Placement:
    """Fill one card; go on to the next only when the first does not hold everything."""
    devices: list[DeviceShare] = []
    left = every
    for gpu in gpus:
        first = not devices
        room = gpu.free_bytes - CARD_MARGIN_BYTES
        room -= gpu_compute_bytes(costs.architecture, costs.settings)
        room -= costs.fixed(gpu, first=first)
        room -= costs.weights.token_embedding_bytes if first else 0
        if room < 0:
            continue
        taken: list[int] = []
        global_bytes, local_bytes = owning_layer_bytes(costs.architecture, costs.settings)
        for layer in reversed(left):
            room -= costs.weights.layer_bytes[layer]
            if owns_cache(costs.architecture, layer):
                room -= global_bytes if is_global(costs.architecture, layer) else local_bytes
            if room < 0:
                break
            taken.append(layer)
        if taken or first:
            layers = tuple(reversed(taken))
            devices.append(costs.share(gpu, layers, output=first, first=first))
            left = _rest(left, layers)
        if not left:
            break
    return Placement(tuple(devices), left)
