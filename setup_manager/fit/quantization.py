"""Quantizations: bytes of a stored weight, and which recipe a label stands for.

A label such as ``Q4_K_M`` names a recipe that gives different tensors different types. The recipes
here follow llama.cpp's ``llama_tensor_get_type`` where it decides, and published file sizes where
the publisher does; what they are used for is stated with each.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from setup_manager.catalog import Architecture
from setup_manager.fit.tensors import TensorKind, TensorShape, tensor_shapes

_BLOCKS: dict[str, tuple[int, int]] = {
    # type: (weights in a block, bytes of a block); ggml-common.h
    "F32": (1, 4), "F16": (1, 2), "BF16": (1, 2),
    "Q8_0": (32, 34), "Q5_1": (32, 24), "Q5_0": (32, 22), "Q4_1": (32, 20), "Q4_0": (32, 18),
    "IQ4_NL": (32, 18), "MXFP4": (32, 17), "NVFP4": (64, 36),
    "Q6_K": (256, 210), "Q5_K": (256, 176), "Q4_K": (256, 144), "Q3_K": (256, 110),
    "Q2_K": (256, 84), "IQ4_XS": (256, 136), "IQ3_S": (256, 110), "IQ3_XXS": (256, 98),
    "IQ2_S": (256, 82), "IQ2_XS": (256, 74), "IQ2_XXS": (256, 66), "IQ1_M": (256, 56),
    "IQ1_S": (256, 50),
}  # fmt: skip
# What llama-quantize takes where a row is no multiple of 256 (expert rows of 704, rows of 2112).
_FALLBACKS = {
    "Q6_K": "Q8_0", "Q5_K": "Q5_1", "Q4_K": "Q5_0", "Q3_K": "IQ4_NL", "Q2_K": "IQ4_NL",
    "IQ4_XS": "IQ4_NL", "IQ3_S": "IQ4_NL", "IQ3_XXS": "IQ4_NL", "IQ2_S": "IQ4_NL",
    "IQ2_XS": "IQ4_NL", "IQ2_XXS": "IQ4_NL", "IQ1_M": "IQ4_NL", "IQ1_S": "IQ4_NL",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which type each kind of tensor gets.

    Attributes:
        base: Projections of the blocks.
        token_embedding: The token embedding, which is the output matrix too.
        per_layer_embedding: The per-layer embeddings.
        raised: Type of half of the value and down projections (the ``_M`` mixes).
    """

    base: str
    token_embedding: str
    per_layer_embedding: str
    raised: str | None = None


# Types of the embeddings: facts of published files. E4B Q4_K_M keeps 2208 MiB on the CPU: Q5_K
# per-layer embeddings (1848) and a Q4_K token embedding (360); 12B Q4_0 keeps 787.5 MiB, a Q6_K
# token embedding; QAT Q4_0 files of E2B and E4B have their published sizes with Q6_K in both.
_RECIPES = {
    "Q4_0": Recipe("Q4_0", "Q6_K", "Q6_K"),
    "QAT-Q4_0": Recipe("Q4_0", "Q6_K", "Q6_K"),
    "QAT-Q4_K_XL": Recipe("Q4_0", "Q4_0", "Q4_0"),
    "Q4_K_M": Recipe("Q4_K", "Q4_K", "Q5_K", "Q6_K"),
    "Q4_K_S": Recipe("Q4_K", "Q4_K", "Q5_K"),
    "Q4_K_XL": Recipe("Q4_K", "Q5_K", "Q5_K", "Q6_K"),
    "Q5_K_M": Recipe("Q5_K", "Q5_K", "Q6_K", "Q6_K"),
    "Q5_K_S": Recipe("Q5_K", "Q5_K", "Q6_K"),
    "Q5_K_XL": Recipe("Q5_K", "Q6_K", "Q6_K", "Q6_K"),
    "Q6_K": Recipe("Q6_K", "Q6_K", "Q6_K"),
    "Q6_K_XL": Recipe("Q6_K", "Q8_0", "Q8_0", "Q8_0"),
    "Q8_0": Recipe("Q8_0", "Q8_0", "Q8_0"),
    "Q3_K_M": Recipe("Q3_K", "Q6_K", "Q5_K", "Q4_K"),
    "Q3_K_XL": Recipe("Q3_K", "Q5_K", "Q5_K", "Q4_K"),
    "Q2_K": Recipe("Q2_K", "Q6_K", "Q5_K", "Q4_K"),
    "Q2_K_XL": Recipe("Q2_K", "Q5_K", "Q5_K", "Q4_K"),
}


def weight_bytes(type_name: str, elements: int) -> int | None:
    """Give the bytes of a tensor, or None for a type that is not known here."""
    block = _BLOCKS.get(type_name.upper())
    return None if block is None else -(-elements * block[1] // block[0])


def bits_per_weight(type_name: str) -> float:
    """Give the bits of one stored weight of a known type."""
    weights, size_bytes = _BLOCKS[type_name.upper()]
    return float(Fraction(size_bytes * 8, weights))


def recipe_for(label: str) -> Recipe:
    """Find the recipe of a quantization label.

    A label that is not known is read by the first type name in it; one without any counts as
    16 bits, the largest that is published.
    """
    text = label.upper().replace(" ", "-").replace("UD-", "")
    for name in (text, text.removeprefix("QAT-")):
        if name in _RECIPES:
            return _RECIPES[name]
    named = [name for name in _BLOCKS if text.removeprefix("QAT-").startswith(name)]
    base = max(named, key=len, default="BF16")
    embedding = base if bits_per_weight(base) >= 6 else "Q6_K"
    return Recipe(base, embedding, embedding)


def typed_tensors(
    architecture: Architecture, recipe: Recipe
) -> tuple[tuple[TensorShape, str], ...]:
    """Give every tensor the type that a recipe assigns to it."""
    return tuple(
        (tensor, _tensor_type(architecture, recipe, tensor))
        for tensor in tensor_shapes(architecture)
    )


def _tensor_type(architecture: Architecture, recipe: Recipe, tensor: TensorShape) -> str:
    wanted = {
        TensorKind.FLOAT: "F32",
        TensorKind.TOKEN_EMBEDDING: recipe.token_embedding,
        TensorKind.PER_LAYER_EMBEDDING: recipe.per_layer_embedding,
    }.get(tensor.kind, recipe.base)
    raisable = (TensorKind.VALUE, TensorKind.DOWN, TensorKind.EXPERTS_DOWN)
    layer = tensor.layer
    if recipe.raised and tensor.kind in raisable and layer is not None:
        wanted = recipe.raised if _more_bits(layer, architecture.layers) else wanted
    if tensor.shape[0] % _BLOCKS[wanted][0]:
        return _FALLBACKS.get(wanted, wanted)
    return wanted


def _more_bits(layer: int, layers: int) -> bool:
    """Whether an ``_M`` mix gives this layer more bits (llama-quant.cpp, ``use_more_bits``)."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
