"""Training: next-token loss on the answers, Adam, fixed seeds, one thread."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .chat import render
from .corpus import Dialogue, long_dialogues, training_dialogues
from .network import Architecture, Weights, initial_weights, logits
from .tokenizer import PAD, Tokenizer


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to learn.

    Attributes:
        short: Conversations and tokens in a batch of short ones.
        long: The same of a batch of long ones; one in `long_every` steps takes such a batch.
    """

    steps: int = 1500
    warmup_steps: int = 60
    peak_rate: float = 4e-3
    short: tuple[int, int] = (48, 40)
    long: tuple[int, int] = (12, 128)
    long_every: int = 5
    seed: int = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids, and for each whether it belongs to an answer; both (conversations, length)."""

    tokens: np.ndarray
    in_answer: np.ndarray


def train(
    arch: Architecture,
    tokenizer: Tokenizer,
    schedule: Schedule,
    report: Callable[[int, float], None],
) -> Weights:
    """Train from scratch and return the weights; `report` gets the step and its loss."""
    weights = initial_weights(arch, schedule.seed)
    moments = (jax.tree.map(jnp.zeros_like, weights), jax.tree.map(jnp.zeros_like, weights))
    short = _batches(training_dialogues(schedule.seed), tokenizer, schedule.short)
    long = _batches(long_dialogues(schedule.seed), tokenizer, schedule.long)
    for step in range(schedule.steps):
        batch = next(long if step % schedule.long_every == schedule.long_every - 1 else short)
        weights, moments, loss = _update(
            weights,
            moments,
            batch.tokens,
            batch.in_answer,
            step + 1,
            _rate(schedule, step),
            arch=arch,
        )
        report(step, float(loss))
    return weights


def encode(tokenizer: Tokenizer, dialogue: Dialogue) -> tuple[list[int], list[bool]]:
    """Return a conversation's ids, and for each whether it belongs to an answer."""
    ids: list[int] = []
    in_answer: list[bool] = []
    for text, counts in render(dialogue):
        part = tokenizer.encode(text)
        ids += part
        in_answer += [counts] * len(part)
    return ids, in_answer


def _batches(
    dialogues: Iterator[Dialogue], tokenizer: Tokenizer, shape: tuple[int, int]
) -> Iterator[Batch]:
    encoded = (encode(tokenizer, dialogue) for dialogue in dialogues)
    fitting = (pair for pair in encoded if len(pair[0]) <= shape[1])
    while True:
        batch = Batch(np.full(shape, PAD, np.int32), np.zeros(shape, bool))
        for row, (ids, in_answer) in enumerate(islice(fitting, shape[0])):
            batch.tokens[row, : len(ids)] = ids
            batch.in_answer[row, : len(ids)] = in_answer
        yield batch


def _rate(schedule: Schedule, step: int) -> float:
    if step < schedule.warmup_steps:
        return schedule.peak_rate * (step + 1) / schedule.warmup_steps
    done = (step - schedule.warmup_steps) / (schedule.steps - schedule.warmup_steps)
    return schedule.peak_rate * 0.5 * (1.0 + math.cos(math.pi * done))


def _loss(weights: Weights, tokens: Array, in_answer: Array, arch: Architecture) -> Array:
    scores = jax.nn.log_softmax(logits(arch, weights, tokens[:, :-1]))
    wanted = jnp.take_along_axis(scores, tokens[:, 1:, None], axis=-1)[..., 0]
    counts = in_answer[:, 1:]
    return -jnp.sum(wanted * counts) / jnp.sum(counts)


@partial(jax.jit, static_argnames="arch", donate_argnums=(0, 1))
def _update(
    weights: Weights,
    moments: tuple[Weights, Weights],
    tokens: Array,
    in_answer: Array,
    step: Array,
    rate: Array,
    *,
    arch: Architecture,
) -> tuple[Weights, tuple[Weights, Weights], Array]:
    """Take one step of AdamW, with the gradient's length limited to 1."""
    loss, slopes = jax.value_and_grad(_loss)(weights, tokens, in_answer, arch)
    length = jnp.sqrt(sum(jnp.sum(s * s) for s in jax.tree.leaves(slopes)))
    slopes = jax.tree.map(lambda s: s / jnp.maximum(1.0, length), slopes)
    first = jax.tree.map(lambda m, s: 0.9 * m + 0.1 * s, moments[0], slopes)
    second = jax.tree.map(lambda m, s: 0.99 * m + 0.01 * s * s, moments[1], slopes)

    def step_one(w: Array, m: Array, v: Array) -> Array:
        direction = (m / (1 - 0.9**step)) / (jnp.sqrt(v / (1 - 0.99**step)) + 1e-8)
        decay = 0.02 * w if w.ndim == 2 else 0.0
        return w - rate * (direction + decay)

    return jax.tree.map(step_one, weights, first, second), (first, second), loss
