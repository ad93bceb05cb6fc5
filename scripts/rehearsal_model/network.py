"""Gemma 4's forward pass in JAX, of the kind of E2B, with weights named and shaped as in a GGUF.

It mirrors llama.cpp's graph (src/models/gemma4.cpp): local and global layers in turn, the later
layers reading the keys and values of earlier ones, an embedding per token and layer beside the
usual one, norms on queries, keys and values, no scaling of the scores, and soft-capped logits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .tokenizer import VOCABULARY_SIZE

Weights = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Architecture:
    """The dimensions, with E2B's proportions where they matter to a runtime.

    Attributes:
        local: For each layer, whether it attends to a sliding window only.
        shared_kv_layers: How many layers at the end keep no keys and values of their own.
        window: Positions that a local layer sees, its own included.
        ple: Width of the per-layer embeddings.
        ffn: Width of the feed-forward part; the layers that share keys and values have twice that.
        rotated_global: Share of a global head's dimensions that are rotated by position.
    """

    vocabulary: int = VOCABULARY_SIZE
    hidden: int = 64
    local: tuple[bool, ...] = (True, True, False, True, True, False)
    shared_kv_layers: int = 3
    heads: int = 4
    kv_heads: int = 1
    head_local: int = 32
    head_global: int = 64
    window: int = 64
    ple: int = 32
    ffn: int = 128
    rope_base_local: float = 10_000.0
    rope_base_global: float = 1_000_000.0
    rotated_global: float = 0.25
    softcap: float = 30.0
    norm_epsilon: float = 1e-6
    context: int = 131_072

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.local)

    @property
    def first_shared(self) -> int:
        """Index of the first layer that keeps no keys and values of its own."""
        return self.layers - self.shared_kv_layers

    def head(self, layer: int) -> int:
        """Return the width of one head in `layer`."""
        return self.head_local if self.local[layer] else self.head_global

    def ffn_width(self, layer: int) -> int:
        """Return the width of the feed-forward part of `layer`."""
        return self.ffn * (2 if layer >= self.first_shared else 1)

    def kv_source(self, layer: int) -> int:
        """Return the layer whose keys and values `layer` reads (llama.cpp, llama-model.cpp)."""
        if layer < self.first_shared:
            return layer
        return self.first_shared - (2 if self.local[layer] else 1)

    def rope_factors(self) -> np.ndarray:
        """Return the frequency divisors of a global head: 1 where rotated, else out of reach."""
        pairs = self.head_global // 2
        rotated = int(pairs * self.rotated_global)
        return np.array([1.0] * rotated + [1e30] * (pairs - rotated), dtype=np.float32)

    def matrices(self) -> dict[str, tuple[int, int]]:
        """Name the matrices of the model with their shapes, outputs first."""
        shapes = {
            "token_embd.weight": (self.vocabulary, self.hidden),
            "per_layer_token_embd.weight": (self.vocabulary, self.ple * self.layers),
            "per_layer_model_proj.weight": (self.ple * self.layers, self.hidden),
        }
        for i in range(self.layers):
            queries = self.heads * self.head(i)
            keys = self.kv_heads * self.head(i)
            ffn = self.ffn_width(i)
            block = {
                "attn_q": (queries, self.hidden),
                "attn_output": (self.hidden, queries),
                "ffn_gate": (ffn, self.hidden),
                "ffn_up": (ffn, self.hidden),
                "ffn_down": (self.hidden, ffn),
                "inp_gate": (self.ple, self.hidden),
                "proj": (self.hidden, self.ple),
            }
            if i < self.first_shared:
                block |= {"attn_k": (keys, self.hidden), "attn_v": (keys, self.hidden)}
            shapes |= {f"blk.{i}.{name}.weight": shape for name, shape in block.items()}
        return shapes

    def vectors(self) -> dict[str, tuple[int, float]]:
        """Name the norms and scales with their length and their value before training."""
        sizes = {
            "output_norm.weight": (self.hidden, 1.0),
            "per_layer_proj_norm.weight": (self.ple, 1.0),
        }
        for i in range(self.layers):
            # Scores are not scaled: the two norms together stand for 1 / sqrt(head).
            sharpness = (self.head(i), self.head(i) ** -0.25)
            block = {
                "attn_norm": (self.hidden, 1.0),
                "attn_q_norm": sharpness,
                "post_attention_norm": (self.hidden, 0.5),
                "ffn_norm": (self.hidden, 1.0),
                "post_ffw_norm": (self.hidden, 0.5),
                "post_norm": (self.hidden, 0.5),
                "layer_output_scale": (1, 1.0),
            }
            if i < self.first_shared:
                block["attn_k_norm"] = sharpness
            sizes |= {f"blk.{i}.{name}.weight": size for name, size in block.items()}
        return sizes


def initial_weights(arch: Architecture, seed: int) -> Weights:
    """Draw the weights that training starts from."""
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.normal(0.0, _spread(name, shape), shape).astype(np.float32)
        for name, shape in arch.matrices().items()
    }
    weights |= {n: np.full(size, value, np.float32) for n, (size, value) in arch.vectors().items()}
    return {name: jnp.asarray(value) for name, value in weights.items()}


def _spread(name: str, shape: tuple[int, int]) -> float:
    # The embeddings are multiplied by the square root of their width when they are read.
    return 0.1 if name == "per_layer_token_embd.weight" else shape[1] ** -0.5


def logits(arch: Architecture, weights: Weights, tokens: Array) -> Array:
    """Return the logits after every token: (batch, length) to (batch, length, vocabulary)."""
    x = weights["token_embd.weight"][tokens] * math.sqrt(arch.hidden)
    ple = _per_layer_inputs(arch, weights, tokens, x)
    cache: dict[int, tuple[Array, Array]] = {}
    for i in range(arch.layers):
        block = _Block(arch, weights, i)
        x = x + block.norm("post_attention_norm", block.attend(block.norm("attn_norm", x), cache))
        x = x + block.norm("post_ffw_norm", block.feed_forward(block.norm("ffn_norm", x)))
        x = x + block.norm("post_norm", block.add_embedding(x, ple[:, :, i]))
        x = x * block.weight("layer_output_scale")
    x = _rms_norm(x, arch.norm_epsilon) * weights["output_norm.weight"]
    scores = x @ weights["token_embd.weight"].T
    return jnp.tanh(scores / arch.softcap) * arch.softcap


def _per_layer_inputs(arch: Architecture, weights: Weights, tokens: Array, x: Array) -> Array:
    shape = (*tokens.shape, arch.layers, arch.ple)
    looked_up = weights["per_layer_token_embd.weight"][tokens].reshape(shape) * math.sqrt(arch.ple)
    projected = (x @ weights["per_layer_model_proj.weight"].T) / math.sqrt(arch.hidden)
    projected = _rms_norm(projected.reshape(shape), arch.norm_epsilon)
    return (projected * weights["per_layer_proj_norm.weight"] + looked_up) / math.sqrt(2.0)


@dataclass(frozen=True, slots=True)
class _Block:
    arch: Architecture
    weights: Weights
    index: int

    def weight(self, name: str) -> Array:
        return self.weights[f"blk.{self.index}.{name}.weight"]

    def norm(self, name: str, x: Array) -> Array:
        return _rms_norm(x, self.arch.norm_epsilon) * self.weight(name)

    def attend(self, x: Array, cache: dict[int, tuple[Array, Array]]) -> Array:
        """Attend to the tokens before; keys and values come from `cache` if the layer has none."""
        batch, length, _ = x.shape
        head = self.arch.head(self.index)
        q = (x @ self.weight("attn_q").T).reshape(batch, length, self.arch.heads, head)
        q = self._rotate(self.norm("attn_q_norm", q))
        if (source := self.arch.kv_source(self.index)) == self.index:
            shape = (batch, length, self.arch.kv_heads, head)
            k = self.norm("attn_k_norm", (x @ self.weight("attn_k").T).reshape(shape))
            v = _rms_norm((x @ self.weight("attn_v").T).reshape(shape), self.arch.norm_epsilon)
            cache[self.index] = self._rotate(k)[:, :, 0], v[:, :, 0]
        k, v = cache[source]
        scores = jnp.where(self._mask(length), jnp.einsum("bqhd,bkd->bhqk", q, k), -jnp.inf)
        mixed = jnp.einsum("bhqk,bkd->bqhd", jax.nn.softmax(scores), v)
        return mixed.reshape(batch, length, -1) @ self.weight("attn_output").T

    def feed_forward(self, x: Array) -> Array:
        gate = jax.nn.gelu(x @ self.weight("ffn_gate").T, approximate=True)
        return (gate * (x @ self.weight("ffn_up").T)) @ self.weight("ffn_down").T

    def add_embedding(self, x: Array, embedding: Array) -> Array:
        gate = jax.nn.gelu(x @ self.weight("inp_gate").T, approximate=True)
        return (gate * embedding) @ self.weight("proj").T

    def _mask(self, length: int) -> np.ndarray:
        back = np.arange(length)[:, None] - np.arange(length)[None, :]
        reach = self.arch.window if self.arch.local[self.index] else length
        return (back >= 0) & (back < reach)

    def _rotate(self, x: Array) -> Array:
        """Rotate the first half of each head against the second, by position ("neox" order)."""
        half = x.shape[-1] // 2
        local = self.arch.local[self.index]
        base = self.arch.rope_base_local if local else self.arch.rope_base_global
        factors = np.ones(half) if local else self.arch.rope_factors()
        frequencies = base ** (-np.arange(half) / half) / factors
        angles = np.arange(x.shape[1])[:, None, None] * frequencies
        cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        a, b = x[..., :half], x[..., half:]
        return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def _rms_norm(x: Array, epsilon: float) -> Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + epsilon)
