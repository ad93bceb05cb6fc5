"""A GGUF of the Gemma 4 architecture with random weights: it loads and runs, and talks rubbish."""

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
    _write_tokenizer(writer)
    _write_tensors(writer, np.random.default_rng(seed), hidden, feed_forward, layers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _vocabulary() -> list[str]:
    letters = [chr(code) for code in range(33, 127)] + ["▁"]
    return [*_SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *letters, "an", "th"]


def _write_metadata(writer: gguf.GGUFWriter, hidden: int, feed_forward: int, layers: int) -> None:
    writer.add_context_length(4096)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_key_length(32)
    writer.add_value_length(32)
    writer.add_key_length_swa(32)
    writer.add_value_length_swa(32)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_sliding_window(64)
    writer.add_sliding_window_pattern([index % 2 == 0 for index in range(layers)])
    writer.add_shared_kv_layers(0)
    writer.add_embedding_length_per_layer_input(0)
    writer.add_rope_freq_base(1e6)
    writer.add_rope_freq_base_swa(1e4)
    writer.add_rope_dimension_count(32)
    writer.add_rope_dimension_count_swa(32)
    writer.add_final_logit_softcapping(30.0)


def _write_tokenizer(writer: gguf.GGUFWriter) -> None:
    tokens = _vocabulary()
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


def _write_tensors(
    writer: gguf.GGUFWriter,
    random: np.random.Generator,
    hidden: int,
    feed_forward: int,
    layers: int,
) -> None:
    def add(name: str, *shape: int) -> None:
        values = random.standard_normal(shape, dtype=np.float32) / np.float32(shape[-1] ** 0.5)
        writer.add_tensor(name, values.astype(np.float16))

    def ones(name: str, length: int) -> None:
        writer.add_tensor(name, np.ones(length, dtype=np.float32))

    add("token_embd.weight", len(_vocabulary()), hidden)
    ones("output_norm.weight", hidden)
    ones("rope_freqs.weight", 16)
    for index in range(layers):
        block = f"blk.{index}"
        for norm in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            ones(f"{block}.{norm}.weight", hidden)
        ones(f"{block}.attn_q_norm.weight", 32)
        ones(f"{block}.attn_k_norm.weight", 32)
        add(f"{block}.attn_q.weight", 64, hidden)
        add(f"{block}.attn_k.weight", 32, hidden)
        add(f"{block}.attn_v.weight", 32, hidden)
        add(f"{block}.attn_output.weight", hidden, 64)
        add(f"{block}.ffn_gate.weight", feed_forward, hidden)
        add(f"{block}.ffn_up.weight", feed_forward, hidden)
        add(f"{block}.ffn_down.weight", hidden, feed_forward)
