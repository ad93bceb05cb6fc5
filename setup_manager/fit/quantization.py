"""Which type each tensor of a model has, by the recipe of its quantization."""

from __future__ import annotations

from setup_manager.catalog import Architecture, Quantization
from setup_manager.errors import UsageError
from setup_manager.fit.tensors import TensorKind, TensorShape, tensor_shapes
from setup_manager.gguf import TensorType, tensor_type


def recipe_of(label: str) -> Quantization:
    """Find the row of a label.

    Raises:
        UsageError: If the table of quantizations does not have it.
    """
    row = Quantization.of(label)
    if row is None:
        raise UsageError(
            f"What a quantization {label!r} is made of is not known.",
            code="unknown-quantization",
            hint="Choose one from `gemma-setup list`.",
        )
    return row


def typed_tensors(
    architecture: Architecture, recipe: Quantization
) -> tuple[tuple[TensorShape, TensorType], ...]:
    """Give every tensor the type that a recipe assigns to it."""
    return tuple(
        (tensor, _type_of(architecture, recipe, tensor)) for tensor in tensor_shapes(architecture)
    )


def _type_of(architecture: Architecture, recipe: Quantization, tensor: TensorShape) -> TensorType:
    wanted = _known(_wanted_type(architecture, recipe, tensor))
    if wanted.narrow is not None and tensor.shape[0] % wanted.block_length:
        return _known(wanted.narrow)
    return wanted


def _wanted_type(architecture: Architecture, recipe: Quantization, tensor: TensorShape) -> str:
    raisable = (TensorKind.VALUE, TensorKind.DOWN, TensorKind.EXPERTS_DOWN)
    if recipe.raised and tensor.kind in raisable and tensor.layer is not None:
        return recipe.raised if _more_bits(tensor.layer, architecture.layers) else recipe.base
    return {
        TensorKind.FLOAT: "F32",
        TensorKind.TOKEN_EMBEDDING: recipe.token_embedding,
        TensorKind.PER_LAYER_EMBEDDING: recipe.per_layer_embedding,
    }.get(tensor.kind, recipe.base)


def _known(name: str) -> TensorType:
    found = tensor_type(name)
    if found is None:
        raise LookupError(f"{name} is not in the table of tensor types")
    return found


def _more_bits(layer: int, layers: int) -> bool:
    """Whether an ``_M`` mix gives this layer more bits (llama-quant.cpp, ``use_more_bits``)."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
