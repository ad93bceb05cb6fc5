"""llama.cpp asked directly, where it is installed: the saved table must not be of another age."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from setup_manager.catalog.load import load_catalog
from setup_manager.fit.cache import kv_cache_bytes
from setup_manager.fit.compute import cpu_compute_bytes
from setup_manager.fit.settings import KvType, Settings
from setup_manager.units import MIB

ORACLE = shutil.which("llama-fit-params")
CASES = (
    Settings(8192),
    Settings(32768, KvType("q8_0", "f16"), ubatch=1024),
    Settings(4096, slots=3),
    Settings(8192, flash_attention=False),
)


@pytest.mark.real_runtime
@pytest.mark.skipif(ORACLE is None, reason="llama-fit-params is not on PATH")
@pytest.mark.parametrize("variant", ["e2b", "26b"])
def test_the_installed_llama_cpp_agrees(variant: str, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    from scripts.full_size_gguf import QUANTIZATIONS, write_full_size
    from scripts.memory_oracle import ask

    architecture = load_catalog().variants[variant].architecture
    model = tmp_path / "model.gguf"
    write_full_size(model, architecture, QUANTIZATIONS[variant])
    for settings in CASES:
        answer = ask(str(ORACLE), model, settings)
        assert answer is not None
        kv = kv_cache_bytes(architecture, settings)
        ours = (kv + cpu_compute_bytes(architecture, settings)) / MIB
        assert kv // MIB == answer[0]
        assert ours == pytest.approx(sum(answer), rel=0.03)
