from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.smoke.judge import EXPECTED, judge


@pytest.mark.parametrize("text", ["Paris", "paris.", " **Paris**\n", "It is Paris, of course."])
def test_a_right_answer_passes_in_any_dress(text: str) -> None:
    verdict = judge(text)
    assert verdict.passed
    assert "Paris" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("text", "reasoning", "word"),
    [
        ("", "", "empty"),
        ("  \n", "The user asks for Paris", "is in it"),
        ("", "Let me think about cheese", "is not in it either"),
        ("<unused49><unused49><unused49>", "", "26088"),
        ("Paris<unused49>", "", "26239"),
        ("<unused24><unused24>", "", "chat template"),
        ("<pad><pad><pad>", "", "Padding"),
        ("Paris<turn|>\n<|turn>user", "", "turn tags"),
        ("Paris<end_of_turn>", "", "turn tags"),
        ("Paris Paris Paris Paris Paris Paris Paris Paris Paris ", "", "over and over"),
        ("Paris aaaaaaaaaaaaaaaa", "", "over and over"),
        ("London", "", "got 'London'"),
        ("Parisian style", "", "wrong"),
        ("\x15\x15\x15\x15", "", "no text"),
        ("Paris \ufffd\ufffd", "", "no text"),
    ],
)
def test_each_known_failure_is_named(text: str, reasoning: str, word: str) -> None:
    verdict = judge(text, reasoning)
    assert not verdict.passed
    assert any(word in reason for reason in verdict.reasons), verdict.reasons


def test_another_expectation_can_be_given() -> None:
    assert judge("A red square", expected="red").passed
    assert not judge("A blue square", expected="red").passed


@given(st.text(max_size=300), st.text(max_size=50))
@settings(deadline=None, max_examples=150)
def test_any_text_gets_a_verdict_with_reasons_and_only_the_expected_passes(
    text: str, reasoning: str
) -> None:
    verdict = judge(text, reasoning)
    assert verdict.reasons
    assert not verdict.passed or EXPECTED.lower() in text.lower()
