"""Recommendations: properties, and cases a person would check."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from setup_manager.app.documents import recommendation_document
from setup_manager.app.reasons import choice_reasons, nothing_fits
from setup_manager.catalog.load import load_catalog
from setup_manager.errors import UsageError
from setup_manager.fit import placement
from setup_manager.fit.recommend import Choice, Criteria, Preference, Recommendation, rank
from setup_manager.fit.results import Verdict
from setup_manager.fit.settings import CacheType, Settings
from setup_manager.machine.facts import Gpu, Machine, MemoryUser, Vendor
from setup_manager.units import GIB

from .machines import card, cpu_machine, mac

CATALOG = load_catalog()


def ranked(machine: Machine, request: Criteria) -> Recommendation | None:
    found = rank(CATALOG, machine, request)
    return found if found.choices else None


@given(
    available=st.floats(1, 60),
    more=st.floats(0, 40),
    vram=st.one_of(st.none(), st.floats(1, 30)),
    preference=st.sampled_from(get_args(Preference)),
)
@hypothesis_settings(deadline=None, max_examples=15)
def test_more_memory_never_makes_a_recommendation_worse(
    available: float, more: float, vram: float | None, preference: Preference
) -> None:
    def machine(extra: float) -> Machine:
        cards = () if vram is None else (card(total_gib=48, free_gib=vram + extra),)
        return cpu_machine(available + extra, 128, gpus=cards)

    before, after = (ranked(machine(x), Criteria(prefer=preference)) for x in (0.0, more))
    if before is None:
        return
    assert after is not None
    first, second = before.choices[0], after.choices[0]
    order: list[Verdict] = ["tight", "fits"]
    assert order.index(second.verdict) >= order.index(first.verdict)
    if second.verdict == first.verdict:
        assert second.score >= first.score - 1e-9


@given(
    available=st.floats(0.5, 64),
    vram=st.one_of(st.none(), st.floats(0.5, 30)),
    context=st.one_of(st.none(), st.integers(1, 262144)),
)
@hypothesis_settings(deadline=None, max_examples=15)
def test_nothing_recommended_exceeds_what_is_free(
    available: float, vram: float | None, context: int | None
) -> None:
    cards = () if vram is None else (card(total_gib=48, free_gib=vram),)
    machine = cpu_machine(available, 64, gpus=cards)
    request = Criteria(Settings(context or 8192), context_given=context is not None)
    found = ranked(machine, request)
    if found is None:
        return
    for choice in found.choices:
        assert choice.memory.needed_bytes <= machine.memory.available_bytes
        for device in choice.memory.devices:
            assert device.used_bytes <= device.free_bytes
        if choice.verdict == "fits":
            left = machine.memory.available_bytes - choice.memory.needed_bytes
            assert left >= found.headroom_bytes
    for choice in found.rejected:
        assert choice.shortfall_bytes > 0 or choice.settings.context < request.settings.context
        assert len(choice_reasons(choice)) >= 2


def test_the_first_choices_are_the_best_of_each_variant() -> None:
    found = rank(CATALOG, cpu_machine(40, 64))
    variants = [choice.variant for choice in found.choices[:5]]
    assert len(set(variants)) == 5


def test_quality_prefers_the_better_model_and_speed_the_faster() -> None:
    machine = mac(64, 48)
    best = rank(CATALOG, machine, Criteria(prefer="quality")).choices[0]
    fastest = rank(CATALOG, machine, Criteria(prefer="speed")).choices[0]
    assert best.variant == "31b"
    assert fastest.speed.tokens_per_second > best.speed.tokens_per_second


# Free memory and cores as on the laptop where all three preferences once gave 26B.
LAPTOP = cpu_machine(20, 24, cores=2, bandwidth=32.8e9)


def test_a_preference_changes_the_order() -> None:
    best = {prefer: first(Criteria(prefer=prefer)) for prefer in get_args(Preference)}
    assert best["speed"].variant == "e2b"
    assert best["balanced"].variant == "26b"
    assert best["quality"].quality >= best["balanced"].quality
    assert best["speed"].speed.tokens_per_second > best["balanced"].speed.tokens_per_second


def first(criteria: Criteria) -> Choice:
    return rank(CATALOG, LAPTOP, criteria).choices[0]


def test_speed_ranks_by_speed_above_a_floor_of_quality() -> None:
    found = rank(CATALOG, cpu_machine(60, 64), Criteria(prefer="speed")).choices
    variants = found[:5]
    rates = [choice.speed.tokens_per_second for choice in variants]
    assert rates == sorted(rates, reverse=True)
    fast = [choice for choice in found if choice.variant == "26b"]
    below = [choice for choice in fast if choice.below_floor]
    assert {choice.quantization for choice in below} == {
        "UD-IQ2_XXS", "UD-Q2_K_XL", "UD-Q3_K_XL"
    }  # fmt: skip
    assert fast[-len(below) :] == below
    assert any("points of quality" in reason for reason in choice_reasons(below[0]))


def test_a_smaller_and_faster_choice_is_named_where_there_is_one() -> None:
    found = rank(CATALOG, LAPTOP)
    assert found.faster is not None
    assert found.faster in found.choices
    assert found.faster.size_bytes < found.choices[0].size_bytes
    rates = [c.speed.tokens_per_second for c in (found.choices[0], found.faster)]
    assert rates[1] >= 1.25 * rates[0]
    assert rank(CATALOG, LAPTOP, Criteria(prefer="speed")).faster is None


def test_each_candidate_is_placed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    placing = Mock(wraps=placement.place)
    monkeypatch.setattr("setup_manager.fit.load.place", placing)
    rank(CATALOG, LAPTOP)
    assert placing.call_count == sum(len(CATALOG.weights(key)) for key in CATALOG.variants)


def test_a_small_laptop_gets_a_small_model() -> None:
    found = rank(CATALOG, cpu_machine(3.0, 6.5, cores=4, features=frozenset({"avx2"})))
    assert found.choices[0].variant == "e2b"
    assert all(choice.variant != "26b" for choice in found.choices)


def test_a_container_limit_counts_and_not_the_host() -> None:
    found = rank(CATALOG, cpu_machine(3.8, 64, limit_gib=4.0))
    assert found.headroom_bytes == GIB // 4
    assert {choice.variant for choice in found.choices} <= {"e2b", "e4b"}


def test_a_smaller_context_is_named_where_it_makes_a_model_fit() -> None:
    request = Criteria(Settings(131072), context_given=True)
    found = rank(CATALOG, cpu_machine(25, 32), request)
    said = [reason for choice in found.rejected for reason in choice_reasons(choice)]
    assert any("fits with --context" in reason for reason in said)
    assert any("--kv-type q8_0" in reason for reason in said)


def remedied(reason: str, settings: Settings) -> Settings:
    words = reason.split()
    if "--context" in words:
        settings = replace(settings, context=int(words[words.index("--context") + 1]))
    if "--kv-type" in words:
        kind: CacheType = "q8_0"
        assert words[words.index("--kv-type") + 1] == kind
        settings = settings.stored_as(kind)
    return settings


def test_what_is_named_as_a_remedy_really_fits() -> None:
    request = Criteria(Settings(65536), context_given=True)
    checked = set()
    for available in (4.2, 9.0, 11.0, 17.5, 20.5, 24.0):
        machine = cpu_machine(available, 32)
        for choice in rank(CATALOG, machine, request).rejected:
            reason = next((r for r in choice_reasons(choice) if r.startswith("fits with --")), None)
            if reason is None:
                continue
            changed = replace(request, settings=remedied(reason, request.settings))
            assert changed != request
            models = [c.model for c in rank(CATALOG, machine, changed).choices]
            assert choice.model in models
            checked.add(reason)
    assert len(checked) >= 2


def test_nothing_fits_names_the_nearest_miss_and_what_to_close() -> None:
    users = (MemoryUser("firefox", 3 * GIB, 12),)
    machine = cpu_machine(1.0, 8, users=users)
    found = rank(CATALOG, machine)
    assert not found.choices
    error = nothing_fits(found, machine)
    assert error.exit_code == 11
    assert "e2b" in error.context[0]
    assert "short" in error.context[0]
    assert "firefox" in error.hint


def test_tasks_shift_the_order() -> None:
    machine = cpu_machine(60, 64)
    chat = rank(CATALOG, machine, Criteria(task="chat")).choices
    coding = rank(CATALOG, machine, Criteria(task="coding")).choices
    by_variant = {c.variant: c.quality for c in coding}
    assert by_variant["e4b"] < {c.variant: c.quality for c in chat}["e4b"]
    documents = rank(CATALOG, machine, Criteria(task="long documents")).choices
    assert documents[0].settings.context >= 65536


def test_a_context_that_is_asked_for_is_kept() -> None:
    request = Criteria(Settings(12345), context_given=True)
    found = rank(CATALOG, cpu_machine(40, 64), request)
    assert {choice.settings.context for choice in found.choices} == {12345}


def test_a_context_beyond_a_variant_leaves_the_variant_out() -> None:
    request = Criteria(Settings(200_000), context_given=True)
    found = rank(CATALOG, cpu_machine(60, 64), request)
    assert {choice.variant for choice in found.choices} <= {"12b", "26b", "31b"}
    small = next(choice for choice in found.rejected if choice.variant == "e2b")
    assert choice_reasons(small)[0] == "its longest context is 131,072 tokens"


def test_pictures_count_the_projector() -> None:
    found = rank(CATALOG, cpu_machine(40, 64), Criteria(task="vision"))
    assert all(choice.memory.projector_bytes > 0 for choice in found.choices)


def test_a_headroom_that_is_asked_for_is_kept() -> None:
    machine = cpu_machine(20, 24)
    found = rank(CATALOG, machine, Criteria(headroom_bytes=12 * GIB))
    for choice in found.choices:
        if choice.verdict == "fits":
            assert choice.memory.needed_bytes <= 8 * GIB
    with pytest.raises(UsageError):
        rank(CATALOG, machine, Criteria(headroom_bytes=-1))


def test_an_impossible_context_is_a_usage_error() -> None:
    for context in (0, -5, 1_000_000):
        with pytest.raises(UsageError):
            rank(CATALOG, cpu_machine(), Criteria(Settings(context), context_given=True))


def test_download_time_is_given_when_the_rate_is_known() -> None:
    request = Criteria(download_bytes_per_second=10e6)
    choice = rank(CATALOG, cpu_machine(), request).choices[0]
    assert choice.download_seconds == pytest.approx(choice.size_bytes / 10e6)
    assert any("downloads in about" in reason for reason in choice_reasons(choice))
    assert rank(CATALOG, cpu_machine()).choices[0].download_seconds is None


def test_the_document_has_the_contracts_fields() -> None:
    document = recommendation_document(rank(CATALOG, cpu_machine()))
    fields = {
        "model", "quantization", "repo", "file", "size_bytes", "context", "memory", "speed",
        "verdict", "reasons",
    }  # fmt: skip
    for choice in [*document["choices"], *document["rejected"]]:
        assert fields <= set(choice)
        assert set(choice["memory"]["by_place"]) == {"ram_bytes", "vram_bytes"}
        assert choice["speed"]["low"] <= choice["speed"]["tokens_per_second"]
        assert choice["verdict"] in ("fits", "tight", "no")


def test_memory_that_the_bios_gave_an_integrated_gpu_is_a_card() -> None:
    gpu = Gpu(
        Vendor.AMD, "Radeon 8060S", 96 * GIB, 95 * GIB, unified=False, driver="", source="test",
        bandwidth_bytes_per_second=256e9, integrated=True, carve_out_bytes=96 * GIB,
    )  # fmt: skip
    machine = cpu_machine(24, 32, gpus=(gpu,))
    best = rank(CATALOG, machine, Criteria(prefer="quality")).choices[0]
    assert best.variant == "31b"
    assert best.memory.by_place.vram_bytes > 17 * GIB


def test_the_screens_share_of_an_integrated_gpu_is_none() -> None:
    gpu = Gpu(
        Vendor.AMD, "Radeon Vega", 2 * GIB, 2 * GIB, unified=False, driver="", source="test",
        integrated=True, carve_out_bytes=2 * GIB,
    )  # fmt: skip
    best = rank(CATALOG, cpu_machine(24, 32, gpus=(gpu,))).choices[0]
    assert best.memory.by_place.vram_bytes == 0


def test_variants_that_do_not_run_at_all_are_the_first_that_are_rejected() -> None:
    found = rank(CATALOG, cpu_machine(9, 16))
    running = {choice.variant for choice in found.choices}
    order = [choice.variant in running for choice in found.rejected]
    nowhere = len({choice.variant for choice in found.rejected} - running)
    assert nowhere >= 2
    assert order[:nowhere] == [False] * nowhere


def test_of_two_alike_the_pinned_one_is_taken() -> None:
    found = rank(CATALOG, cpu_machine(9, 16), Criteria(prefer="balanced"))
    best = {c.variant: c for c in reversed(found.choices)}
    pinned = {(f.repository, f.path) for f in CATALOG.files if f.pinned}
    assert (best["e4b"].repo, best["e4b"].file) in pinned
    assert (best["12b"].repo, best["12b"].file) in pinned


def test_a_variant_with_a_short_context_gets_what_it_has() -> None:
    variant = CATALOG.variants["e2b"]
    short = replace(variant, architecture=replace(variant.architecture, context_length=2048))
    catalog = replace(CATALOG, variants={"e2b": short})
    best = rank(catalog, cpu_machine()).choices[0]
    assert best.settings.context == 2048
