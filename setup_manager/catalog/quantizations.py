"""The quantizations: what a label stands for, one row each.

A label such as ``Q4_K_M`` names a recipe that gives different tensors different types. The types of
the blocks follow llama.cpp's ``llama_tensor_get_type``; those of the embeddings are facts of
published files. E4B Q4_K_M keeps 2208 MiB on the CPU: Q5_K per-layer embeddings (1848) and a Q4_K
token embedding (360); 12B Q4_0 keeps 787.5 MiB, a Q6_K token embedding; QAT Q4_0 files of E2B and
E4B have their published sizes with Q6_K in both. What a type takes, and where its kernels need a
rearranged copy, stands in `gguf.tensor_types`.

The order of the losses is that of llama.cpp's own perplexity tables (8-bit before 6, 5, 4, 3, 2;
K-quants before legacy types of the same width). Trained (QAT) 4-bit weights lose 54 % less than the
same type rounded afterwards (Google's figure for the QAT models of Gemma 3), which puts them
between 5-bit and rounded 4-bit. The distances in points are a judgement and not a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantization:
    """One row of the table.

    Attributes:
        label: As the catalogue and publishers write it.
        base: Tensor type of the projections of the blocks.
        token_embedding: Type of the token embedding, which is the output matrix too.
        per_layer_embedding: Type of the per-layer embeddings.
        raised: Type of half of the value and down projections (the ``_M`` mixes), or None.
        loss: Points lost against 16 bits by a large model, on the scale of the benchmarks.
        aliases: Other spellings of the label.
    """

    label: str
    base: str
    token_embedding: str
    per_layer_embedding: str
    raised: str | None
    loss: float
    aliases: tuple[str, ...] = ()

    @property
    def rank(self) -> int:
        """Place in the order in which one is taken where none is named; 0 is the first."""
        return QUANTIZATIONS.index(self)

    @staticmethod
    def of(label: str) -> Quantization | None:
        """Find the row of a label in any letter case, None where there is none.

        unsloth's ``UD-`` (types chosen tensor by tensor) counts as the recipe that it starts from.
        """
        return _BY_LABEL.get(label.upper().replace(" ", "-").replace("UD-", ""))


_TRAINED_SHARE = 0.46
_ROUNDED_FOUR_BIT_LOSS = 2.5
_TRAINED_LOSS = _TRAINED_SHARE * _ROUNDED_FOUR_BIT_LOSS

# In the order in which one is taken where none is named: trained ones, 4 bits with the best first,
# more bits, fewer bits, and last what is no quantization. Rows that no file of the catalogue has
# serve to choose and to judge files of other repositories, whose own headers say what is in them.
QUANTIZATIONS = (
    Quantization("QAT-Q4_K_XL", "Q4_0", "Q4_0", "Q4_0", None, _TRAINED_LOSS),
    Quantization("QAT-Q4_0", "Q4_0", "Q6_K", "Q6_K", None, _TRAINED_LOSS),
    Quantization("Q4_K_XL", "Q4_K", "Q5_K", "Q5_K", "Q6_K", 1.4),
    Quantization("Q4_K_M", "Q4_K", "Q4_K", "Q5_K", "Q6_K", 1.6),
    Quantization("Q4_K_L", "Q4_K", "Q8_0", "Q5_K", "Q6_K", 1.6),
    Quantization("Q4_K_S", "Q4_K", "Q4_K", "Q5_K", None, 1.9),
    Quantization("Q4_0", "Q4_0", "Q6_K", "Q6_K", None, _ROUNDED_FOUR_BIT_LOSS),
    Quantization("IQ4_NL", "IQ4_NL", "Q6_K", "Q6_K", None, 1.8),
    Quantization("IQ4_XS", "IQ4_XS", "Q6_K", "Q6_K", None, 1.8),
    Quantization("MXFP4_MOE", "MXFP4", "Q6_K", "Q6_K", None, 2.5, ("MXFP4",)),
    Quantization("NVFP4", "NVFP4", "Q6_K", "Q6_K", None, 2.0),
    Quantization("Q4_1", "Q4_1", "Q6_K", "Q6_K", None, 2.5),
    Quantization("Q5_K_XL", "Q5_K", "Q6_K", "Q6_K", "Q6_K", 0.7),
    Quantization("Q5_K_M", "Q5_K", "Q5_K", "Q6_K", "Q6_K", 0.7),
    Quantization("Q5_K_L", "Q5_K", "Q8_0", "Q6_K", "Q6_K", 0.7),
    Quantization("Q5_K_S", "Q5_K", "Q5_K", "Q6_K", None, 0.7),
    Quantization("Q5_0", "Q5_0", "Q6_K", "Q6_K", None, 0.9),
    Quantization("Q5_1", "Q5_1", "Q6_K", "Q6_K", None, 0.9),
    Quantization("Q6_K_XL", "Q6_K", "Q8_0", "Q8_0", "Q8_0", 0.3),
    Quantization("Q6_K_L", "Q6_K", "Q8_0", "Q6_K", None, 0.3),
    Quantization("Q6_K", "Q6_K", "Q6_K", "Q6_K", None, 0.3),
    Quantization("Q8_0", "Q8_0", "Q8_0", "Q8_0", None, 0.1),
    Quantization("Q8_K_XL", "Q8_0", "BF16", "BF16", "BF16", 0.1),
    Quantization("Q3_K_XL", "Q3_K", "Q5_K", "Q5_K", "Q4_K", 6.0),
    Quantization("Q3_K_L", "Q3_K", "Q6_K", "Q5_K", "Q5_K", 6.0),
    Quantization("Q3_K_M", "Q3_K", "Q6_K", "Q5_K", "Q4_K", 6.0),
    Quantization("Q3_K_S", "Q3_K", "Q6_K", "Q6_K", None, 6.0),
    Quantization("IQ3_M", "IQ3_S", "Q6_K", "Q6_K", "Q4_K", 7.0),
    Quantization("IQ3_S", "IQ3_S", "Q6_K", "Q6_K", None, 7.0, ("IQ3_XS",)),
    Quantization("IQ3_XXS", "IQ3_XXS", "Q6_K", "Q6_K", None, 7.0),
    Quantization("Q2_K_XL", "Q2_K", "Q5_K", "Q5_K", "Q4_K", 14.0),
    Quantization("Q2_K", "Q2_K", "Q6_K", "Q5_K", "Q4_K", 14.0, ("Q2_K_L",)),
    Quantization("Q2_K_S", "Q2_K", "Q6_K", "Q6_K", None, 14.0),
    Quantization("IQ2_M", "IQ2_S", "Q6_K", "Q6_K", "IQ3_S", 18.0),
    Quantization("IQ2_S", "IQ2_S", "Q6_K", "Q6_K", None, 18.0),
    Quantization("IQ2_XS", "IQ2_XS", "Q6_K", "Q6_K", None, 18.0),
    Quantization("IQ2_XXS", "IQ2_XXS", "Q6_K", "Q6_K", None, 18.0),
    Quantization("IQ1_M", "IQ1_M", "Q6_K", "Q6_K", None, 25.0),
    Quantization("IQ1_S", "IQ1_S", "Q6_K", "Q6_K", None, 25.0),
    Quantization("BF16", "BF16", "BF16", "BF16", None, 0.0),
    Quantization("F16", "F16", "F16", "F16", None, 0.0, ("FP16",)),
    Quantization("F32", "F32", "F32", "F32", None, 0.0, ("FP32",)),
)
_BY_LABEL = {name: row for row in QUANTIZATIONS for name in (row.label, *row.aliases)}
