import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setup_manager import units


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("500K", 500_000),
        ("5M", 5_000_000),
        ("1.5GiB", 1_610_612_736),
        (" 2 gb ", 2_000_000_000),
        ("1TiB", 1024**4),
    ],
)
def test_sizes_are_read_with_decimal_and_binary_units(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-5", "5 apples", "1e9", "0x10", "5.5.5", "∞", "9" * 40])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        units.parse_size(text)


@pytest.mark.parametrize("text", ["5M", "5MB/s", "5000000", "5 MB/sec"])
def test_rates_may_be_written_with_or_without_per_second(text: str) -> None:
    assert units.parse_rate(text) == 5_000_000


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        units.parse_rate("0")


@given(st.text(max_size=30))
def test_any_text_is_a_size_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert units.parse_size(text) >= 0


@pytest.mark.parametrize(
    ("size", "decimal", "binary"),
    [
        (0, "0 B", "0 B"),
        (999, "999 B", "999 B"),
        (4_215_695_776, "4.2 GB", "3.9 GiB"),
        (17_287_670_048, "17.3 GB", "16.1 GiB"),
        (536_870_912, "537 MB", "512 MiB"),
    ],
)
def test_sizes_are_printed_short(size: int, decimal: str, binary: str) -> None:
    assert units.format_size(size) == decimal
    assert units.format_memory(size) == binary


@given(st.floats(min_value=0, max_value=1e7))
def test_durations_never_print_sixty_seconds_or_minutes(seconds: float) -> None:
    printed = units.format_duration(seconds)
    assert "60 s" not in printed
    assert " 60 min" not in printed


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.26, "0.3 s"), (9.99, "10.0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3725, "1 h 02 min")],
)
def test_durations_are_printed_in_the_two_largest_units(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text
