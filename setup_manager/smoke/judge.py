"""The question and the judgement: pure functions from an answer to a verdict with reasons."""

from __future__ import annotations

import re
from dataclasses import dataclass

QUESTION = "What is the capital of France? Answer with one word."
EXPECTED = "Paris"
IMAGE_QUESTION = "Which colour fills this picture? Answer with one word."
IMAGE_EXPECTED = "red"

_UNUSED = re.compile(r"<unused(\d+)>")
_PADDING = re.compile(r"<pad>|\[PAD\]")
_TURN_TAGS = re.compile(
    r"<\|turn>|<turn\|>|<start_of_turn>|<end_of_turn>|<\|channel>|<channel\|>|<bos>|<eos>|<\|im_end\|>"
)
_REPETITION = re.compile(r"(.{1,40}?)\1{7,}", re.DOTALL)
_WORD = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer is worth.

    Attributes:
        passed: Whether the model answered rightly.
        reasons: Why not, or what was right; at least one.
    """

    passed: bool
    reasons: tuple[str, ...]


def judge(text: str, reasoning: str = "", *, expected: str = EXPECTED) -> Verdict:
    """Judge an answer.

    The failures looked for are ones that Gemma 4 has shown in the field: ``<unused49>`` loops
    (llama.cpp issues 26088, 26239), repetition (21365), garbage with the KV cache off the GPU
    (21726), ``<unused24>`` from a file converted without its template, and an answer that stays
    inside the reasoning.

    Args:
        text: The content of the answer.
        reasoning: What came as reasoning, if the server splits that off.
        expected: What a right answer contains, whatever the case.

    Returns:
        The verdict; it fails if anything was wrong, even beside a right answer.
    """
    faults = _empty(text, reasoning, expected) or _marks(text)
    if text.strip() and not _contains(text, expected):
        faults.append(_wrong(text, expected))
    if faults:
        return Verdict(passed=False, reasons=tuple(faults))
    return Verdict(passed=True, reasons=(f"The answer contains {expected!r}.",))


def _empty(text: str, reasoning: str, expected: str) -> list[str]:
    if text.strip():
        return []
    if not reasoning.strip():
        return ["The answer is empty."]
    found = "is in it" if _contains(reasoning, expected) else "is not in it either"
    fault = (
        "The answer is empty and all text went into the reasoning: thinking was not switched off, "
        f"or the chat template is too old. The expected {expected!r} {found}."
    )
    return [fault]


def _marks(text: str) -> list[str]:
    """Name the known kinds of broken output."""
    faults = []
    unused = _UNUSED.findall(text)
    if unused:
        faults.append(_unused_fault(unused))
    if _PADDING.search(text):
        faults.append("Padding tokens in the answer: the computation went wrong (NaN) somewhere.")
    tags = sorted(set(_TURN_TAGS.findall(text)))
    if tags:
        faults.append(
            f"Raw turn tags in the answer ({', '.join(tags)}): the runtime's chat template or stop "
            "tokens do not fit this model; update the runtime."
        )
    repeated = _REPETITION.search(text)
    if repeated and not unused and _WORD.search(text):
        faults.append(
            f"The answer repeats {repeated[1][:30]!r} over and over (as in llama.cpp issue 21365)."
        )
    if not _WORD.search(text) or "\ufffd" in text:
        faults.append("The answer is no text: wrong weights, or a fault of the backend.")
    return faults


def _unused_fault(numbers: list[str]) -> str:
    tokens = ", ".join(f"<unused{number}>" for number in sorted(set(numbers))[:3])
    if "24" in numbers:
        why = "the file was converted without its chat template"
    else:
        why = "a fault of the runtime (llama.cpp issues 26088 and 26239); update it"
    return f"Unused tokens in the answer ({tokens}): {why}."


def _contains(text: str, expected: str) -> bool:
    return re.search(rf"\b{re.escape(expected)}\b", text, re.IGNORECASE) is not None


def _wrong(text: str, expected: str) -> str:
    return f"The answer is wrong: expected {expected!r}, got {text.strip()[:80]!r}."
