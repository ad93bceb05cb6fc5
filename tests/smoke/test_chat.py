"""Reading answers: recorded ones, and whatever a server may send instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_manager.net.faults import BadAnswerError
from setup_manager.net.local import LocalClient
from setup_manager.runtimes.chat import Completion, Question, ask_server, half_rates
from setup_manager.runtimes.ollama.served import ask_ollama


class Canned:
    """A client whose server says what it is told to."""

    def __init__(self, events: list[Any]) -> None:
        self.events = events
        self.asked: dict[str, Any] = {}

    def stream(self, path: str, body: dict[str, Any], *, timeout_seconds: float) -> Iterator[Any]:
        self.asked = body
        return iter(self.events)


def ask(events: list[Any], question: Question | None = None) -> Completion:
    client = cast(LocalClient, Canned(events))
    return ask_server(client, "m", question or Question("?"), timeout_seconds=1.0)


def test_thinking_is_off_and_the_temperature_zero() -> None:
    client = Canned([])
    ask_server(cast(LocalClient, client), "m", Question("?", 32), timeout_seconds=1.0)
    assert client.asked["temperature"] == 0
    assert client.asked["max_tokens"] == 32
    assert client.asked["chat_template_kwargs"] == {"enable_thinking": False}


# Events as llama-server b11434 sends them, shortened to the fields that are read.
LLAMA_SERVER = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]},
    {"choices": [{"index": 0, "delta": {"reasoning_content": "Let me see"}}]},
    {"choices": [{"index": 0, "delta": {"content": "Par"}}]},
    {"choices": [{"index": 0, "delta": {"content": "is"}}]},
    {
        "choices": [{"index": 0, "finish_reason": "stop", "delta": {}}],
        "timings": {
            "prompt_n": 21,
            "prompt_per_second": 14.4,
            "predicted_n": 16,
            "predicted_per_second": 3.5,
            "draft_n": 51,
            "draft_n_accepted": 7,
        },
    },
]


def test_an_answer_of_llama_server_is_read_with_its_timings() -> None:
    answer = ask(LLAMA_SERVER)
    assert (answer.text, answer.reasoning) == ("Paris", "Let me see")
    assert (answer.prompt_tokens, answer.tokens) == (21, 16)
    assert (answer.prompt_tokens_per_second, answer.tokens_per_second) == (14.4, 3.5)
    assert (answer.drafted_tokens, answer.accepted_tokens) == (51, 7)


def test_an_answer_of_ollama_is_read_with_its_timings() -> None:
    # The closing message as Ollama 0.33.0-rc2 sent it.
    last = {
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "prompt_eval_count": 18,
        "prompt_eval_duration": 778235000,
        "eval_count": 6,
        "eval_duration": 1411951000,
    }
    events = [{"message": {"content": "Paris"}, "done": False}, last]
    client = cast(LocalClient, Canned(events))
    answer = ask_ollama(client, "m", Question("?"), timeout_seconds=1.0)
    assert answer.text == "Paris"
    assert answer.prompt_tokens_per_second == pytest.approx(18 / 0.778235)
    assert answer.tokens_per_second == pytest.approx(6 / 1.411951)


def test_a_picture_goes_to_ollama_without_its_data_prefix() -> None:
    client = Canned([{"message": {"content": "red"}}])
    question = Question("?", image_url="data:image/png;base64,AAAA")
    ask_ollama(cast(LocalClient, client), "m", question, timeout_seconds=1.0)
    assert client.asked["messages"][0]["images"] == ["AAAA"]


def test_listening_ends_when_the_time_is_used_up() -> None:
    endless = [{"choices": [{"delta": {"content": "x"}}]}] * 1000
    answer = ask(endless, Question("?", budget_seconds=-1.0))
    assert answer.text == "x"


def test_an_error_in_the_stream_is_a_bad_answer() -> None:
    with pytest.raises(BadAnswerError) as caught:
        ask([*LLAMA_SERVER[:2], {"error": {"message": "out of slots"}}])
    assert "out of slots" in caught.value.detail


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "content", "timings", "predicted_n", "message", "eval_count"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(st.lists(JSON, max_size=4))
@settings(deadline=None, max_examples=200)
def test_whatever_comes_is_an_answer_or_a_bad_answer(events: list[Any]) -> None:
    client = cast(LocalClient, Canned(events))
    for way in (ask_server, ask_ollama):
        try:
            answer = way(client, "m", Question("?"), timeout_seconds=1.0)
        except BadAnswerError:
            continue
        assert answer.tokens >= 0
        assert answer.tokens_per_second >= 0


@given(st.lists(st.floats(0.001, 1.0), min_size=8, max_size=60))
@settings(deadline=None, max_examples=100)
def test_halves_are_rates_of_arrival(gaps: list[float]) -> None:
    arrivals = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    first, second = half_rates(arrivals)
    assert first > 0
    assert second > 0
    even = half_rates([0.1 * i for i in range(21)])
    assert even == pytest.approx((10.0, 10.0))
    assert half_rates(arrivals[:7]) == (0.0, 0.0)
