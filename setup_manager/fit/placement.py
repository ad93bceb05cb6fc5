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
from setup_manager.fit.weights import Weights
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
class Share:
    """The part of a model that one GPU computes.

    Attributes:
        gpu: The device.
        layers: Blocks on it.
        output: Whether the output matrix is on it, and the projector and drafter with it.
    """

    gpu: Gpu
    layers: range
    output: bool


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs.

    Attributes:
        shares: GPUs in use; empty for the CPU alone.
        cpu_layers: Blocks that the CPU computes.
        depends_on_cache: Whether another context or type of cache could change it.
    """

    shares: tuple[Share, ...]
    cpu_layers: range
    depends_on_cache: bool = False

    @property
    def unified(self) -> bool:
        """Whether the GPU shares main memory."""
        return bool(self.shares) and self.shares[0].gpu.unified

    @property
    def gpu_layers(self) -> int:
        """Blocks on GPUs, and the output where it is there, as ``-ngl`` counts them."""
        return sum(len(share.layers) + share.output for share in self.shares)


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
    architecture: Architecture, weights: Weights, settings: Settings, machine: Machine
) -> Placement:
    """Decide where every layer runs."""
    layers = architecture.layers
    gpus = usable_gpus(machine)
    if not gpus or settings.gpu_layers == 0:
        return Placement((), range(layers))
    wanted = settings.gpu_layers
    if wanted is None and not gpus[0].unified:
        return _fill(_Costs(architecture, weights, settings), gpus)
    blocks = layers if wanted is None else min(layers, wanted - 1)
    share = Share(gpus[0], range(layers - blocks, layers), output=True)
    return Placement((share,), range(layers - blocks))


@dataclass(frozen=True, slots=True)
class DeviceBytes:
    """What one GPU takes of a model.

    Attributes:
        weights: Of the weights.
        cache: Of the keys and values.
        compute: Its scratch buffers.
        other: Its context, projector and drafter.
    """

    weights: int
    cache: int
    compute: int
    other: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.compute + self.other


def share_bytes(
    architecture: Architecture, weights: Weights, settings: Settings, share: Share
) -> DeviceBytes:
    """Add up what a GPU takes of a model."""
    costs = _Costs(architecture, weights, settings)
    return DeviceBytes(
        weights=weights.bytes_of(share.layers) + costs.output(first=share.output),
        cache=layers_cache_bytes(architecture, settings, share.layers),
        compute=gpu_compute_bytes(architecture, settings),
        other=costs.other(share.gpu, first=share.output),
    )


@dataclass(frozen=True, slots=True)
class _Costs:
    """What a device takes whatever layers it gets."""

    architecture: Architecture
    weights: Weights
    settings: Settings

    def other(self, gpu: Gpu, *, first: bool) -> int:
        context = UNIFIED_CONTEXT_BYTES if gpu.unified else CARD_CONTEXT_BYTES
        return context + (companion_bytes(self.weights, self.settings) if first else 0)

    def output(self, *, first: bool) -> int:
        return self.weights.token_embedding_bytes if first else 0

    def layers(self, layers: range) -> int:
        """Bytes of some blocks and their keys and values."""
        cache = layers_cache_bytes(self.architecture, self.settings, layers)
        return self.weights.bytes_of(layers) + cache

    def room(self, gpu: Gpu, *, first: bool) -> int:
        """Bytes for layers."""
        fixed = self.other(gpu, first=first) + self.output(first=first)
        fixed += gpu_compute_bytes(self.architecture, self.settings)
        return gpu.free_bytes - CARD_MARGIN_BYTES - fixed


def companion_bytes(weights: Weights, settings: Settings) -> int:
    """Give what the projector and the drafter take where the model runs."""
    return projector_bytes(weights, settings) + drafter_bytes(weights, settings)


def projector_bytes(weights: Weights, settings: Settings) -> int:
    """Give what the projector takes, 0 without."""
    return int(PROJECTOR_FACTOR * weights.projector_file_bytes) if settings.projector else 0


def drafter_bytes(weights: Weights, settings: Settings) -> int:
    """Give what the drafter takes, 0 without."""
    return weights.drafter_file_bytes if settings.drafter else 0


def _fill(costs: _Costs, gpus: tuple[Gpu, ...]) -> Placement:
    """Fill one card; go on to the next only when the first does not hold everything."""
    shares: list[Share] = []
    left = costs.architecture.layers
    for gpu in gpus:
        first = not shares
        room = costs.room(gpu, first=first)
        if room < 0:
            continue
        lowest = _lowest_that_fits(costs, left, room)
        if lowest < left or first:
            shares.append(Share(gpu, range(lowest, left), output=first))
            left = lowest
        if not left:
            break
    return Placement(tuple(shares), range(left), depends_on_cache=True)


def _lowest_that_fits(costs: _Costs, stop: int, room: int) -> int:
    """Give the first of the last layers before ``stop`` that fit into so many bytes."""
    architecture, layer_bytes = costs.architecture, costs.weights.layer_bytes
    if costs.layers(range(stop)) <= room:
        return 0
    global_bytes, local_bytes = owning_layer_bytes(architecture, costs.settings)
    for layer in range(stop - 1, -1, -1):
        room -= layer_bytes[layer]
        if owns_cache(architecture, layer):
            room -= global_bytes if is_global(architecture, layer) else local_bytes
        if room < 0:
            return layer + 1
    return 0
