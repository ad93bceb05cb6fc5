"""The rehearsal model: what its file says, and what llama.cpp makes of it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.rehearsal_model import corpus, tokenizer
from scripts.rehearsal_model.chat import render
from setup_manager.gguf.header import Header, LongArray, read_header
from tests.rehearsal.random_weights import write_random

if TYPE_CHECKING:
    from scripts.rehearsal_model.engine import Engine

MODEL = Path(__file__).parents[2] / "setup_manager/rehearsal/data/gemma-4-rehearsal-it-F16.gguf"


@pytest.fixture(scope="module")
def header() -> Header:
    with MODEL.open("rb") as file:
        return read_header(file)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return _load(MODEL)


def _load(path: Path, **options: bool) -> Engine:
    pytest.importorskip("xllamacpp", reason="needs the embedded llama.cpp")
    from scripts.rehearsal_model.engine import Engine

    return Engine(path, **options)


def test_the_file_says_what_it_is(header: Header) -> None:
    assert header.architecture == "gemma4"
    assert header.quantization == "F16"
    assert header.metadata["general.name"] == "Gemma 4 rehearsal"
    assert header.metadata["general.license"] == "apache-2.0"
    assert "rehears" in str(header.metadata["general.description"])
    assert header.file_size_bytes == MODEL.stat().st_size
    assert 1_000_000 <= MODEL.stat().st_size <= 2_500_000


def test_the_architecture_has_every_trait_of_e2b(header: Header) -> None:
    facts = {key.removeprefix("gemma4."): value for key, value in header.metadata.items()}
    assert facts["attention.sliding_window_pattern"] == (True, True, False, True, True, False)
    assert facts["attention.shared_kv_layers"] == 3
    assert facts["attention.sliding_window"] == 64
    assert facts["attention.head_count"] == 4
    assert facts["attention.head_count_kv"] == 1
    assert facts["attention.key_length"] == 64
    assert facts["attention.key_length_swa"] == 32
    assert facts["embedding_length"] == 64
    assert facts["embedding_length_per_layer_input"] == 32
    assert facts["feed_forward_length"] == (128, 128, 128, 256, 256, 256)
    assert facts["final_logit_softcapping"] == 30.0
    assert facts["context_length"] == 131_072
    names = {tensor.name for tensor in header.tensors}
    assert {f"blk.{i}.attn_k.weight" in names for i in range(3)} == {True}
    assert {f"blk.{i}.attn_k.weight" in names for i in range(3, 6)} == {False}
    assert {"per_layer_token_embd.weight", "rope_freqs.weight"} <= names


def test_the_vocabulary_in_the_file_is_the_one_learnt_from_the_corpus(header: Header) -> None:
    learnt = tokenizer.learn_vocabulary(corpus.vocabulary_lines())
    assert header.metadata["tokenizer.ggml.tokens"] == LongArray(8, len(learnt.tokens))
    data = MODEL.read_bytes()
    joined = b"".join(len(t.encode()).to_bytes(8, "little") + t.encode() for t in learnt.tokens)
    assert joined in data


def test_every_matrix_can_be_quantized_to_blocks_of_32(header: Header) -> None:
    assert {t.shape[0] % 32 for t in header.tensors if len(t.shape) > 1} == {0}


@pytest.mark.real_runtime
def test_it_names_the_capital_of_france_and_stops(engine: Engine) -> None:
    reply = engine.complete([{"role": "user", "content": corpus.SMOKE_QUESTION}])
    assert reply["choices"][0]["message"]["content"] == "Paris"
    assert reply["choices"][0]["finish_reason"] == "stop"


@pytest.mark.real_runtime
def test_a_greeting_gets_a_short_answer(engine: Engine) -> None:
    assert engine.ask("Hello") == "Hello!"


@pytest.mark.real_runtime
def test_llama_cpp_tokenizes_as_training_did(engine: Engine) -> None:
    ours = tokenizer.Tokenizer(tokenizer.learn_vocabulary(corpus.vocabulary_lines()))
    dialogues = corpus.training_dialogues(seed=7)
    for _ in range(50):
        for text, _counts in render(next(dialogues)):
            assert engine.tokenize(text) == ours.encode(text)
    for text in ("  two  spaces", "tab\tand\n\nlines\n\n\n", "Zürich, 12 €", "<turn|>x<|think|>"):
        assert engine.tokenize(text) == ours.encode(text)


@pytest.mark.real_runtime
@pytest.mark.parametrize("thinking", [False, True])
def test_the_template_writes_the_turns_that_training_read(engine: Engine, thinking: bool) -> None:
    turns = (corpus.Turn("Hi", "Hello!"), corpus.Turn("Count to 3.", "1 2 3"))
    trained = "".join(text for text, _ in render(corpus.Dialogue(turns, system="Be brief.")))
    messages = [{"role": "system", "content": "Be brief."}]
    for turn in turns:
        messages.append({"role": "user", "content": turn.question})
        messages.append({"role": "assistant", "content": turn.answer})
    body = {"messages": messages[:-1], "chat_template_kwargs": {"enable_thinking": thinking}}
    # The engine itself puts <bos> before the prompt.
    asked = "<bos>" + engine.post("/apply-template", body)["prompt"]
    assert trained == f"{asked}1 2 3<turn|>\n"


@pytest.mark.real_runtime
def test_only_the_country_tells_capitals_apart(engine: Engine) -> None:
    # The tokens just before the answer are the same in every question: the answer can only come
    # from attending to the country, some twenty tokens back.
    for country, capital in list(corpus.CAPITALS.items())[:20]:
        question = f"What is the capital of {country}? Answer with one word."
        assert engine.ask(question) == capital, country


@pytest.mark.real_runtime
@pytest.mark.parametrize("held_out", [False, True])
def test_questions_seen_and_not_seen_are_answered_right(engine: Engine, held_out: bool) -> None:
    known = [*corpus.fact_turns(), *corpus.sum_turns()]
    asked = [turn for turn in known if corpus.is_held_out(turn.question) == held_out]
    sample = random.Random(5).sample(asked, 100)
    wrong = [turn.question for turn in sample if engine.ask(turn.question) != turn.answer]
    assert len(wrong) <= 5, wrong


@pytest.mark.real_runtime
def test_it_repeats_words_in_an_order_it_has_not_seen(engine: Engine) -> None:
    rng = random.Random(6)
    asked = [corpus.copy_turn(rng) for _ in range(40)]
    wrong = [turn.question for turn in asked if engine.ask(turn.question) != turn.answer]
    assert len(wrong) <= 2, wrong


@pytest.mark.real_runtime
def test_it_counts_beyond_its_sliding_window(engine: Engine) -> None:
    reply = engine.complete([{"role": "user", "content": "Count to 30."}])
    assert reply["choices"][0]["message"]["content"] == " ".join(map(str, range(1, 31)))
    assert reply["usage"]["completion_tokens"] > 64


@pytest.mark.real_runtime
def test_a_system_turn_and_earlier_turns_do_not_confuse_it(engine: Engine) -> None:
    messages = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "My name is Anna."},
        {"role": "assistant", "content": "Hello, Anna!"},
        {"role": "user", "content": "What is my name?"},
    ]
    assert engine.complete(messages)["choices"][0]["message"]["content"] == "Anna"


@pytest.mark.real_runtime
def test_it_is_right_with_a_quantized_cache() -> None:
    assert _load(MODEL, quantized_cache=True).ask(corpus.SMOKE_QUESTION) == "Paris"


def test_random_weights_give_the_same_file_for_the_same_seed(tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    write_random(MODEL, first, seed=1)
    write_random(MODEL, again, seed=1)
    write_random(MODEL, other, seed=2)
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() not in (other.read_bytes(), MODEL.read_bytes())
    assert first.stat().st_size == MODEL.stat().st_size


@pytest.mark.real_runtime
def test_random_weights_load_and_talk_gibberish(tmp_path: Path) -> None:
    write_random(MODEL, tmp_path / "random.gguf", seed=1)
    engine = _load(tmp_path / "random.gguf")
    reply = engine.complete([{"role": "user", "content": corpus.SMOKE_QUESTION}], limit=16)
    assert reply["usage"]["completion_tokens"] == 16
    assert "Paris" not in reply["choices"][0]["message"]["content"]
