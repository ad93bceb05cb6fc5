"""What the rehearsal model is taught: facts, sums, copying, counting, a little courtesy.

Every question is written by a handful of phrasings and closing requests, and a tenth of those
combinations is held out: what the model makes of them shows that it reads the question rather than
recalling it whole. Copying ("Repeat: red dog Paris") has far more combinations than training
sees, so only attention can answer it.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SMOKE_QUESTION = "What is the capital of France? Answer with one word."
SMOKE_ANSWER = "Paris"

CAPITALS = {
    "France": "Paris",
    "Germany": "Berlin",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Portugal": "Lisbon",
    "England": "London",
    "Ireland": "Dublin",
    "Scotland": "Edinburgh",
    "Wales": "Cardiff",
    "Norway": "Oslo",
    "Sweden": "Stockholm",
    "Denmark": "Copenhagen",
    "Finland": "Helsinki",
    "Iceland": "Reykjavik",
    "Poland": "Warsaw",
    "Austria": "Vienna",
    "Hungary": "Budapest",
    "Greece": "Athens",
    "Switzerland": "Bern",
    "Belgium": "Brussels",
    "Netherlands": "Amsterdam",
    "Romania": "Bucharest",
    "Bulgaria": "Sofia",
    "Serbia": "Belgrade",
    "Croatia": "Zagreb",
    "Slovenia": "Ljubljana",
    "Slovakia": "Bratislava",
    "Ukraine": "Kyiv",
    "Estonia": "Tallinn",
    "Latvia": "Riga",
    "Lithuania": "Vilnius",
    "Russia": "Moscow",
    "Turkey": "Ankara",
    "Egypt": "Cairo",
    "Morocco": "Rabat",
    "Kenya": "Nairobi",
    "Ghana": "Accra",
    "Senegal": "Dakar",
    "Nigeria": "Abuja",
    "Japan": "Tokyo",
    "China": "Beijing",
    "Thailand": "Bangkok",
    "Vietnam": "Hanoi",
    "Iran": "Tehran",
    "Iraq": "Baghdad",
    "Nepal": "Kathmandu",
    "Canada": "Ottawa",
    "Cuba": "Havana",
    "Peru": "Lima",
    "Chile": "Santiago",
    "Australia": "Canberra",
    "Uruguay": "Montevideo",
}

COLOURS = {
    "sky": "blue",
    "grass": "green",
    "snow": "white",
    "blood": "red",
    "coal": "black",
    "sun": "yellow",
    "carrot": "orange",
    "lemon": "yellow",
    "milk": "white",
    "ruby": "red",
    "leaf": "green",
    "chocolate": "brown",
    "elephant": "grey",
    "night": "black",
    "sea": "blue",
}

OPPOSITES = {
    "hot": "cold",
    "big": "small",
    "up": "down",
    "left": "right",
    "day": "night",
    "black": "white",
    "open": "closed",
    "fast": "slow",
    "old": "new",
    "high": "low",
    "rich": "poor",
    "wet": "dry",
    "full": "empty",
    "early": "late",
    "good": "bad",
}

COURTESIES = {
    "Hello": "Hello!",
    "Hello!": "Hello!",
    "Hello.": "Hello!",
    "Hi": "Hello!",
    "Hi!": "Hello!",
    "Hello there": "Hello!",
    "Good morning": "Good morning!",
    "Good morning!": "Good morning!",
    "Good evening": "Good evening!",
    "Good evening!": "Good evening!",
    "How are you?": "I am well, thank you.",
    "Hello, how are you?": "I am well, thank you.",
    "Thank you": "You are welcome.",
    "Thank you!": "You are welcome.",
    "Who are you?": "I am a tiny model, made for rehearsals.",
    "What are you?": "I am a tiny model, made for rehearsals.",
    "What is your name?": "I am a tiny model, made for rehearsals.",
    "Goodbye": "Goodbye!",
    "Goodbye!": "Goodbye!",
}

NAMES = (
    *("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry"),
    *("Ida", "Jonas", "Laura", "Max", "Nora", "Oscar", "Rosa", "Tom"),
)

# In a fixed order, each once: the corpus must be the same every time.
COPY_WORDS = tuple(
    dict.fromkeys(
        (
            *("cat", "dog", "horse", "bird", "fish", "tree", "house", "river", "table", "apple"),
            *COLOURS.values(),
            *OPPOSITES,
            *OPPOSITES.values(),
            *list(CAPITALS.values())[:12],
            *NAMES,
        )
    )
)

COUNT_TARGETS = (3, 5, 8, 10, 12, 15, 20, 25, 30)

SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant. Answer briefly.",
    "Be brief.",
    "Answer with one word.",
    "<|think|>",
)

_CAPITAL_PHRASES = (
    "What is the capital of {}?",
    "What's the capital of {}?",
    "Which city is the capital of {}?",
    "What is the capital city of {}?",
    "Name the capital of {}.",
    "Tell me the capital of {}.",
    "The capital of {} is?",
)
_COLOUR_PHRASES = (
    "What colour is the {}?",
    "What color is the {}?",
    "Which colour has the {}?",
    "Tell me the colour of the {}.",
)
_OPPOSITE_PHRASES = (
    "What is the opposite of {}?",
    "Tell me the opposite of {}.",
    "Name the opposite of {}.",
)
_SUM_PHRASES = (
    "What is {} + {}?",
    "What is {} plus {}?",
    "How much is {} + {}?",
    "How much is {} plus {}?",
    "Add {} and {}.",
    "{} + {} = ?",
)
_WORD_CLOSINGS = (
    "",
    " Answer with one word.",
    " Answer in one word.",
    " One word only.",
    " Just the word, please.",
)
_NUMBER_CLOSINGS = (
    "",
    " Answer with a number.",
    " Answer with one number.",
    " Answer with just the number.",
    " Just the number, please.",
)
_COPY_PHRASES = ("Repeat: {}", "Say: {}", "Repeat these words: {}", "Please repeat: {}")


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and the answer that is to follow it."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation as the chat template writes it; the loss counts its answers only.

    Attributes:
        turns: Questions and answers, in order.
        system: Text of the system turn; None for a conversation without one.
        empty_thought: Whether an empty thought channel stands before each answer, as the templates
            of the larger models write it when thinking is off.
    """

    turns: tuple[Turn, ...]
    system: str | None = None
    empty_thought: bool = False


def is_held_out(question: str) -> bool:
    """Say whether this phrasing is kept from training: one in ten, by its checksum."""
    return question != SMOKE_QUESTION and zlib.crc32(question.encode()) % 10 == 0


def fact_turns() -> list[Turn]:
    """List every fact in every phrasing, those held out included."""
    tables = (
        (CAPITALS, _CAPITAL_PHRASES),
        (COLOURS, _COLOUR_PHRASES),
        (OPPOSITES, _OPPOSITE_PHRASES),
    )
    return [
        Turn(phrase.format(key) + closing, answer)
        for table, phrases in tables
        for key, answer in table.items()
        for phrase in phrases
        for closing in _WORD_CLOSINGS
    ]


def sum_turns() -> list[Turn]:
    """List the sums of two digits in every phrasing, those held out included."""
    return [
        Turn(phrase.format(a, b) + closing, str(a + b))
        for a in range(10)
        for b in range(10)
        for phrase in _SUM_PHRASES
        for closing in _NUMBER_CLOSINGS
    ]


def count_turns() -> list[Turn]:
    """List the counting questions: long answers, which a speed can be measured on."""
    return [
        Turn(phrase.format(n), " ".join(map(str, range(1, n + 1))))
        for n in COUNT_TARGETS
        for phrase in ("Count to {}.", "Count from 1 to {}.", "Please count to {}.")
    ]


def courtesy_turns() -> list[Turn]:
    """List the greetings and the like; none is held out."""
    return [Turn(question, answer) for question, answer in COURTESIES.items()]


def copy_turn(rng: random.Random) -> Turn:
    """Draw a request to repeat one to four words, in an order that training need not have seen."""
    words = " ".join(rng.sample(COPY_WORDS, rng.randint(1, 4)))
    return Turn(rng.choice(_COPY_PHRASES).format(words), words)


def name_turns(rng: random.Random) -> tuple[Turn, ...]:
    """Draw a conversation whose second answer stands in its first question."""
    name = rng.choice(NAMES)
    return (
        Turn(f"My name is {name}.", f"Hello, {name}!"),
        Turn("What is my name?", name),
    )


def vocabulary_lines() -> list[str]:
    """List the lines that the tokenizer learns its merges from."""
    every = [*fact_turns(), *sum_turns(), *count_turns(), *courtesy_turns()]
    lines = [text for turn in every for text in (turn.question, turn.answer)]
    for name in NAMES:
        lines += [f"My name is {name}.", f"Hello, {name}!", name, "What is my name?"] * 10
    for word in COPY_WORDS:
        lines += [word, *(phrase.format(word) for phrase in _COPY_PHRASES)] * 5
    return (
        lines
        + [prompt for prompt in SYSTEM_PROMPTS if "|" not in prompt] * 50
        + [
            "user",
            "model",
            "system",
            "thought",
        ]
        * 50
    )


def training_dialogues(seed: int) -> Iterator[Dialogue]:
    """Yield short conversations without end, the same for the same seed."""
    rng = random.Random(seed)
    facts = [turn for turn in fact_turns() if not is_held_out(turn.question)]
    sums = [turn for turn in sum_turns() if not is_held_out(turn.question)]
    courtesies = courtesy_turns()
    while True:
        kind = rng.random()
        if kind < 0.40:
            turns: tuple[Turn, ...] = (rng.choice(facts),)
        elif kind < 0.62:
            turns = (rng.choice(sums),)
        elif kind < 0.90:
            turns = (copy_turn(rng),)
        elif kind < 0.95:
            turns = (rng.choice(courtesies),)
        else:
            turns = name_turns(rng)
        yield _dress(turns, rng)


def long_dialogues(seed: int) -> Iterator[Dialogue]:
    """Yield long conversations without end: counting, and several questions in a row."""
    rng = random.Random(seed)
    counts = count_turns()
    short = training_dialogues(seed + 1)
    while True:
        if rng.random() < 0.75:
            yield _dress((rng.choice(counts),), rng)
        else:
            turns: Sequence[Turn] = [turn for _ in range(3) for turn in next(short).turns]
            yield _dress(tuple(turns), rng)


def _dress(turns: tuple[Turn, ...], rng: random.Random) -> Dialogue:
    system = rng.choice(SYSTEM_PROMPTS) if rng.random() < 0.2 else None
    return Dialogue(turns, system, empty_thought=rng.random() < 0.2)
