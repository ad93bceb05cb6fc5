"""The tensor types of ggml and the file types of llama.cpp, as numbers stored in a GGUF file.

Sources: `enum ggml_type` and the block structures of ggml, `enum llama_ftype` of llama.cpp; of the
kernels, ggml-cpu/repack.cpp, ``ggml_repack_get_optimal_repack_type``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Kinds of CPU that llama.cpp's backend rearranges weights for at load time.
Kernels = Literal["avx2", "avx512", "neon"]
_EVERY: tuple[Kernels, ...] = ("avx2", "avx512", "neon")


@dataclass(frozen=True, slots=True)
class TensorType:
    """How the elements of a tensor are stored.

    Attributes:
        number: As stored in a file.
        name: As ggml prints it, e.g. ``"Q4_K"``.
        block_length: Elements in a block; the first dimension is a multiple of it.
        block_bytes: Bytes of a block.
        narrow: What llama-quantize takes instead where a row is no multiple of the block (expert
            rows of 704, rows of 2112).
        rearranged_by: CPUs on which the weights get a rearranged copy in memory of its own.
    """

    number: int
    name: str
    block_length: int
    block_bytes: int
    narrow: str | None = None
    rearranged_by: tuple[Kernels, ...] = ()

    def size_bytes(self, elements: int) -> int:
        """Give the bytes of so many elements."""
        return -(-elements * self.block_bytes // self.block_length)


_ROWS = (
    TensorType(0, "F32", 1, 4),
    TensorType(1, "F16", 1, 2),
    TensorType(2, "Q4_0", 32, 18, None, _EVERY),
    TensorType(3, "Q4_1", 32, 20),
    TensorType(6, "Q5_0", 32, 22),
    TensorType(7, "Q5_1", 32, 24),
    TensorType(8, "Q8_0", 32, 34, None, ("neon",)),
    TensorType(9, "Q8_1", 32, 36),
    TensorType(10, "Q2_K", 256, 84, "IQ4_NL", ("avx512",)),
    TensorType(11, "Q3_K", 256, 110, "IQ4_NL"),
    TensorType(12, "Q4_K", 256, 144, "Q5_0", _EVERY),
    TensorType(13, "Q5_K", 256, 176, "Q5_1", ("neon",)),
    TensorType(14, "Q6_K", 256, 210, "Q8_0", ("neon",)),
    TensorType(15, "Q8_K", 256, 292),
    TensorType(16, "IQ2_XXS", 256, 66, "IQ4_NL"),
    TensorType(17, "IQ2_XS", 256, 74, "IQ4_NL"),
    TensorType(18, "IQ3_XXS", 256, 98, "IQ4_NL"),
    TensorType(19, "IQ1_S", 256, 50, "IQ4_NL"),
    TensorType(20, "IQ4_NL", 32, 18, None, _EVERY),
    TensorType(21, "IQ3_S", 256, 110, "IQ4_NL"),
    TensorType(22, "IQ2_S", 256, 82, "IQ4_NL"),
    TensorType(23, "IQ4_XS", 256, 136, "IQ4_NL"),
    TensorType(24, "I8", 1, 1),
    TensorType(25, "I16", 1, 2),
    TensorType(26, "I32", 1, 4),
    TensorType(27, "I64", 1, 8),
    TensorType(28, "F64", 1, 8),
    TensorType(29, "IQ1_M", 256, 56, "IQ4_NL"),
    TensorType(30, "BF16", 1, 2),
    TensorType(34, "TQ1_0", 256, 54),
    TensorType(35, "TQ2_0", 256, 66),
    TensorType(39, "MXFP4", 32, 17, None, _EVERY),
    TensorType(40, "NVFP4", 64, 36),
    TensorType(41, "Q1_0", 128, 18),
)
TENSOR_TYPES = {row.number: row for row in _ROWS}
_BY_NAME = {row.name: row for row in _ROWS}

FILE_TYPES: dict[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
    39: "NVFP4", 40: "Q1_0",
}  # fmt: skip


def tensor_type(name: str) -> TensorType | None:
    """Find a tensor type by its name, in any letter case."""
    return _BY_NAME.get(name.upper())
