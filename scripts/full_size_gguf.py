"""Write a GGUF of a Gemma 4 variant at its full size, without data.

Names, shapes and types are those of the real file, the weights are a hole: the file takes a few
megabytes of disk, llama.cpp loads it, and zero weights cost the same arithmetic and the same memory
as trained ones. The basis of `memory_oracle.py` and `measure_full_size.py`.

    python scripts/full_size_gguf.py e4b Q4_K_M /var/tmp/e4b.gguf
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from setup_manager.catalog.architecture import Architecture
from setup_manager.catalog.load import load_catalog
from setup_manager.fit.quantization import recipe_of, typed_tensors
from setup_manager.fit.tensors import is_global

# What the scripts that measure take of each variant.
QUANTIZATIONS = {
    "e2b": "Q4_K_M", "e4b": "Q4_K_M", "12b": "QAT-Q4_0", "26b": "QAT-Q4_0", "31b": "QAT-Q4_0",
}  # fmt: skip
_ALIGNMENT = 32
_TEMPLATE = (
    "{% for message in messages %}<|turn>{{ message.role }}\n{{ message.content }}<turn|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|turn>model\n{% endif %}"
)
_SPECIAL = {0: "<pad>", 1: "<eos>", 2: "<bos>", 3: "<unk>", 50: "<|tool_response>",
            105: "<|turn>", 106: "<turn|>"}  # fmt: skip
_FIRST_BYTE = 238


def architecture_of(variant: str) -> Architecture:
    """Give the constants of a variant from the shipped catalogue."""
    return load_catalog().variants[variant].architecture


def write_full_size(path: Path, architecture: Architecture, quantization: str) -> int:
    """Write the file; return its apparent size in bytes."""
    writer = gguf.GGUFWriter(path, "gemma4")
    _add_architecture(writer, architecture)
    _add_tokenizer(writer, architecture.vocabulary_size)
    size_bytes = 0
    for tensor, stored in typed_tensors(architecture, recipe_of(quantization)):
        kind = gguf.GGMLQuantizationType[stored.name]
        shape = tuple(reversed(tensor.shape))
        count, block = gguf.GGML_QUANT_SIZES[kind]
        tensor_bytes = tensor.elements // count * block
        writer.add_tensor_info(
            tensor.name, _stored_shape(shape, count, block), _dtype(stored.name), tensor_bytes, kind
        )
        size_bytes += -(-tensor_bytes // _ALIGNMENT) * _ALIGNMENT
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    start = -(-path.stat().st_size // _ALIGNMENT) * _ALIGNMENT
    with path.open("r+b") as file:
        file.truncate(start + size_bytes)
    return start + size_bytes


def _dtype(type_name: str) -> np.dtype[Any]:
    return np.dtype({"F32": np.float32, "F16": np.float16}.get(type_name, np.uint8))


def _stored_shape(shape: tuple[int, ...], count: int, block: int) -> tuple[int, ...]:
    """The writer wants a quantized row in bytes and turns it back into elements."""
    return shape if count == 1 and block != 2 else (*shape[:-1], shape[-1] // count * block)


def _add_architecture(writer: gguf.GGUFWriter, architecture: Architecture) -> None:
    layers = range(architecture.layers)
    everywhere = [is_global(architecture, layer) for layer in layers]
    writer.add_block_count(architecture.layers)
    writer.add_context_length(architecture.context_length)
    writer.add_embedding_length(architecture.hidden_size)
    writer.add_feed_forward_length(list(architecture.feed_forward_lengths))
    writer.add_head_count(architecture.heads)
    writer.add_head_count_kv(
        [architecture.kv_heads_global if e else architecture.kv_heads_local for e in everywhere]
    )
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_key_length(architecture.head_dim_global)
    writer.add_value_length(architecture.head_dim_global)
    writer.add_uint32("gemma4.attention.key_length_swa", architecture.head_dim_local)
    writer.add_uint32("gemma4.attention.value_length_swa", architecture.head_dim_local)
    writer.add_sliding_window(architecture.sliding_window)
    writer.add_array("gemma4.attention.sliding_window_pattern", [not e for e in everywhere])
    writer.add_uint32("gemma4.attention.shared_kv_layers", architecture.shared_kv_layers)
    writer.add_uint32(
        "gemma4.embedding_length_per_layer_input", architecture.per_layer_embedding_length
    )
    writer.add_float32("gemma4.final_logit_softcapping", 30.0)
    writer.add_rope_freq_base(1e6)
    writer.add_float32("gemma4.rope.freq_base_swa", 1e4)
    writer.add_rope_dimension_count(architecture.head_dim_global)
    writer.add_uint32("gemma4.rope.dimension_count_swa", architecture.head_dim_local)
    if architecture.experts is not None:
        writer.add_expert_count(architecture.experts.count)
        writer.add_expert_used_count(architecture.experts.used)
        writer.add_expert_feed_forward_length(architecture.experts.feed_forward_length)


def _add_tokenizer(writer: gguf.GGUFWriter, vocabulary_size: int) -> None:
    tokens = [_SPECIAL.get(index, f"t{index}") for index in range(vocabulary_size)]
    kinds = [gguf.TokenType.NORMAL] * vocabulary_size
    for index in _SPECIAL:
        kinds[index] = gguf.TokenType.CONTROL
    for byte in range(256):
        tokens[_FIRST_BYTE + byte] = f"<0x{byte:02X}>"
        kinds[_FIRST_BYTE + byte] = gguf.TokenType.BYTE
    for offset, character in enumerate("▁abcdefghijklmnopqrstuvwxyz\n"):
        tokens[1000 + offset] = character
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * vocabulary_size)
    writer.add_token_types(kinds)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(3)
    writer.add_add_bos_token(value=True)
    writer.add_add_space_prefix(value=False)
    writer.add_chat_template(_TEMPLATE)


def main() -> None:
    """Read the arguments and write one file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("variant", choices=tuple(QUANTIZATIONS))
    parser.add_argument("quantization", help="a label such as Q4_K_M or QAT-Q4_0")
    parser.add_argument("path", type=Path)
    arguments = parser.parse_args()
    size = write_full_size(
        arguments.path, architecture_of(arguments.variant), arguments.quantization
    )
    print(
        f"{arguments.path}: {size} bytes, {arguments.path.stat().st_blocks * 512} of them on disk"
    )


if __name__ == "__main__":
    main()
