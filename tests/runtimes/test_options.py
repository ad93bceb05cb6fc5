from __future__ import annotations

import pytest

from setup_manager.fit.settings import KvType, Settings
from setup_manager.runtimes.options import (
    OPTIONAL_FLAGS,
    StartOptions,
    flag_values,
    known_flag_values,
)
from setup_manager.units import MIB


def test_what_was_computed_is_how_the_model_is_started() -> None:
    settings = Settings(
        context=8192,
        slots=3,
        kv_type=KvType("q8_0", "q4_0"),
        ubatch=256,
        gpu_layers=12,
        prompt_cache_bytes=100 * MIB,
        context_checkpoints=2,
    )
    assert StartOptions.of(settings) == StartOptions(
        context=3 * 8192,
        slots=3,
        key_type="q8_0",
        value_type="q4_0",
        gpu_layers=12,
        ubatch=256,
        cache_ram_mib=100,
        context_checkpoints=2,
    )


def test_slots_that_share_a_cache_share_the_context() -> None:
    assert StartOptions.of(Settings(context=8192, slots=3, unified_kv=True)).context == 8192


@pytest.mark.parametrize(
    ("options", "value"),
    [
        (StartOptions(), None),
        (StartOptions(flash_attention=False), "off"),
        (StartOptions(value_type="q8_0"), "on"),
        (StartOptions(key_type="q8_0"), None),
    ],
)
def test_flash_attention_is_left_to_the_engine_unless_it_matters(
    options: StartOptions, value: str | None
) -> None:
    assert flag_values(options).get("flash-attn") == value


def test_memory_that_no_plan_counted_is_off_by_default() -> None:
    flags = flag_values(StartOptions())
    assert (flags["cache-ram"], flags["ctx-checkpoints"]) == ("0", "1")


def test_only_flags_that_a_server_can_do_without_are_left_out() -> None:
    options = StartOptions(unified_kv=True, gpu_layers=1, threads=1)
    left_out = set(flag_values(options)) - set(known_flag_values(options, {"something"}))
    assert left_out == OPTIONAL_FLAGS
    assert known_flag_values(options) == flag_values(options)
