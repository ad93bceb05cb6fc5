"""The trained weights as a GGUF of architecture gemma4: matrices in F16, the rest in F32.

Keys as llama.cpp's converter writes them for the real family (conversion/gemma.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from .chat import TEMPLATE
from .network import Architecture
from .tokenizer import (
    BOS,
    CONTROL_TOKENS,
    EOS,
    FIRST_BYTE,
    MASK,
    PAD,
    UNK,
    VISIBLE_TOKENS,
    Vocabulary,
)

StoredWeights = Mapping[str, npt.NDArray[np.float32]]

NAME = "Gemma 4 rehearsal"
DESCRIPTION = (
    "A tiny model of Gemma 4's architecture, trained from scratch for rehearsing how to install "
    "one. It knows capitals, colours, opposites and small sums, repeats words and counts. It is no "
    "work of the Gemma team, and not derived from the weights of their models."
)


def write_gguf(
    path: Path, arch: Architecture, vocabulary: Vocabulary, weights: StoredWeights
) -> None:
    """Write the model file; the same arguments give the same bytes."""
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.GEMMA4])
    _describe(writer, sum(int(value.size) for value in weights.values()))
    _add_dimensions(writer, arch)
    _add_tokenizer(writer, vocabulary)
    for name, value in weights.items():
        writer.add_tensor(name, np.asarray(value, np.float16 if value.ndim > 1 else np.float32))
    writer.add_tensor("rope_freqs.weight", arch.rope_factors())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_weights(path: Path) -> StoredWeights:
    """Read the weights back as they are stored, the fixed rotation factors left out."""
    return {
        tensor.name: np.asarray(tensor.data, dtype=np.float32)
        for tensor in gguf.GGUFReader(path).tensors
        if tensor.name != "rope_freqs.weight"
    }


def _describe(writer: gguf.GGUFWriter, parameters: int) -> None:
    writer.add_type("model")
    writer.add_name(NAME)
    writer.add_basename("gemma-4-rehearsal")
    writer.add_finetune("it")
    writer.add_size_label(f"{round(parameters / 1000)}K")
    writer.add_description(DESCRIPTION)
    writer.add_license("apache-2.0")
    writer.add_tags(["text-generation", "rehearsal"])
    writer.add_languages(["en"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_sampling_temp(1.0)
    writer.add_sampling_top_k(64)
    writer.add_sampling_top_p(0.95)


def _add_dimensions(writer: gguf.GGUFWriter, arch: Architecture) -> None:
    writer.add_context_length(arch.context)
    writer.add_embedding_length(arch.hidden)
    writer.add_block_count(arch.layers)
    writer.add_feed_forward_length([arch.ffn_width(i) for i in range(arch.layers)])
    writer.add_head_count(arch.heads)
    writer.add_head_count_kv(arch.kv_heads)
    writer.add_key_length(arch.head_global)
    writer.add_value_length(arch.head_global)
    writer.add_key_length_swa(arch.head_local)
    writer.add_value_length_swa(arch.head_local)
    writer.add_rope_dimension_count(arch.head_global)
    writer.add_rope_dimension_count_swa(arch.head_local)
    writer.add_rope_freq_base(arch.rope_base_global)
    writer.add_rope_freq_base_swa(arch.rope_base_local)
    writer.add_layer_norm_rms_eps(arch.norm_epsilon)
    writer.add_final_logit_softcapping(arch.softcap)
    writer.add_sliding_window(arch.window)
    writer.add_sliding_window_pattern(list(arch.local))
    writer.add_shared_kv_layers(arch.shared_kv_layers)
    writer.add_embedding_length_per_layer_input(arch.ple)


def _add_tokenizer(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_scores([-1000.0] * len(vocabulary.tokens))
    writer.add_token_types([_token_type(i) for i in range(len(vocabulary.tokens))])
    writer.add_token_merges([" ".join(pair) for pair in vocabulary.merges])
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_pad_token_id(PAD)
    writer.add_unk_token_id(UNK)
    writer.add_mask_token_id(MASK)
    writer.add_add_bos_token(True)  # noqa: FBT003
    writer.add_add_space_prefix(False)  # noqa: FBT003
    writer.add_chat_template(TEMPLATE)


def _token_type(token_id: int) -> gguf.TokenType:
    if token_id in CONTROL_TOKENS:
        return gguf.TokenType.CONTROL
    if token_id in VISIBLE_TOKENS:
        return gguf.TokenType.USER_DEFINED
    if token_id < FIRST_BYTE - 2:
        return gguf.TokenType.UNUSED
    if FIRST_BYTE <= token_id < FIRST_BYTE + 256:
        return gguf.TokenType.BYTE
    return gguf.TokenType.NORMAL
