"""Speed: machines that were left out, and what must hold on all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from scripts import fit_speed
from setup_manager.catalog.load import load_catalog
from setup_manager.fit.load import Load
from setup_manager.fit.results import Limit
from setup_manager.fit.settings import CacheType, KvType, Settings
from setup_manager.fit.speed import Measurement, ceiling, gpu_family, speed_of
from setup_manager.fit.speed_constants import FITTED
from setup_manager.fit.weights import Weights, estimated_weights, read_bytes_per_token
from setup_manager.machine.facts import Basis, Machine, Power
from setup_manager.rehearsal.model import catalog_path

from .machines import card, cpu_machine, mac

VARIANTS = load_catalog().variants
E4B = VARIANTS["e4b"].architecture
WEIGHTS = estimated_weights(E4B, "QAT-Q4_0")
MACHINES = (
    cpu_machine(cores=2, bandwidth=32.8e9),
    cpu_machine(30, 32, gpus=(card(),)),
    cpu_machine(30, 32, gpus=(card(total_gib=6, bandwidth=288e9),)),
    mac(),
)


@pytest.fixture(scope="module")
def rows() -> list[fit_speed.Row]:
    return fit_speed.load_rows()


def test_machines_that_were_left_out_are_predicted_within_the_targets(
    rows: list[fit_speed.Row],
) -> None:
    held = fit_speed.leave_one_out(rows)
    assert len(held) == 14
    for ranges in (held, fit_speed.pooled(held)):
        score = fit_speed.score(ranges)
        assert score.median_error <= 0.20
        assert score.inside >= 0.85
        assert score.median_range <= 2.5
    assert fit_speed.score(held).median_error_of_machines <= 0.25


def test_the_table_is_what_the_rows_give(rows: list[fit_speed.Row]) -> None:
    fitted = fit_speed.fit(rows)
    for family in ("nvidia", "nvidia-old", "nvidia-unified", "apple"):
        assert fitted.gpu[family].efficiency == pytest.approx(
            FITTED.gpu[family].efficiency, rel=0.02
        )
        assert fitted.gpu[family].layer_seconds == pytest.approx(
            FITTED.gpu[family].layer_seconds, rel=0.02
        )
    for name in ("cache_efficiency", "expert_layer_factor", "weights_per_product"):
        assert getattr(fitted, name) == pytest.approx(getattr(FITTED, name), rel=0.02)


@given(
    variant=st.sampled_from(sorted(VARIANTS)),
    machine=st.sampled_from(MACHINES),
    depth=st.integers(0, 131072),
    kind=st.sampled_from(["f16", "q8_0", "q4_0"]),
)
@hypothesis_settings(deadline=None, max_examples=100)
def test_the_range_holds_the_centre_and_stays_below_what_bandwidth_allows(
    variant: str, machine: Machine, depth: int, kind: CacheType
) -> None:
    architecture = VARIANTS[variant].architecture
    weights = estimated_weights(architecture, "QAT-Q4_0")
    settings = Settings(131072, KvType(kind, kind))
    found = speed_of(Load(architecture, weights, settings, machine), depth=depth)
    assert 0 < found.low < found.tokens_per_second < found.high
    assert found.tokens_per_second < ceiling(Load(architecture, weights, settings, machine))
    assert found.limited_by
    assert found.basis in {basis.value for basis in Basis}


@given(st.sampled_from(MACHINES), st.integers(0, 100_000), st.integers(0, 30_000))
@hypothesis_settings(deadline=None, max_examples=60)
def test_a_deeper_context_is_never_faster(machine: Machine, depth: int, more: int) -> None:
    settings = Settings(131072)
    shallow = speed_of(Load(E4B, WEIGHTS, settings, machine), depth=depth)
    deep = speed_of(Load(E4B, WEIGHTS, settings, machine), depth=depth + more)
    assert deep.tokens_per_second <= shallow.tokens_per_second


def test_few_cores_are_bound_by_arithmetic_and_many_by_bandwidth() -> None:
    few = speed_of(Load(E4B, WEIGHTS, Settings(), cpu_machine(cores=2, bandwidth=32.8e9)))
    many = speed_of(Load(E4B, WEIGHTS, Settings(), cpu_machine(cores=16, bandwidth=32.8e9)))
    assert few.limited_by == "arithmetic"
    assert many.limited_by == "memory bandwidth"
    assert many.tokens_per_second > few.tokens_per_second


def test_a_containers_share_of_the_cpu_counts() -> None:
    whole = cpu_machine(cores=8, bandwidth=200e9)
    half = replace(whole, cpu=replace(whole.cpu, usable_cores=1.5))
    assert (
        speed_of(Load(E4B, WEIGHTS, Settings(), half)).tokens_per_second
        < 0.4 * speed_of(Load(E4B, WEIGHTS, Settings(), whole)).tokens_per_second
    )


def test_the_mixture_is_faster_than_a_dense_model_of_half_its_size() -> None:
    machine = cpu_machine()
    mixture, dense = VARIANTS["26b"].architecture, VARIANTS["12b"].architecture
    fast = speed_of(Load(mixture, estimated_weights(mixture, "QAT-Q4_0"), Settings(), machine))
    slow = speed_of(Load(dense, estimated_weights(dense, "QAT-Q4_0"), Settings(), machine))
    assert fast.tokens_per_second > 2 * slow.tokens_per_second


def test_layers_left_to_the_cpu_slow_a_card_down_and_widen_the_range() -> None:
    architecture = VARIANTS["12b"].architecture
    weights = estimated_weights(architecture, "QAT-Q4_0")
    whole = speed_of(Load(architecture, weights, Settings(), cpu_machine(gpus=(card(),))))
    split = speed_of(
        Load(
            architecture, weights, Settings(), cpu_machine(gpus=(card(total_gib=24, free_gib=5.0),))
        )
    )
    assert split.tokens_per_second < whole.tokens_per_second / 2
    assert split.high / split.low > whole.high / whole.low


@pytest.mark.parametrize(
    ("power", "factor"),
    [(Power(on_battery=True, mode="power-saver"), 3.8), (Power(on_battery=True), 3.8)],
)
def test_battery_lowers_the_range_by_what_was_published(power: Power, factor: float) -> None:
    plugged = speed_of(Load(E4B, WEIGHTS, Settings(), cpu_machine()))
    found = speed_of(Load(E4B, WEIGHTS, Settings(), cpu_machine(power=power)))
    assert found.tokens_per_second < plugged.tokens_per_second
    assert found.low <= plugged.tokens_per_second / factor + 1e-9


def test_a_guessed_bandwidth_gives_a_wider_range() -> None:
    known = speed_of(Load(E4B, WEIGHTS, Settings(), cpu_machine(cores=16)))
    guessed = speed_of(Load(E4B, WEIGHTS, Settings(), cpu_machine(cores=16, basis=Basis.GUESS)))
    assert guessed.high / guessed.low > known.high / known.low
    assert guessed.basis == "guess"
    unknown = speed_of(Load(E4B, WEIGHTS, Settings(), cpu_machine(gpus=(card(bandwidth=None),))))
    assert unknown.basis == "guess"


def test_a_measurement_moves_and_narrows_the_next_prediction() -> None:
    load = Load(E4B, WEIGHTS, Settings(), cpu_machine(cores=2, bandwidth=32.8e9))
    before = speed_of(load)
    kept = measured(8.0, "arithmetic")
    after = speed_of(load, measurements=[kept])
    assert after.tokens_per_second == pytest.approx(before.tokens_per_second * 0.8)
    assert after.high / after.low < before.high / before.low
    assert after.basis == "measured here"


@pytest.mark.parametrize(
    ("speed", "limited_by"),
    # Of another device; of a toy model; of a deep context; by a version that did not say.
    [(900.0, "memory bandwidth"), (6.0, "latency"), (6.0, "context depth"), (6.0, "")],
)
def test_a_measurement_of_something_else_is_left_out(
    speed: float, limited_by: Limit | Literal[""]
) -> None:
    load = Load(E4B, WEIGHTS, Settings(), cpu_machine(cores=2, bandwidth=32.8e9))
    other = measured(speed, limited_by)
    assert speed_of(load, measurements=[other]) == speed_of(load)


def measured(speed: float, limited_by: Limit | Literal[""]) -> Measurement:
    return Measurement("e2b:QAT-Q4_0", Settings(), 10.0, speed, limited_by)


def test_the_rehearsal_model_is_bound_by_latency_and_so_narrows_nothing() -> None:
    rehearsal = load_catalog(catalog_path())
    file = rehearsal.files[0]
    architecture = rehearsal.variants[file.variant].architecture
    weights = Weights.of_file(rehearsal, file)
    for machine in MACHINES:
        load = Load(architecture, weights, Settings(1024), machine)
        assert speed_of(load).limited_by == "latency"


@pytest.mark.parametrize("cores", [1, 2, 4, 8, 16])
def test_the_ceiling_is_that_of_what_binds(cores: int) -> None:
    load = Load(E4B, WEIGHTS, Settings(), cpu_machine(cores=cores, bandwidth=32.8e9))
    speed, best = speed_of(load), ceiling(load)
    read = read_bytes_per_token(E4B, WEIGHTS)
    if speed.limited_by == "arithmetic":
        assert speed.high <= best <= 32.8e9 / read
    else:
        assert best == pytest.approx(32.8e9 / read)


def test_old_cards_are_told_by_name() -> None:
    assert gpu_family(card("NVIDIA GeForce GTX 1050 Ti")) == "nvidia-old"
    assert gpu_family(card("NVIDIA GeForce GTX 1660 Ti")) == "nvidia"
    assert gpu_family(card("NVIDIA GeForce RTX 5090")) == "nvidia"


def test_two_memory_nodes_read_more_slowly_than_their_bandwidth_promises() -> None:
    architecture = VARIANTS["31b"].architecture
    weights = estimated_weights(architecture, "Q8_0")
    flat = cpu_machine(120, 256, cores=64, bandwidth=409e9)
    nodes = replace(flat, cpu=replace(flat.cpu, numa_nodes=2))
    found = speed_of(Load(architecture, weights, Settings(), nodes))
    assert found.low < 4.0 < found.high
    assert (
        found.tokens_per_second
        < 0.6 * speed_of(Load(architecture, weights, Settings(), flat)).tokens_per_second
    )


def test_only_the_big_cores_of_a_hybrid_cpu_count() -> None:
    hybrid = cpu_machine(cores=14, bandwidth=400e9)
    hybrid = replace(hybrid, cpu=replace(hybrid.cpu, performance_cores=6))
    alike = cpu_machine(cores=6, bandwidth=400e9)
    assert speed_of(Load(E4B, WEIGHTS, Settings(), hybrid)) == speed_of(
        Load(E4B, WEIGHTS, Settings(), alike)
    )
