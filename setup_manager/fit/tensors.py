"""The tensors a Gemma 4 GGUF holds, from the constants of the architecture.

Names and shapes are those that llama.cpp's loader asks for (``llama_model_gemma4``), so that a file
written from this list loads. Global layers of the bigger variants have no value projection. Layers
that share another's cache still carry a key and a value projection in published files (the
parameter counts of E2B, 4.647e9, and E4B, 7.52e9, come out only with them): loaded, never read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from setup_manager.catalog import Architecture


class TensorKind(StrEnum):
    """What a tensor does, as far as quantization recipes and memory places tell them apart."""

    TOKEN_EMBEDDING = "token embedding"  # noqa: S105 - a tensor, no secret
    PER_LAYER_EMBEDDING = "per-layer embedding"
    PROJECTION = "projection"
    VALUE = "value projection"
    DOWN = "down projection"
    EXPERTS = "experts"
    EXPERTS_DOWN = "experts, down projection"
    FLOAT = "kept in 32 bits"


@dataclass(frozen=True, slots=True)
class TensorShape:
    """One tensor, without its type.

    Attributes:
        name: As in the file.
        shape: Dimensions in GGUF order, the contiguous one first.
        kind: What it does.
        layer: The block it belongs to, None outside of the blocks.
    """

    name: str
    shape: tuple[int, ...]
    kind: TensorKind
    layer: int | None = None

    @property
    def elements(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


def is_global(architecture: Architecture, layer: int) -> bool:
    """Tell whether a layer attends to the whole context."""
    return (layer + 1) % architecture.global_every == 0


def owns_cache(architecture: Architecture, layer: int) -> bool:
    """Tell whether a layer stores keys and values, and does not share another's."""
    return layer < architecture.layers - architecture.shared_kv_layers


def global_layers(architecture: Architecture, layers: range) -> int:
    """Count the layers of a range that attend to the whole context."""
    every = architecture.global_every
    return layers.stop // every - layers.start // every if layers else 0


def owning_layers(architecture: Architecture, layers: range) -> range:
    """Give those of a range that store keys and values."""
    last = architecture.layers - architecture.shared_kv_layers
    return range(min(layers.start, last), min(layers.stop, last))


@cache
def tensor_shapes(architecture: Architecture) -> tuple[TensorShape, ...]:
    """List every tensor of the text model."""
    outer = tuple(_outer_tensors(architecture))
    blocks = tuple(
        tensor
        for layer in range(architecture.layers)
        for tensor in _block_tensors(architecture, layer)
    )
    return outer + blocks


def _outer_tensors(architecture: Architecture) -> Iterator[TensorShape]:
    hidden, vocabulary = architecture.hidden_size, architecture.vocabulary_size
    yield TensorShape("token_embd.weight", (hidden, vocabulary), TensorKind.TOKEN_EMBEDDING)
    yield TensorShape("output_norm.weight", (hidden,), TensorKind.FLOAT)
    yield TensorShape("rope_freqs.weight", (architecture.head_dim_global // 2,), TensorKind.FLOAT)
    width = architecture.per_layer_embedding_length
    if width:
        rows = width * architecture.layers
        kind = TensorKind.PER_LAYER_EMBEDDING
        yield TensorShape("per_layer_token_embd.weight", (rows, vocabulary), kind)
        yield TensorShape("per_layer_model_proj.weight", (hidden, rows), TensorKind.PROJECTION)
        yield TensorShape("per_layer_proj_norm.weight", (width,), TensorKind.FLOAT)


def _block_tensors(architecture: Architecture, layer: int) -> Iterator[TensorShape]:
    yield from _attention_tensors(architecture, layer)
    yield from _feed_forward_tensors(architecture, layer)
    yield from _expert_tensors(architecture, layer)
    if architecture.per_layer_embedding_length:
        yield from _per_layer_tensors(architecture, layer)
    yield _tensor(layer, "layer_output_scale", (1,), TensorKind.FLOAT)


def _tensor(layer: int, name: str, shape: tuple[int, ...], kind: TensorKind) -> TensorShape:
    return TensorShape(f"blk.{layer}.{name}.weight", shape, kind, layer)


def _attention_tensors(architecture: Architecture, layer: int) -> Iterator[TensorShape]:
    hidden = architecture.hidden_size
    everywhere = is_global(architecture, layer)
    head = architecture.head_dim_global if everywhere else architecture.head_dim_local
    kv_heads = architecture.kv_heads_global if everywhere else architecture.kv_heads_local
    queries = head * architecture.heads
    yield _tensor(layer, "attn_norm", (hidden,), TensorKind.FLOAT)
    yield _tensor(layer, "attn_q", (hidden, queries), TensorKind.PROJECTION)
    yield _tensor(layer, "attn_q_norm", (head,), TensorKind.FLOAT)
    yield _tensor(layer, "attn_k", (hidden, head * kv_heads), TensorKind.PROJECTION)
    yield _tensor(layer, "attn_k_norm", (head,), TensorKind.FLOAT)
    if not (everywhere and architecture.values_equal_keys_global):
        yield _tensor(layer, "attn_v", (hidden, head * kv_heads), TensorKind.VALUE)
    yield _tensor(layer, "attn_output", (queries, hidden), TensorKind.PROJECTION)
    yield _tensor(layer, "post_attention_norm", (hidden,), TensorKind.FLOAT)


def _feed_forward_tensors(architecture: Architecture, layer: int) -> Iterator[TensorShape]:
    hidden, width = architecture.hidden_size, architecture.feed_forward_lengths[layer]
    yield _tensor(layer, "ffn_norm", (hidden,), TensorKind.FLOAT)
    yield _tensor(layer, "ffn_gate", (hidden, width), TensorKind.PROJECTION)
    yield _tensor(layer, "ffn_up", (hidden, width), TensorKind.PROJECTION)
    yield _tensor(layer, "ffn_down", (width, hidden), TensorKind.DOWN)
    yield _tensor(layer, "post_ffw_norm", (hidden,), TensorKind.FLOAT)


def _expert_tensors(architecture: Architecture, layer: int) -> Iterator[TensorShape]:
    hidden, experts = architecture.hidden_size, architecture.experts
    if experts is None:
        return
    width, count = experts.feed_forward_length, experts.count
    yield _tensor(layer, "ffn_gate_inp", (hidden, count), TensorKind.FLOAT)
    yield TensorShape(f"blk.{layer}.ffn_gate_inp.scale", (hidden,), TensorKind.FLOAT, layer)
    yield _tensor(layer, "ffn_gate_up_exps", (hidden, 2 * width, count), TensorKind.EXPERTS)
    yield _tensor(layer, "ffn_down_exps", (width, hidden, count), TensorKind.EXPERTS_DOWN)
    yield TensorShape(f"blk.{layer}.ffn_down_exps.scale", (count,), TensorKind.FLOAT, layer)
    for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
        yield _tensor(layer, name, (hidden,), TensorKind.FLOAT)


def _per_layer_tensors(architecture: Architecture, layer: int) -> Iterator[TensorShape]:
    hidden, width = architecture.hidden_size, architecture.per_layer_embedding_length
    yield _tensor(layer, "inp_gate", (hidden, width), TensorKind.PROJECTION)
    yield _tensor(layer, "proj", (width, hidden), TensorKind.PROJECTION)
    yield _tensor(layer, "post_norm", (hidden,), TensorKind.FLOAT)
