"""The constants of an architecture: those of the catalogue, or those that a file says of itself."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from setup_manager.codec import Count
from setup_manager.errors import UsageError
from setup_manager.gguf import Header, LongArray

_PREFIX = "gemma4."
_TOKENS = "tokenizer.ggml.tokens"
_MOST_BLOCKS = 1024

Positive = Annotated[int, Meta(ge=1, le=1 << 60)]


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture-of-experts feed-forward network.

    Attributes:
        count: Experts in a layer.
        used: Experts that one token uses.
        feed_forward_length: Hidden width of one expert.
    """

    count: Positive
    used: Positive
    feed_forward_length: Positive


@dataclass(frozen=True, slots=True)
class Architecture:
    """The numbers that memory and speed follow from.

    Global layers attend to the whole context with heads of 512, local layers to a sliding window
    with heads of 256. Only layers that own a KV cache count in ``kv_layers_*``; the others share.

    Attributes:
        layers: Transformer blocks.
        hidden_size: Width of the residual stream.
        heads: Query heads.
        kv_heads_local: Key/value heads of a local layer.
        kv_heads_global: Key/value heads of a global layer.
        head_dim_local: Width of a local head.
        head_dim_global: Width of a global head.
        kv_layers_local: Local layers that own a KV cache.
        kv_layers_global: Global layers that own a KV cache.
        sliding_window: Tokens that a local layer sees.
        global_every: One layer in this many is global (the last of each group).
        shared_kv_layers: Trailing layers that store no KV cache of their own.
        feed_forward_lengths: Width of the dense feed-forward network, one entry a layer.
        vocabulary_size: Tokens.
        per_layer_embedding_length: Width of a per-layer embedding, 0 without.
        values_equal_keys_global: Whether global layers have no value projection of their own.
        experts: The mixture of experts, or None.
        context_length: Longest context, in tokens.
    """

    layers: Positive
    hidden_size: Positive
    heads: Positive
    kv_heads_local: Positive
    kv_heads_global: Positive
    head_dim_local: Positive
    head_dim_global: Positive
    kv_layers_local: Count
    kv_layers_global: Count
    sliding_window: Positive
    global_every: Positive
    shared_kv_layers: Count
    feed_forward_lengths: tuple[Positive, ...]
    vocabulary_size: Positive
    per_layer_embedding_length: Count
    values_equal_keys_global: bool
    experts: Experts | None
    context_length: Positive

    def __post_init__(self) -> None:
        if len(self.feed_forward_lengths) != self.layers:
            raise ValueError(f"feed_forward_lengths must be {self.layers} numbers, one per layer")

    @classmethod
    def of_header(cls, header: Header) -> Architecture:
        """Read the constants of a Gemma 4 text model from the metadata of its (first) file.

        Raises:
            UsageError: If the file is of another architecture, or a constant is missing or makes
                no sense.
        """
        if header.architecture != "gemma4":
            raise UsageError(
                f"This file is of architecture {header.architecture or 'unknown'}, not gemma4.",
                hint="Choose a Gemma 4 text model; `gemma-setup list` shows the known ones.",
            )
        try:
            return _architecture(_Metadata(header), {tensor.name for tensor in header.tensors})
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                "This file does not describe a complete Gemma 4 model.",
                context=[str(error)],
                hint="Take it from another repository; `gemma-setup list` shows those that are "
                "known.",
            ) from error


class _Metadata:
    """Metadata of one file, checked as it is read."""

    def __init__(self, header: Header) -> None:
        self._metadata = header.metadata

    def number(self, key: str, default: int | None = None) -> int:
        """Read a whole number of zero or more."""
        value = self._metadata.get(_PREFIX + key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"{_PREFIX}{key} is {value!r}")
        return value

    def row(self, key: str, length: int) -> tuple[int, ...]:
        """Read one number for each block, or one for all."""
        value = self._metadata.get(_PREFIX + key)
        if isinstance(value, int):
            return (value,) * length
        if not isinstance(value, tuple) or len(value) != length:
            raise ValueError(f"{_PREFIX}{key} has no value for each of {length} blocks")
        return tuple(int(entry) for entry in value if isinstance(entry, int))

    def tokens(self) -> int:
        """Count the vocabulary."""
        value = self._metadata.get(_TOKENS)
        if isinstance(value, LongArray):
            return value.length
        if isinstance(value, tuple):
            return len(value)
        raise ValueError(f"{_TOKENS} is missing")


def _architecture(metadata: _Metadata, names: AbstractSet[str]) -> Architecture:
    layers = metadata.number("block_count")
    if layers > _MOST_BLOCKS:
        raise ValueError(f"{layers} blocks are implausibly many")
    shared = metadata.number("attention.shared_kv_layers", 0)
    local = metadata.row("attention.sliding_window_pattern", layers)
    everywhere = [layer for layer in range(layers) if not local[layer]]
    if not everywhere or len(everywhere) == layers or shared >= layers:
        raise ValueError("local and global layers do not make sense")
    kv_heads = metadata.row("attention.head_count_kv", layers)
    owning_global = sum(layer < layers - shared for layer in everywhere)
    return Architecture(
        layers=layers,
        hidden_size=metadata.number("embedding_length"),
        heads=metadata.number("attention.head_count"),
        kv_heads_local=kv_heads[local.index(1)],
        kv_heads_global=kv_heads[everywhere[0]],
        head_dim_local=metadata.number("attention.key_length_swa"),
        head_dim_global=metadata.number("attention.key_length"),
        kv_layers_local=layers - shared - owning_global,
        kv_layers_global=owning_global,
        sliding_window=metadata.number("attention.sliding_window"),
        global_every=everywhere[0] + 1,
        shared_kv_layers=shared,
        feed_forward_lengths=metadata.row("feed_forward_length", layers),
        vocabulary_size=metadata.tokens(),
        per_layer_embedding_length=metadata.number("embedding_length_per_layer_input", 0),
        values_equal_keys_global=f"blk.{everywhere[0]}.attn_v.weight" not in names,
        experts=_experts(metadata),
        context_length=metadata.number("context_length"),
    )


def _experts(metadata: _Metadata) -> Experts | None:
    count = metadata.number("expert_count", 0)
    if not count:
        return None
    return Experts(
        count=count,
        used=metadata.number("expert_used_count"),
        feed_forward_length=metadata.number("expert_feed_forward_length"),
    )
