"""Recommendations: properties, and cases a person would check."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from setup_manager.catalog.load import load_catalog
from setup_manager.errors import InsufficientMemoryError, UsageError
from setup_manager.fit.document import recommendation_document
from setup_manager.fit.quality import Task
from setup_manager.fit.recommend import Recommendation, Request, rank_choices
from setup_manager.fit.results import Verdict
from setup_manager.fit.settings import KvType, Preference, Settings
from setup_manager.machine.facts import Gpu, Machine, MemoryUser, Vendor
from setup_manager.units import GIB

from .machines import card, cpu_machine, mac

CATALOG = load_catalog()


def ranked(machine: Machine, request: Request) -> Recommendation | None:
    try:
        return rank_choices(CATALOG, machine, request)
    except InsufficientMemoryError:
        return None


@given(
    available=st.floats(1, 60),
    more=st.floats(0, 40),
    vram=st.one_of(st.none(), st.floats(1, 30)),
    preference=st.sampled_from(list(Preference)),
)
@hypothesis_settings(deadline=None, max_examples=15)
def test_more_memory_never_makes_a_recommendation_worse(
    available: float, more: float, vram: float | None, preference: Preference
) -> None:
    def machine(extra: float) -> Machine:
        cards = () if vram is None else (card(total_gib=48, free_gib=vram + extra),)
        return cpu_machine(available + extra, 128, gpus=cards)

    before, after = (ranked(machine(x), Request(preference=preference)) for x in (0.0, more))
    if before is None:
        return
    assert after is not None
    first, second = before.choices[0], after.choices[0]
    order = [Verdict.TIGHT, Verdict.FITS]
    assert order.index(second.verdict) >= order.index(first.verdict)
    if second.verdict is first.verdict:
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
    request = Request(Settings(context or 8192), context_given=context is not None)
    found = ranked(machine, request)
    if found is None:
        return
    for choice in found.choices:
        assert choice.memory.needed_bytes <= machine.memory.available_bytes
        for device in choice.memory.devices:
            assert device.used_bytes <= device.free_bytes
        if choice.verdict is Verdict.FITS:
            left = machine.memory.available_bytes - choice.memory.needed_bytes
            assert left >= found.headroom_bytes
    for choice in found.rejected:
        assert choice.shortfall_bytes > 0 or choice.settings.context < request.settings.context
        assert len(choice.reasons) >= 2


def test_the_first_choices_are_the_best_of_each_variant() -> None:
    found = rank_choices(CATALOG, cpu_machine(40, 64))
    variants = [choice.variant for choice in found.choices[:5]]
    assert len(set(variants)) == 5


def test_quality_prefers_the_better_model_and_speed_the_faster() -> None:
    machine = mac(64, 48)
    best = rank_choices(CATALOG, machine, Request(preference=Preference.QUALITY)).choices[0]
    fastest = rank_choices(CATALOG, machine, Request(preference=Preference.SPEED)).choices[0]
    assert best.variant == "31b"
    assert fastest.speed.tokens_per_second > best.speed.tokens_per_second


def test_a_small_laptop_gets_a_small_model() -> None:
    found = rank_choices(CATALOG, cpu_machine(3.0, 6.5, cores=4, features=frozenset({"avx2"})))
    assert found.choices[0].variant == "e2b"
    assert all(choice.variant != "26b" for choice in found.choices)


def test_a_container_limit_counts_and_not_the_host() -> None:
    found = rank_choices(CATALOG, cpu_machine(3.8, 64, limit_gib=4.0))
    assert found.headroom_bytes == GIB // 4
    assert {choice.variant for choice in found.choices} <= {"e2b", "e4b"}


def test_a_smaller_context_is_named_where_it_makes_a_model_fit() -> None:
    request = Request(Settings(131072), context_given=True)
    found = rank_choices(CATALOG, cpu_machine(25, 32), request)
    said = [reason for choice in found.rejected for reason in choice.reasons]
    assert any("fits with --context" in reason for reason in said)
    assert any("--kv-type q8_0" in reason for reason in said)


def remedied(reason: str, settings: Settings) -> Settings:
    words = reason.split()
    if "--context" in words:
        settings = replace(settings, context=int(words[words.index("--context") + 1]))
    if "--kv-type" in words:
        kind = KvType(words[words.index("--kv-type") + 1])
        settings = replace(settings, key_type=kind, value_type=kind)
    return settings


def test_what_is_named_as_a_remedy_really_fits() -> None:
    request = Request(Settings(65536), context_given=True)
    checked = set()
    for available in (4.2, 9.0, 11.0, 17.5, 20.5, 24.0):
        machine = cpu_machine(available, 32)
        for choice in rank_choices(CATALOG, machine, request).rejected:
            reason = next((r for r in choice.reasons if r.startswith("fits with --")), None)
            if reason is None:
                continue
            changed = replace(request, settings=remedied(reason, request.settings))
            assert changed != request
            models = [c.model for c in rank_choices(CATALOG, machine, changed).choices]
            assert choice.model in models
            checked.add(reason)
    assert len(checked) >= 2


def test_nothing_fits_names_the_nearest_miss_and_what_to_close() -> None:
    users = (MemoryUser("firefox", 3 * GIB, 12),)
    with pytest.raises(InsufficientMemoryError) as caught:
        rank_choices(CATALOG, cpu_machine(1.0, 8, users=users))
    error = caught.value
    assert error.exit_code == 11
    assert "e2b" in error.context[0]
    assert "short" in error.context[0]
    assert "firefox" in error.hint


def test_tasks_shift_the_order() -> None:
    machine = cpu_machine(60, 64)
    chat = rank_choices(CATALOG, machine, Request(task=Task.CHAT)).choices
    coding = rank_choices(CATALOG, machine, Request(task=Task.CODING)).choices
    by_variant = {c.variant: c.quality for c in coding}
    assert by_variant["e4b"] < {c.variant: c.quality for c in chat}["e4b"]
    documents = rank_choices(CATALOG, machine, Request(task=Task.LONG_DOCUMENTS)).choices
    assert documents[0].settings.context >= 65536


def test_a_context_that_is_asked_for_is_kept() -> None:
    request = Request(Settings(12345), context_given=True)
    found = rank_choices(CATALOG, cpu_machine(40, 64), request)
    assert {choice.settings.context for choice in found.choices} == {12345}


def test_a_context_beyond_a_variant_leaves_the_variant_out() -> None:
    request = Request(Settings(200_000), context_given=True)
    found = rank_choices(CATALOG, cpu_machine(60, 64), request)
    assert {choice.variant for choice in found.choices} <= {"12b", "26b", "31b"}
    small = next(choice for choice in found.rejected if choice.variant == "e2b")
    assert small.reasons[0] == "its longest context is 131,072 tokens"


def test_pictures_count_the_projector() -> None:
    found = rank_choices(CATALOG, cpu_machine(40, 64), Request(task=Task.VISION))
    assert all(choice.memory.projector_bytes > 0 for choice in found.choices)


def test_a_headroom_that_is_asked_for_is_kept() -> None:
    machine = cpu_machine(20, 24)
    found = rank_choices(CATALOG, machine, Request(headroom_bytes=12 * GIB))
    for choice in found.choices:
        if choice.verdict is Verdict.FITS:
            assert choice.memory.needed_bytes <= 8 * GIB
    with pytest.raises(UsageError):
        rank_choices(CATALOG, machine, Request(headroom_bytes=-1))


def test_an_impossible_context_is_a_usage_error() -> None:
    for context in (0, -5, 1_000_000):
        with pytest.raises(UsageError):
            rank_choices(CATALOG, cpu_machine(), Request(Settings(context), context_given=True))


def test_download_time_is_given_when_the_rate_is_known() -> None:
    request = Request(download_bytes_per_second=10e6)
    choice = rank_choices(CATALOG, cpu_machine(), request).choices[0]
    assert choice.download_seconds == pytest.approx(choice.size_bytes / 10e6)
    assert any("fetched in about" in reason for reason in choice.reasons)
    assert rank_choices(CATALOG, cpu_machine()).choices[0].download_seconds is None


def test_the_document_has_the_contracts_fields() -> None:
    document = recommendation_document(rank_choices(CATALOG, cpu_machine()))
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
    best = rank_choices(CATALOG, machine, Request(preference=Preference.QUALITY)).choices[0]
    assert best.variant == "31b"
    assert best.memory.vram_bytes > 17 * GIB


def test_the_screens_share_of_an_integrated_gpu_is_none() -> None:
    gpu = Gpu(
        Vendor.AMD, "Radeon Vega", 2 * GIB, 2 * GIB, unified=False, driver="", source="test",
        integrated=True, carve_out_bytes=2 * GIB,
    )  # fmt: skip
    best = rank_choices(CATALOG, cpu_machine(24, 32, gpus=(gpu,))).choices[0]
    assert best.memory.vram_bytes == 0


def test_variants_that_do_not_run_at_all_are_the_first_that_are_rejected() -> None:
    found = rank_choices(CATALOG, cpu_machine(9, 16))
    running = {choice.variant for choice in found.choices}
    order = [choice.variant in running for choice in found.rejected]
    nowhere = len({choice.variant for choice in found.rejected} - running)
    assert nowhere >= 2
    assert order[:nowhere] == [False] * nowhere


def test_of_two_alike_the_pinned_one_is_taken() -> None:
    found = rank_choices(CATALOG, cpu_machine(9, 16), Request(preference=Preference.BALANCED))
    best = {c.variant: c for c in reversed(found.choices)}
    pinned = {(f.repository, f.path) for f in CATALOG.files if f.pinned}
    assert (best["e4b"].repository, best["e4b"].path) in pinned
    assert (best["12b"].repository, best["12b"].path) in pinned


def test_a_variant_with_a_short_context_gets_what_it_has() -> None:
    variant = CATALOG.variants["e2b"]
    short = replace(variant, architecture=replace(variant.architecture, context_length=2048))
    catalog = replace(CATALOG, variants={"e2b": short})
    best = rank_choices(catalog, cpu_machine()).choices[0]
    assert best.settings.context == 2048
