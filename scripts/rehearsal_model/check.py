"""Hold the model file against llama.cpp: its tokens, its numbers, its answers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np

from . import corpus
from .chat import render
from .corpus import Dialogue, Turn
from .engine import Engine
from .export import StoredWeights
from .network import Architecture, logits
from .tokenizer import TURN_CLOSE, Tokenizer
from .training import encode

# F16 weights on both sides; what differs is llama.cpp's F16 arithmetic in attention and GELU.
LOGPROB_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Score:
    """How many questions of a kind were answered exactly right."""

    kind: str
    right: int
    asked: int
    wrong: tuple[str, ...]

    @property
    def share(self) -> float:
        """Return the share of right answers."""
        return self.right / self.asked


def disagreeing_texts(engine: Engine, tokenizer: Tokenizer) -> list[str]:
    """Return the texts, of the whole corpus and of random signs, that the two tokenize apart."""
    texts = {text for d in _every_dialogue() for text, _ in render(d)}
    rng = random.Random(1)
    signs = [*"aeinst ERA09.,?\n\té€", "<turn|>", "<|turn>", " the", "\n\n", "Paris"]
    texts |= {"".join(rng.choices(signs, k=rng.randint(1, 30))) for _ in range(300)}
    return [text for text in sorted(texts) if engine.tokenize(text) != tokenizer.encode(text)]


def largest_logprob_gap(
    engine: Engine, arch: Architecture, weights: StoredWeights, tokenizer: Tokenizer
) -> float:
    """Return the largest difference in a logarithm of probability, over all tokens.

    Half of the conversations are asked up to the answer; the other half, most of them longer than
    the sliding window, up to the token that ends them.
    """
    forward = _forward(arch, weights)
    prompts = [_prompt(tokenizer, dialogue) for dialogue in _sample_dialogues(20)]
    long = (encode(tokenizer, dialogue)[0] for dialogue in corpus.long_dialogues(9))
    prompts += [ids[:-2] for ids in islice(long, 20)]
    gap = 0.0
    for ids in prompts:
        ours = jax.nn.log_softmax(forward(ids))
        theirs = engine.next_logprobs(ids, arch.vocabulary)
        gap = max(gap, *(abs(float(ours[i]) - value) for i, value in theirs.items()))
    return gap


def disagreeing_answers(
    engine: Engine, arch: Architecture, weights: StoredWeights, tokenizer: Tokenizer
) -> list[str]:
    """Return the questions on which llama.cpp and the forward pass here answer apart."""
    forward = _forward(arch, weights)
    apart = []
    for dialogue in _sample_dialogues(40):
        (turn,) = dialogue.turns
        ids = _prompt(tokenizer, Dialogue(dialogue.turns))
        start = len(ids)
        while len(ids) < start + 24 and (chosen := int(jnp.argmax(forward(ids)))) != TURN_CLOSE:
            ids.append(chosen)
        if tokenizer.decode(ids[start:]) != engine.ask(turn.question, limit=24):
            apart.append(turn.question)
    return apart


def scores(engine: Engine) -> list[Score]:
    """Ask every question of each kind; the phrasings held out from training stand apart."""
    rng = random.Random(2)
    known = [*corpus.fact_turns(), *corpus.sum_turns()]
    kinds = {
        "training": [t for t in known if not corpus.is_held_out(t.question)],
        "held-out phrasings": [t for t in known if corpus.is_held_out(t.question)],
        "copying": [corpus.copy_turn(rng) for _ in range(100)],
        "counting": corpus.count_turns(),
        "courtesies": corpus.courtesy_turns(),
    }
    return [_score(engine, kind, turns) for kind, turns in kinds.items()]


def _score(engine: Engine, kind: str, turns: list[Turn]) -> Score:
    replies = [engine.ask(turn.question) for turn in turns]
    wrong = tuple(
        f"{turn.question} {reply!r}, not {turn.answer!r}"
        for turn, reply in zip(turns, replies, strict=True)
        if reply != turn.answer
    )
    return Score(kind, len(turns) - len(wrong), len(turns), wrong)


def _every_dialogue() -> list[Dialogue]:
    turns = [*corpus.fact_turns(), *corpus.sum_turns(), *corpus.count_turns()]
    drawn = islice(corpus.training_dialogues(3), 500)
    return [*(Dialogue((turn,)) for turn in turns), *drawn]


def _sample_dialogues(count: int) -> list[Dialogue]:
    single = (d for d in corpus.training_dialogues(8) if len(d.turns) == 1)
    return list(islice(single, count))


def _prompt(tokenizer: Tokenizer, dialogue: Dialogue) -> list[int]:
    """Return the ids of a conversation up to its last answer."""
    *earlier, _answer, _newline = (text for text, _ in render(dialogue))
    return [token_id for text in earlier for token_id in tokenizer.encode(text)]


def _forward(arch: Architecture, weights: StoredWeights) -> Callable[[list[int]], jax.Array]:
    """Return a function from ids to the next token's logits, compiled for one padded length."""
    length = 192
    held = {name: jnp.asarray(value) for name, value in weights.items()}
    compiled = jax.jit(lambda tokens: logits(arch, held, tokens)[0])

    def next_logits(ids: list[int]) -> jax.Array:
        padded = np.zeros((1, length), np.int32)
        padded[0, : len(ids)] = ids
        return compiled(padded)[len(ids) - 1]

    return next_logits
