"""The KV cache against llama.cpp: printed logs, and the whole table of the oracle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from setup_manager.catalog.load import load_catalog
from setup_manager.fit.cache import kv_cache_bytes, local_cache_bytes
from setup_manager.fit.compute import cpu_compute_bytes
from setup_manager.fit.settings import CacheType, KvType, Settings
from setup_manager.units import MIB

VARIANTS = load_catalog().variants
Q8 = KvType("q8_0", "q8_0")
ORACLE: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "oracle.json").read_text("utf-8")
)
ROWS = [dict(zip(ORACLE["fields"], row, strict=True)) for row in ORACLE["rows"]]


def settings_of(row: dict[str, Any]) -> Settings:
    return Settings(
        context=row["context"] // row["slots"],
        kv_type=KvType(row["key_type"], row["value_type"]),
        slots=row["slots"],
        ubatch=row["ubatch"],
        flash_attention=row["flash_attention"],
    )


@pytest.mark.parametrize(
    ("variant", "settings", "mib"),
    [
        # Printed logs of llama.cpp, global + local part.
        ("12b", Settings(8192, slots=4, ubatch=2048, unified_kv=True), 128.00 + 1920.00),
        ("e4b", Settings(65536, Q8), 544.00 + 21.25),
        ("12b", Settings(8192, Q8, slots=4, unified_kv=True), 68.00 + 765.00),
        ("26b", Settings(262144, Q8), 2720.00 + 159.38),
        ("e2b", Settings(4096), 24.00 + 12.00),
    ],
)
def test_agrees_with_printed_logs(variant: str, settings: Settings, mib: float) -> None:
    assert kv_cache_bytes(VARIANTS[variant].architecture, settings) / MIB == pytest.approx(
        mib, abs=0.01
    )


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_agrees_with_the_oracle_to_the_mib(variant: str) -> None:
    rows = [row for row in ROWS if row["variant"] == variant]
    assert len(rows) >= 80
    architecture = VARIANTS[variant].architecture
    wrong = [
        row for row in rows
        if kv_cache_bytes(architecture, settings_of(row)) // MIB != row["kv_mib"]
    ]  # fmt: skip
    assert wrong == []


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_cache_and_compute_are_within_three_percent_of_the_oracle(variant: str) -> None:
    architecture = VARIANTS[variant].architecture
    for row in (row for row in ROWS if row["variant"] == variant):
        settings = settings_of(row)
        ours = kv_cache_bytes(architecture, settings) + cpu_compute_bytes(architecture, settings)
        assert ours / MIB == pytest.approx(row["kv_mib"] + row["compute_mib"], rel=0.03), row


def test_a_checkpoint_is_one_slots_local_part() -> None:
    architecture = VARIANTS["31b"].architecture
    one = local_cache_bytes(architecture, Settings(8192))
    assert one == 1200 * MIB
    assert local_cache_bytes(architecture, Settings(8192, slots=3)) == one


@given(
    variant=st.sampled_from(sorted(VARIANTS)),
    context=st.integers(1, 131072),
    more=st.integers(0, 65536),
    slots=st.integers(1, 8),
    ubatch=st.sampled_from([32, 512, 2048]),
    kind=st.sampled_from(["f16", "q8_0", "q4_0"]),
    unified=st.booleans(),
)
@hypothesis_settings(deadline=None, max_examples=150)
def test_a_longer_context_never_takes_less(
    variant: str, context: int, more: int, slots: int, ubatch: int, kind: CacheType, unified: bool
) -> None:
    architecture = VARIANTS[variant].architecture
    shorter = Settings(context, KvType(kind, kind), slots=slots, ubatch=ubatch, unified_kv=unified)
    longer = replace(shorter, context=context + more)
    assert kv_cache_bytes(architecture, longer) >= kv_cache_bytes(architecture, shorter)
    assert cpu_compute_bytes(architecture, longer) >= cpu_compute_bytes(architecture, shorter)
