"""GGUF files of the Gemma 4 family with random weights: they load and run, and talk rubbish."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

_SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", "<unused49>")
_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|turn>{{ message['role'] }}\n"
    "{{ message['content'] }}<turn|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn>model\n{% endif %}"
)


def write_random_gemma4(
    path: Path,
    *,
    architecture: str = "gemma4",
    hidden: int = 64,
    feed_forward: int = 128,
    layers: int = 2,
    seed: int = 1,
) -> Path:
    """Write the file and return its path.

    Args:
        path: Where to.
        architecture: What ``general.architecture`` says.
        hidden: Width of the residual stream.
        feed_forward: Width of the feed-forward network; large values make a large file.
        layers: Blocks, even: local and global ones take turns.
        seed: Of the random weights.
    """
    writer = gguf.GGUFWriter(str(path), architecture)
    _write_metadata(writer, hidden, feed_forward, layers)
    _write_tokenizer(writer, _vocabulary())
    tensors = _Tensors(writer, np.random.default_rng(seed))
    tensors.add("token_embd.weight", len(_vocabulary()), hidden)
    tensors.ones("output_norm.weight", hidden)
    tensors.ones("rope_freqs.weight", 16)
    for index in range(layers):
        tensors.add_block(f"blk.{index}", hidden, feed_forward)
        tensors.add_cache(f"blk.{index}", hidden)
    _finish(writer)
    return path


def write_random_drafter(
    path: Path,
    *,
    target_hidden: int = 64,
    global_head: int = 32,
    vocabulary_size: int | None = None,
    seed: int = 2,
) -> Path:
    """Write an MTP drafter for a file of `write_random_gemma4` and return its path.

    What it needs: src/models/gemma4-assistant.cpp of llama.cpp b11434.

    Args:
        path: Where to.
        target_hidden: Width of the residual stream of the model that it drafts for.
        global_head: Width of that model's global heads.
        vocabulary_size: Tokens of that model, if not those of `write_random_gemma4`.
        seed: Of the random weights.
    """
    hidden, feed_forward, layers = 32, 64, 2
    tokens = _vocabulary()
    tokens += [f"<extra{index}>" for index in range((vocabulary_size or 0) - len(tokens))]
    writer = gguf.GGUFWriter(str(path), "gemma4-assistant")
    _write_metadata(writer, hidden, feed_forward, layers, global_head)
    writer.add_uint32("gemma4-assistant.nextn_predict_layers", layers)
    writer.add_uint32("gemma4-assistant.embedding_length_out", target_hidden)
    _write_tokenizer(writer, tokens)
    tensors = _Tensors(writer, np.random.default_rng(seed))
    tensors.add("token_embd.weight", len(tokens), hidden)
    tensors.add("nextn.pre_projection.weight", hidden, 2 * target_hidden)
    tensors.add("nextn.post_projection.weight", target_hidden, hidden)
    tensors.ones("output_norm.weight", hidden)
    tensors.ones("rope_freqs.weight", global_head // 2)
    for index in range(layers):
        head = 32 if index % 2 == 0 else global_head
        tensors.add_block(f"blk.{index}", hidden, feed_forward, head)
        tensors.ones(f"blk.{index}.layer_output_scale.weight", 1)
    _finish(writer)
    return path


def write_random_projector(path: Path, *, target_hidden: int = 64, seed: int = 3) -> Path:
    """Write an image projector of the 12B's kind (``gemma4uv``) and return its path.

    What it needs: tools/mtmd/models/gemma4uv.cpp and clip.cpp of llama.cpp b11434.

    Args:
        path: Where to.
        target_hidden: Width of the residual stream of the model that it is for.
        seed: Of the random weights.
    """
    hidden, patch, merge = 32, 16, 3
    writer = gguf.GGUFWriter(str(path), "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "gemma4uv")
    for name, value in (
        ("embedding_length", hidden),
        ("feed_forward_length", hidden),
        ("block_count", 0),
        ("attention.head_count", 1),
        ("projection_dim", target_hidden),
        ("image_size", 768),
        ("patch_size", patch),
        ("projector.scale_factor", merge),
    ):
        writer.add_uint32(f"clip.vision.{name}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [0.0, 0.0, 0.0])
    writer.add_array("clip.vision.image_std", [1.0, 1.0, 1.0])
    tensors = _Tensors(writer, np.random.default_rng(seed))
    pixels = 3 * (patch * merge) ** 2
    tensors.add("v.patch_embd.weight", hidden, pixels)
    tensors.ones("v.patch_embd.bias", hidden)
    tensors.add("v.position_embd.weight", 2, 64, hidden)
    for index, length in ((1, pixels), (2, hidden), (3, hidden)):
        tensors.ones(f"v.patch_norm.{index}.weight", length)
        tensors.ones(f"v.patch_norm.{index}.bias", length)
    tensors.add("mm.input_projection.weight", target_hidden, hidden)
    _finish(writer)
    return path


def _vocabulary() -> list[str]:
    letters = [chr(code) for code in range(33, 127)] + ["▁"]
    return [*_SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *letters, "an", "th"]


def _write_metadata(
    writer: gguf.GGUFWriter, hidden: int, feed_forward: int, layers: int, global_head: int = 32
) -> None:
    writer.add_context_length(4096)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_key_length(global_head)
    writer.add_value_length(global_head)
    writer.add_key_length_swa(32)
    writer.add_value_length_swa(32)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_sliding_window(64)
    writer.add_sliding_window_pattern([index % 2 == 0 for index in range(layers)])
    writer.add_shared_kv_layers(0)
    writer.add_embedding_length_per_layer_input(0)
    writer.add_rope_freq_base(1e6)
    writer.add_rope_freq_base_swa(1e4)
    writer.add_rope_dimension_count(global_head)
    writer.add_rope_dimension_count_swa(32)
    writer.add_final_logit_softcapping(30.0)


def _write_tokenizer(writer: gguf.GGUFWriter, tokens: list[str]) -> None:
    kinds = [gguf.TokenType.CONTROL] * len(_SPECIAL) + [gguf.TokenType.BYTE] * 256
    kinds += [gguf.TokenType.NORMAL] * (len(tokens) - len(kinds))
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_scores([-1000.0] * len(tokens))
    writer.add_token_merges(["a n", "t h"])
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(5)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(3)
    writer.add_add_bos_token(True)
    writer.add_chat_template(_TEMPLATE)


class _Tensors:
    """Random tensors, written in the names that llama.cpp knows."""

    def __init__(self, writer: gguf.GGUFWriter, random: np.random.Generator) -> None:
        self._writer = writer
        self._random = random

    def add(self, name: str, *shape: int) -> None:
        values = self._random.standard_normal(shape, dtype=np.float32)
        scaled = values / np.float32(shape[-1] ** 0.5)
        self._writer.add_tensor(name, scaled.astype(np.float16))

    def ones(self, name: str, length: int) -> None:
        self._writer.add_tensor(name, np.ones(length, dtype=np.float32))

    def add_block(self, block: str, hidden: int, feed_forward: int, head: int = 32) -> None:
        """Add what a block of the model and of a drafter have in common."""
        for norm in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            self.ones(f"{block}.{norm}.weight", hidden)
        self.ones(f"{block}.attn_q_norm.weight", head)
        self.add(f"{block}.attn_q.weight", 2 * head, hidden)
        self.add(f"{block}.attn_output.weight", hidden, 2 * head)
        self.add(f"{block}.ffn_gate.weight", feed_forward, hidden)
        self.add(f"{block}.ffn_up.weight", feed_forward, hidden)
        self.add(f"{block}.ffn_down.weight", hidden, feed_forward)

    def add_cache(self, block: str, hidden: int) -> None:
        """Add what makes the keys and values of a block."""
        self.ones(f"{block}.attn_k_norm.weight", 32)
        self.add(f"{block}.attn_k.weight", 32, hidden)
        self.add(f"{block}.attn_v.weight", 32, hidden)


def _finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
