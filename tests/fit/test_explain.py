"""Explanations: numbers that agree with each other, on a screen that holds them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from setup_manager.app.reasons import explanation_reasons
from setup_manager.catalog.load import load_catalog
from setup_manager.cli.render.explain_text import Screen, explanation_lines
from setup_manager.fit.explanation import Explanation, explain
from setup_manager.fit.load import Load
from setup_manager.fit.settings import Settings
from setup_manager.fit.weights import Weights
from setup_manager.machine.facts import Machine

from .machines import card, cpu_machine, mac

CATALOG = load_catalog()
MACHINES = {
    "cpu": cpu_machine(20, 24, cores=2),
    "card": cpu_machine(26, 32, gpus=(card(total_gib=12, bandwidth=504e9),)),
    "mac": mac(),
}


def explained(variant_key: str, machine: Machine, context: int = 8192) -> Explanation:
    variant = CATALOG.variants[variant_key]
    candidates = [Weights.of_file(CATALOG, file) for file in CATALOG.weights(variant_key)]
    chosen = next(c for c in candidates if c.quantization == variant.default_quantization)
    return explain(
        Load(variant.architecture, chosen, Settings(context), machine),
        model=f"{variant_key}:{chosen.quantization}",
        name=variant.name,
        others=candidates,
    )


@pytest.mark.parametrize("machine", sorted(MACHINES))
@pytest.mark.parametrize("variant", sorted(CATALOG.variants))
def test_the_bar_adds_up_and_the_screen_holds_it(variant: str, machine: str) -> None:
    explanation = explained(variant, MACHINES[machine])
    assert sum(part.size_bytes for part in explanation.parts) == explanation.memory.total_bytes
    lines = explanation_lines(explanation)
    assert len(lines) <= 30
    assert max(len(line) for line in lines) <= 80


def test_longer_contexts_cost_more_and_run_slower() -> None:
    rows = explained("12b", MACHINES["cpu"]).contexts
    assert [row.context for row in rows] == [4096, 8192, 32768, 131072, 262144]
    for shorter, longer in pairwise(rows):
        assert longer.kv_cache_bytes > shorter.kv_cache_bytes
        assert longer.tokens_per_second < shorter.tokens_per_second


def test_the_layer_story_matches_the_architecture() -> None:
    story = explained("e2b", MACHINES["cpu"]).layers
    assert (story.global_layers, story.local_layers, story.sharing_layers) == (3, 12, 20)
    assert story.global_bytes_per_token == 6144


def test_the_ceiling_is_above_the_likely_speed() -> None:
    for variant in CATALOG.variants:
        for machine in MACHINES.values():
            explanation = explained(variant, machine)
            assert explanation.ceiling_tokens_per_second > explanation.speed.tokens_per_second


def test_sentences_are_said_only_where_they_are_true() -> None:
    moe = " ".join(explanation_reasons(explained("26b", MACHINES["cpu"])))
    assert "128 experts" in moe
    assert "per-layer" not in moe
    assert "uses the file in main memory directly" in " ".join(
        explanation_reasons(explained("e4b", MACHINES["mac"]))
    )
    on_card = " ".join(explanation_reasons(explained("e4b", MACHINES["card"])))
    assert "so the card needs" in on_card
    assert "rearranges" not in on_card


def test_what_limits_is_what_the_ceiling_is_named_for() -> None:
    """Two cores are bound by arithmetic: memory bandwidth would allow more than they reach."""
    few = explained("e4b", MACHINES["cpu"])
    said = " ".join(explanation_reasons(few))
    assert few.speed.limited_by == "arithmetic"
    assert "the arithmetic of this CPU allows" in said
    assert "memory bandwidth" not in said
    many = explained("e4b", cpu_machine(20, 24, cores=16, bandwidth=32.8e9))
    assert many.speed.limited_by == "memory bandwidth"
    assert "memory bandwidth allows" in " ".join(explanation_reasons(many))


def test_a_context_that_does_not_fit_has_beside_it_the_longest_that_does() -> None:
    machine = cpu_machine(22, 24)
    found = explained("31b", machine, context=262144)
    assert found.verdict == "no"
    assert 0 < found.longest_context < 262144
    assert explained("31b", machine, found.longest_context).verdict == "fits"
    assert explained("31b", machine, found.longest_context + 1024).verdict != "fits"


def test_plain_screens_get_no_block_characters() -> None:
    explanation = explained("e4b", MACHINES["cpu"])
    lines = explanation_lines(explanation, Screen(unicode=False, verbose=True))
    assert all(line.isascii() for line in lines)


def test_verbose_shows_every_quantization_and_reason() -> None:
    explanation = explained("26b", MACHINES["cpu"])
    short = explanation_lines(explanation)
    long = explanation_lines(explanation, Screen(verbose=True))
    assert len(long) > len(short)
    text = "\n".join(long)
    assert all(row.quantization in text for row in explanation.quantizations)
