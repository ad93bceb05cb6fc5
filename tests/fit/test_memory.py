"""What a model takes, by purpose and by place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from setup_manager.catalog.load import load_catalog
from setup_manager.errors import UsageError
from setup_manager.fit.load import Load
from setup_manager.fit.memory import memory_of
from setup_manager.fit.placement import CARD_MARGIN_BYTES, place, share_bytes
from setup_manager.fit.settings import CacheType, KvType, Settings
from setup_manager.fit.weights import estimated_weights
from setup_manager.machine.facts import Gpu, Machine, Vendor
from setup_manager.units import GIB, MIB

from .machines import card, cpu_machine, mac

VARIANTS = load_catalog().variants
E4B = VARIANTS["e4b"].architecture
E4B_WEIGHTS = estimated_weights(E4B, "Q4_K_M", 4_977_171_584)

gpus = st.lists(
    st.builds(card, free_gib=st.floats(0.1, 48.0), total_gib=st.just(48.0)), max_size=3
).map(tuple)
machines = st.one_of(
    st.builds(cpu_machine, st.floats(1, 64), gpus=gpus),
    st.builds(mac, st.floats(8, 64), st.floats(4, 64)),
)
kv_types: st.SearchStrategy[CacheType] = st.sampled_from(["f16", "q8_0", "q4_0"])
any_settings = st.builds(
    Settings,
    context=st.integers(1, 131072),
    kv_type=st.builds(KvType, kv_types, kv_types),
    slots=st.integers(1, 4),
    ubatch=st.sampled_from([64, 512, 2048]),
    unified_kv=st.booleans(),
    gpu_layers=st.one_of(st.none(), st.integers(0, 31)),
    projector=st.booleans(),
    drafter=st.booleans(),
    bounds_caches=st.booleans(),
    context_checkpoints=st.integers(0, 4),
)


@given(
    st.sampled_from(sorted(VARIANTS)), st.sampled_from(["QAT-Q4_0", "Q8_0"]), any_settings, machines
)
@hypothesis_settings(deadline=None, max_examples=200)
def test_purposes_and_places_add_up(
    variant: str, quantization: str, settings: Settings, machine: Machine
) -> None:
    architecture = VARIANTS[variant].architecture
    weights = replace(
        estimated_weights(architecture, quantization),
        projector_file_bytes=985_654_080,
        drafter_file_bytes=97_817_664,
    )
    use = memory_of(Load(architecture, weights, settings, machine))
    assert use.total_bytes == use.by_place.ram_bytes + use.by_place.vram_bytes
    assert use.by_place.vram_bytes == sum(device.used_bytes for device in use.devices)
    assert 0 <= use.reclaimable_bytes <= use.by_place.ram_bytes
    assert use.needed_bytes >= 0
    assert (use.projector_bytes > 0) == settings.projector


@given(machines, st.integers(1024, 131072), st.sampled_from(sorted(VARIANTS)))
@hypothesis_settings(deadline=None, max_examples=100)
def test_what_is_put_on_a_card_leaves_the_margin(
    machine: Machine, context: int, variant: str
) -> None:
    architecture = VARIANTS[variant].architecture
    weights = estimated_weights(architecture, "QAT-Q4_0")
    placement = place(architecture, weights, Settings(context), machine)
    for share in placement.shares:
        if not share.gpu.unified:
            taken = share_bytes(architecture, weights, Settings(context), share)
            assert taken.total <= share.gpu.free_bytes - CARD_MARGIN_BYTES
    placed = [layer for share in placement.shares for layer in share.layers]
    assert sorted([*placed, *placement.cpu_layers]) == list(range(architecture.layers))


def test_e4b_on_a_card_needs_less_than_its_file() -> None:
    use = memory_of(Load(E4B, E4B_WEIGHTS, Settings(4096), cpu_machine(gpus=(card(),))))
    # A log of this file at full offload: 2208 MiB on the CPU and 2883.5 MiB on the GPU.
    share = place(E4B, E4B_WEIGHTS, Settings(4096), cpu_machine(gpus=(card(),))).shares[0]
    taken = share_bytes(E4B, E4B_WEIGHTS, Settings(4096), share)
    assert taken.weights / MIB == pytest.approx(2883.5, rel=0.01)
    kept = E4B_WEIGHTS.per_layer_embedding_bytes + E4B_WEIGHTS.token_embedding_bytes
    assert kept / MIB == pytest.approx(2208, rel=0.001)
    assert use.by_place.vram_bytes < E4B_WEIGHTS.file_bytes
    assert use.gpu_layers == E4B.layers + 1


def test_the_rearranged_copy_is_what_was_measured_beside_the_file() -> None:
    # llama-bench on data-less files, AVX-512: peak RSS 12.9 GB for 12B (file 6.48 GiB).
    architecture = VARIANTS["12b"].architecture
    weights = estimated_weights(architecture, "QAT-Q4_0", int(6.48 * GIB))
    use = memory_of(Load(architecture, weights, Settings(512), cpu_machine()))
    assert use.weights_bytes == pytest.approx(12.9e9, rel=0.03)
    assert use.needed_bytes < 0.62 * use.by_place.ram_bytes


def test_a_cpu_without_avx2_rearranges_nothing() -> None:
    machine = cpu_machine(features=frozenset())
    use = memory_of(Load(E4B, E4B_WEIGHTS, Settings(4096), machine))
    assert use.weights_bytes == E4B_WEIGHTS.file_bytes


def test_a_mac_counts_its_memory_once() -> None:
    use = memory_of(Load(E4B, E4B_WEIGHTS, Settings(4096), mac()))
    assert use.by_place.vram_bytes == 0
    assert use.weights_bytes == E4B_WEIGHTS.file_bytes


def test_two_cards_are_filled_one_after_the_other() -> None:
    architecture = VARIANTS["31b"].architecture
    weights = estimated_weights(architecture, "QAT-Q4_0", 17_651_001_568)
    pair = cpu_machine(gpus=(card(total_gib=16), card(total_gib=12)))
    use = memory_of(Load(architecture, weights, Settings(4096), pair))
    assert [device.layers > 0 for device in use.devices] == [True, True]
    assert use.gpu_layers == architecture.layers + 1
    alone = memory_of(
        Load(architecture, weights, Settings(4096), cpu_machine(gpus=(card(total_gib=28),)))
    )
    assert use.by_place.vram_bytes > alone.by_place.vram_bytes


def test_a_small_model_stays_on_one_of_two_cards() -> None:
    pair = cpu_machine(gpus=(card(total_gib=12), card(total_gib=16)))
    use = memory_of(Load(E4B, E4B_WEIGHTS, Settings(4096), pair))
    assert len(use.devices) == 1
    assert use.devices[0].free_bytes == int(15.5 * GIB)


def test_an_integrated_gpu_of_unknown_bandwidth_is_no_card() -> None:
    gpu = Gpu(
        Vendor.INTEL, "UHD 630", 8 * GIB, 8 * GIB, unified=True, driver="", source="test",
        integrated=True,
    )  # fmt: skip
    use = memory_of(Load(E4B, E4B_WEIGHTS, Settings(4096), cpu_machine(gpus=(gpu,))))
    assert use.gpu_layers == 0
    assert use.by_place.vram_bytes == 0


def test_checkpoints_and_prompt_cache_count() -> None:
    bare = Settings(8192, context_checkpoints=0)
    capped = replace(bare, context_checkpoints=4, prompt_cache_bytes=512 * MIB)
    architecture = VARIANTS["31b"].architecture
    weights = estimated_weights(architecture, "QAT-Q4_0")
    less = memory_of(Load(architecture, weights, bare, cpu_machine()))
    more = memory_of(Load(architecture, weights, capped, cpu_machine()))
    assert more.total_bytes - less.total_bytes == 4 * 1200 * MIB + 512 * MIB


@pytest.mark.parametrize(
    "wrong",
    [
        {"context": 0},
        {"context": -1},
        {"slots": 0},
        {"ubatch": 0},
        {"gpu_layers": -1},
        {"gpu_layers": 44},
        {"context": 131073},
        {"context_checkpoints": -1},
        {"kv_type": KvType(values="q8_0"), "flash_attention": False},
    ],
)
def test_bad_settings_are_a_usage_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        Load(E4B, E4B_WEIGHTS, Settings(**wrong), cpu_machine())
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_what_ollama_may_grow_by_is_told_and_in_no_sum() -> None:
    use = memory_of(Load(E4B, E4B_WEIGHTS, Settings(8192, bounds_caches=False), cpu_machine()))
    ours = memory_of(Load(E4B, E4B_WEIGHTS, Settings(8192), cpu_machine()))
    assert use.growth_bytes == 8192 * MIB + 32 * 40 * MIB
    assert ours.growth_bytes == 0
    assert use.total_bytes == use.by_place.ram_bytes
