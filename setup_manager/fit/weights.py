"""What the weights of one file are made of, as far as memory and speed depend on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from setup_manager.catalog import Architecture, Catalog, CatalogFile, Role
from setup_manager.fit.quantization import recipe_of, typed_tensors
from setup_manager.fit.tensors import TensorKind, owns_cache, tensor_shapes
from setup_manager.gguf import Header, Kernels, Tensor, tensor_type

# Tokenizer and tensor list of the published files: 12B Q6_K, Q8_0 and BF16 are 15.9 to 16.1 MB
# longer than their tensors.
METADATA_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class Weights:
    """The content of a weights file, in bytes.

    Attributes:
        quantization: Label, e.g. ``"QAT-Q4_0"``.
        file_bytes: The file, or all shards of it.
        per_layer_embedding_bytes: Per-layer embeddings: a table of which a token reads one row.
        token_embedding_bytes: The token embedding, which is the output matrix too.
        token_embedding_type: Its type.
        expert_bytes: All routed experts of a mixture, 0 without.
        matrix_types: Bytes of the blocks' matrices by type, experts included.
        layer_bytes: Bytes of each block, first to last.
        unread_bytes: Key and value projections of layers that share another's cache: loaded, and
            never read.
        confirmed: False when the length is computed and not known.
        source: Where the content comes from.
        projector_file_bytes: The projector's file, 0 where its size is not known.
        drafter_file_bytes: The drafter's file, 0 where its size is not known.
    """

    quantization: str
    file_bytes: int
    per_layer_embedding_bytes: int
    token_embedding_bytes: int
    token_embedding_type: str
    expert_bytes: int
    matrix_types: tuple[tuple[str, int], ...]
    layer_bytes: tuple[int, ...]
    unread_bytes: int
    confirmed: bool
    source: str
    projector_file_bytes: int = 0
    drafter_file_bytes: int = 0

    @property
    def block_bytes(self) -> int:
        """All blocks together."""
        return sum(self.layer_bytes)

    def bytes_of(self, layers: range) -> int:
        """Some blocks together."""
        return sum(self.layer_bytes[layers.start : layers.stop])

    @classmethod
    def of_file(cls, catalog: Catalog, file: CatalogFile) -> Weights:
        """Work out a catalogue's file; projector and drafter are those of its variant.

        Raises:
            UsageError: If the table of quantizations does not have its label.
        """
        architecture = catalog.variants[file.variant].architecture
        return replace(
            estimated_weights(architecture, file.quantization, file.size_bytes),
            projector_file_bytes=_companion_bytes(catalog, file, Role.PROJECTOR),
            drafter_file_bytes=_companion_bytes(catalog, file, Role.DRAFTER),
        )

    @classmethod
    def of_headers(
        cls,
        architecture: Architecture,
        quantization: str,
        headers: Sequence[Header],
        file_bytes: int,
    ) -> Weights:
        """Read the content of a file from its own tensor list.

        Args:
            architecture: The model's constants.
            quantization: Label.
            headers: One for each shard.
            file_bytes: Length of all shards. A tensor of a type newer than our table counts as
                16 bits a weight.
        """
        tensors = [
            (tensor.name, tensor.type_name or "unknown", _tensor_bytes(tensor))
            for header in headers
            for tensor in header.tensors
        ]
        return weights_from_tensors(
            architecture,
            quantization,
            tensors,
            file_bytes,
            confirmed=True,
            source="the file's own tensor list",
        )


def _companion_bytes(catalog: Catalog, file: CatalogFile, role: Role) -> int:
    sizes = [
        (other.repository != file.repository, other.size_bytes)
        for other in catalog.files
        if other.variant == file.variant and other.role is role and other.size_bytes
    ]
    return min(sizes, default=(True, 0))[1] or 0


def _tensor_bytes(tensor: Tensor) -> int:
    size = tensor.size_bytes
    return 2 * tensor.elements if size is None else size


@dataclass(slots=True)
class _Tally:
    """Sums over a list of tensors."""

    per_layer: int = 0
    embedding: int = 0
    embedding_type: str = "F16"
    experts: int = 0
    unread: int = 0


def weights_from_tensors(
    architecture: Architecture,
    quantization: str,
    tensors: Iterable[tuple[str, str, int]],
    file_bytes: int,
    *,
    confirmed: bool,
    source: str,
) -> Weights:
    """Sort the tensors of a file by what they are for.

    Args:
        architecture: The variant's constants.
        quantization: Label.
        tensors: Name, type and bytes of each tensor.
        file_bytes: Length of the file.
        confirmed: Whether that length is known and not computed.
        source: Where the list comes from, for people.
    """
    tally, by_type = _Tally(), dict[str, int]()
    layers = [0] * architecture.layers
    first_shared = architecture.layers - architecture.shared_kv_layers
    for name, type_name, size_bytes in tensors:
        layer = _layer_of(name)
        if layer is None or layer >= len(layers):
            _add_outer(tally, name, type_name, size_bytes)
            continue
        layers[layer] += size_bytes
        if name.endswith(".weight") and "norm" not in name:
            by_type[type_name] = by_type.get(type_name, 0) + size_bytes
        if "_exps." in name:
            tally.experts += size_bytes
        if layer >= first_shared and name.endswith(("attn_k.weight", "attn_v.weight")):
            tally.unread += size_bytes
    return Weights(
        quantization=quantization,
        file_bytes=file_bytes,
        per_layer_embedding_bytes=tally.per_layer,
        token_embedding_bytes=tally.embedding,
        token_embedding_type=tally.embedding_type,
        expert_bytes=tally.experts,
        matrix_types=tuple(sorted(by_type.items())),
        layer_bytes=tuple(layers),
        unread_bytes=tally.unread,
        confirmed=confirmed,
        source=source,
    )


@lru_cache(maxsize=8192)  # the candidates of a variant have the same tensors
def _layer_of(name: str) -> int | None:
    head, _, rest = name.partition(".")
    number = rest.partition(".")[0]
    return int(number) if head == "blk" and number.isdecimal() else None


def _add_outer(tally: _Tally, name: str, type_name: str, size_bytes: int) -> None:
    if name == "token_embd.weight":
        tally.embedding, tally.embedding_type = size_bytes, type_name
    elif name == "per_layer_token_embd.weight":
        tally.per_layer = size_bytes


@lru_cache(maxsize=256)
def estimated_weights(
    architecture: Architecture, quantization: str, file_bytes: int | None = None
) -> Weights:
    """Work out the content of a file from its label.

    The types come from the recipe of the label. Where the length of the file is known, what it has
    more or less than the recipe says is spread over the blocks, so that the sum is right.

    Args:
        architecture: The variant's constants.
        quantization: Label, e.g. ``"QAT-Q4_0"``.
        file_bytes: Length of the file, None to compute that too.

    Raises:
        UsageError: If the table of quantizations does not have the label.
    """
    typed = [
        (tensor.name, kind.name, kind.size_bytes(tensor.elements))
        for tensor, kind in typed_tensors(architecture, recipe_of(quantization))
    ]
    computed = sum(size for _, _, size in typed) + METADATA_BYTES
    if file_bytes is not None:
        typed = _scaled_blocks(typed, file_bytes - computed)
    return weights_from_tensors(
        architecture,
        quantization,
        typed,
        file_bytes if file_bytes is not None else computed,
        confirmed=file_bytes is not None,
        source=f"the recipe of {quantization}",
    )


def _scaled_blocks(
    typed: list[tuple[str, str, int]], difference: int
) -> list[tuple[str, str, int]]:
    blocks = sum(size for name, _, size in typed if _layer_of(name) is not None)
    # A file far smaller than its label says is no such file; its blocks still count something.
    factor = max(0.1, 1 + difference / blocks)
    return [
        (name, kind, int(size * factor) if _layer_of(name) is not None else size)
        for name, kind, size in typed
    ]


def kernels_of(features: frozenset[str]) -> Kernels | None:
    """Tell for which kernels llama.cpp rearranges weights on a CPU; None for none."""
    if features & {"dotprod", "asimddp", "sdot", "matmul_int8", "i8mm"}:
        return "neon"
    if features & {"avx512f", "avx512"}:
        return "avx512"
    return "avx2" if "avx2" in features else None


def rearranged_bytes(weights: Weights, features: frozenset[str]) -> int:
    """Give the bytes of the rearranged copies when all layers run on the CPU.

    The output matrix is a second use of the token embedding and gets a copy of its own.
    """
    kernels = kernels_of(features)
    output = (weights.token_embedding_type, weights.token_embedding_bytes)
    return sum(
        size for name, size in (*weights.matrix_types, output) if _is_rearranged(name, kernels)
    )


def _is_rearranged(type_name: str, kernels: Kernels | None) -> bool:
    kind = tensor_type(type_name)
    return kind is not None and kernels in kind.rearranged_by


def read_bytes_per_token(architecture: Architecture, weights: Weights) -> int:
    """Give the bytes of weights that one token reads.

    Every block but the experts that are not chosen, and the output matrix; of the embeddings a row.
    """
    experts = architecture.experts
    idle = 0
    if experts is not None:
        idle = weights.expert_bytes * (experts.count - experts.used) // experts.count
    blocks = weights.block_bytes - weights.unread_bytes - idle
    return blocks + weights.token_embedding_bytes


@cache
def read_elements_per_token(architecture: Architecture) -> int:
    """Give the weights (not bytes) that one token is multiplied with."""
    elements = 0
    experts = architecture.experts
    for tensor in tensor_shapes(architecture):
        if tensor.kind in (TensorKind.FLOAT, TensorKind.PER_LAYER_EMBEDDING):
            continue
        shared = tensor.layer is not None and not owns_cache(architecture, tensor.layer)
        if shared and tensor.name.endswith(("attn_k.weight", "attn_v.weight")):
            continue
        count = tensor.elements
        if experts is not None and "_exps." in tensor.name:
            count = count * experts.used // experts.count
        elements += count
    return elements
