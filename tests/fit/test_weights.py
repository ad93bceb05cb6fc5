"""What a file is made of: by its label against published sizes, and by its own tensor list."""

from __future__ import annotations

import pytest

from setup_manager.catalog.load import load_catalog
from setup_manager.catalog.variant import CatalogFile
from setup_manager.fit.tensors import tensor_shapes
from setup_manager.fit.weights import (
    METADATA_BYTES,
    estimated_weights,
    read_bytes_per_token,
    read_elements_per_token,
    rearranged_bytes,
)
from setup_manager.machine.facts import Processor
from setup_manager.units import MIB

CATALOG = load_catalog()
SIZED = [
    file
    for file in CATALOG.files
    if file.role == "weights"
    and file.size_bytes
    and file.repository.split("/")[0] in ("google", "unsloth", "ggml-org")
]


@pytest.mark.parametrize(
    ("variant", "billions"),
    # "text GGUF computed", "llama.cpp prints", (GGUF), model card, llama.cpp.
    [("e2b", 4.647), ("e4b", 7.52), ("12b", 11.907), ("26b", 25.23), ("31b", 30.70)],
)
def test_the_tensor_list_has_the_published_number_of_parameters(
    variant: str, billions: float
) -> None:
    shapes = tensor_shapes(CATALOG.variants[variant].architecture)
    assert sum(tensor.elements for tensor in shapes) / 1e9 == pytest.approx(billions, rel=1e-3)
    assert len({tensor.name for tensor in shapes}) == len(shapes)


@pytest.mark.parametrize("file", SIZED, ids=lambda f: f"{f.variant}:{f.quantization}")
def test_a_label_gives_the_published_size_within_a_tenth(file: CatalogFile) -> None:
    architecture = CATALOG.variants[file.variant].architecture
    computed = estimated_weights(architecture, file.quantization)
    assert file.size_bytes is not None
    assert computed.file_bytes == pytest.approx(file.size_bytes, rel=0.10)
    assert not computed.confirmed
    known = estimated_weights(architecture, file.quantization, file.size_bytes)
    assert known.confirmed
    assert known.file_bytes == file.size_bytes


@pytest.mark.parametrize("variant", ["12b", "31b"])
def test_trained_four_bit_files_are_known_to_a_permille(variant: str) -> None:
    sizes = [f for f in SIZED if f.variant == variant and f.quantization == "QAT-Q4_0"]
    computed = estimated_weights(CATALOG.variants[variant].architecture, "QAT-Q4_0")
    assert computed.file_bytes == pytest.approx(sizes[0].size_bytes, rel=1e-3)


@pytest.mark.parametrize(
    ("variant", "gigabytes"), [("e2b", 1.53), ("e4b", 3.12), ("12b", 7.35), ("31b", 18.81)]
)
def test_a_token_reads_what_was_published(variant: str, gigabytes: float) -> None:
    architecture = CATALOG.variants[variant].architecture
    file = next(f for f in SIZED if f.variant == variant and f.quantization == "UD-Q4_K_XL")
    weights = estimated_weights(architecture, "UD-Q4_K_XL", file.size_bytes)
    assert read_bytes_per_token(architecture, weights) / 1e9 == pytest.approx(gigabytes, rel=0.06)


def test_the_mixture_reads_a_fraction_of_itself() -> None:
    architecture = CATALOG.variants["26b"].architecture
    weights = estimated_weights(architecture, "QAT-Q4_0")
    assert read_bytes_per_token(architecture, weights) < 0.2 * weights.file_bytes
    assert read_elements_per_token(architecture) / 1e9 == pytest.approx(3.8, rel=0.03)


def test_what_a_cpu_rearranges_depends_on_its_instructions() -> None:
    architecture = CATALOG.variants["e4b"].architecture
    weights = estimated_weights(architecture, "Q8_0")
    x86 = Processor("", 4, 4, 4.0, frozenset({"avx2"}))
    arm = Processor("", 4, 4, 4.0, frozenset({"neon", "dotprod"}))
    old = Processor("", 4, 4, 4.0, frozenset({"sse3"}))
    assert rearranged_bytes(weights, x86.features) == 0
    assert rearranged_bytes(weights, arm.features) > 0.9 * weights.block_bytes
    assert rearranged_bytes(weights, old.features) == 0


@pytest.mark.parametrize(
    ("variant", "quantization", "mib"),
    # What llama-fit-params (b11434, AVX-512) keeps outside of rearranged memory; it counts the
    # output matrix beside the token embedding, which is the same page of the same file.
    [
        ("e2b", "Q4_K_M", 1962),
        ("e4b", "Q4_K_M", 2663),
        ("12b", "QAT-Q4_0", 1577),
        ("26b", "QAT-Q4_0", 1198),
        ("31b", "QAT-Q4_0", 2210),
    ],
)
def test_what_is_not_rearranged_agrees_with_the_oracle(
    variant: str, quantization: str, mib: int
) -> None:
    weights = estimated_weights(CATALOG.variants[variant].architecture, quantization)
    cpu = Processor("", 2, 2, 2.0, frozenset({"avx2", "avx512f"}))
    kept = weights.file_bytes - METADATA_BYTES + weights.token_embedding_bytes
    kept -= rearranged_bytes(weights, cpu.features)
    assert kept / MIB == pytest.approx(mib, rel=0.01)


@pytest.mark.parametrize(
    ("variant", "quantization", "file_bytes", "cpu_mib", "gpu_mib"),
    # Logs of full offload on CUDA.
    [
        ("e4b", "Q4_K_M", 4_977_171_584, 2208, 2883.5),
        ("12b", "QAT-Q4_0", 6_975_879_296, 787.5, 6637.6),
    ],
)
def test_the_halves_of_a_full_offload_agree_with_logs(
    variant: str, quantization: str, file_bytes: int, cpu_mib: float, gpu_mib: float
) -> None:
    weights = estimated_weights(CATALOG.variants[variant].architecture, quantization, file_bytes)
    on_cpu = weights.per_layer_embedding_bytes + weights.token_embedding_bytes
    assert on_cpu / MIB == pytest.approx(cpu_mib, rel=0.001)
    on_gpu = weights.block_bytes + weights.token_embedding_bytes
    assert on_gpu / MIB == pytest.approx(gpu_mib, rel=0.01)
