"""Variants: the sizes Gemma 4 comes in, and the constants of their architecture."""

from __future__ import annotations

from dataclasses import dataclass

from setup_manager.catalog.artifact import Artifact, Role


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture-of-experts feed-forward network.

    Attributes:
        count: Experts in a layer.
        used: Experts that one token uses.
        feed_forward_length: Hidden width of one expert.
    """

    count: int
    used: int
    feed_forward_length: int


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

    layers: int
    hidden_size: int
    heads: int
    kv_heads_local: int
    kv_heads_global: int
    head_dim_local: int
    head_dim_global: int
    kv_layers_local: int
    kv_layers_global: int
    sliding_window: int
    global_every: int
    shared_kv_layers: int
    feed_forward_lengths: tuple[int, ...]
    vocabulary_size: int
    per_layer_embedding_length: int
    values_equal_keys_global: bool
    experts: Experts | None
    context_length: int


@dataclass(frozen=True, slots=True)
class Variant:
    """One size of the family.

    Attributes:
        key: What is typed: ``"e2b"``, ``"e4b"``, ``"12b"``, ``"26b"``, ``"31b"``.
        name: As published, e.g. ``"Gemma 4 26B-A4B"``.
        parameters: As published, e.g. ``"25.2B total, 3.8B active"``.
        modalities: Kinds of input, e.g. ``("text", "image")``.
        architecture: Its constants.
        default_quantization: Label taken when none is given.
        licence: SPDX identifier.
        quality: Rank among the variants on published evaluations, 1 is the best answer.
    """

    key: str
    name: str
    parameters: str
    modalities: tuple[str, ...]
    architecture: Architecture
    default_quantization: str
    licence: str
    quality: int


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """A file the catalogue knows of; pinned when commit, size and digest are all known.

    Attributes:
        variant: Key of the variant it belongs to.
        quantization: Label, e.g. ``"Q4_K_M"``; for QAT weights ``"QAT-Q4_0"`` and the like;
            ``""`` where a projector's or drafter's is unknown.
        qat: Whether the weights were trained for this quantization.
        role: What the file is for.
        repository: ``org/name`` on the hub.
        path: Path inside the repository; the first shard of a split file.
        commit: Full commit, or None.
        size_bytes: Exact length, or None.
        sha256: Digest, or None.
        superseded: Whether the repository has replaced this upload; kept to recognise old files.
    """

    variant: str
    quantization: str
    qat: bool
    role: Role
    repository: str
    path: str
    commit: str | None
    size_bytes: int | None
    sha256: str | None
    superseded: bool = False

    @property
    def pinned(self) -> bool:
        """Whether the file can be fetched without asking the hub what it is."""
        return None not in (self.commit, self.size_bytes, self.sha256)

    def artifact(self) -> Artifact:
        """Make the artifact of a pinned file.

        Raises:
            ValueError: If the file is not pinned.
        """
        if self.commit is None or self.size_bytes is None or self.sha256 is None:
            raise ValueError(f"{self.repository}/{self.path} is not pinned")
        return Artifact(
            repository=self.repository,
            path=self.path,
            commit=self.commit,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            role=self.role,
        )


@dataclass(frozen=True, slots=True)
class Catalog:
    """All variants and files.

    Attributes:
        source: Where it was read from, for messages.
        variants: By key, smallest first.
        files: Every known file.
    """

    source: str
    variants: dict[str, Variant]
    files: tuple[CatalogFile, ...]
