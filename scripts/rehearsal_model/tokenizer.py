"""Gemma 4's kind of tokenizer, small: BPE on raw text, spaces as U+2581, bytes as a fallback.

The rules are llama.cpp's for `tokenizer.ggml.model = gemma4` (src/llama-vocab.cpp): special tokens
are cut out first, the rest is split into runs of newlines and runs without, a run of newlines that
is a token stays whole, and merges run over everything between by rank, ties from the left.
The ids of the special tokens are those of the real family.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
PAD, EOS, BOS, UNK, MASK = range(5)
TURN_OPEN, TURN_CLOSE = 105, 106

# Ids in google/gemma-4-*-it; the ids between them are unused here.
CONTROL_TOKENS = {
    PAD: "<pad>",
    EOS: "<eos>",
    BOS: "<bos>",
    UNK: "<unk>",
    MASK: "<mask>",
    98: "<|think|>",
    TURN_OPEN: "<|turn>",
    TURN_CLOSE: "<turn|>",
}
# Shown in output, so that a chat parser can read them (llama.cpp, conversion/gemma.py).
VISIBLE_TOKENS = {
    48: "<|tool_call>",
    49: "<tool_call|>",
    50: "<|tool_response>",
    51: "<tool_response|>",
    52: '<|"|>',
    100: "<|channel>",
    101: "<channel|>",
}
NEWLINES = {107: "\n", 108: "\n\n"}
FIRST_BYTE = 109
VOCABULARY_SIZE = 1152

_SPECIAL = re.compile(
    "|".join(
        re.escape(text)
        for text in sorted(
            [*CONTROL_TOKENS.values(), *VISIBLE_TOKENS.values()], key=len, reverse=True
        )
    )
)
_LINE = re.compile(r"\n+|[^\n]+")
# What a merge may not reach across: a word with the space before it; digits and signs stand alone.
_WORD = re.compile(rf"{SPACE}?[A-Za-z]+|.")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens in the order of their ids, and the merges in the order of their rank."""

    tokens: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]


def learn_vocabulary(lines: Iterable[str], size: int = VOCABULARY_SIZE) -> Vocabulary:
    """Learn merges by frequency until the vocabulary has `size` tokens or every word is one token.

    Merges stay within words. The outcome depends on the lines only: the most
    frequent pair is merged first, and of pairs equally frequent the alphabetically first.
    """
    tokens = _fixed_tokens()
    tokens += [SPACE if c == " " else c for c in map(chr, range(32, 127))]
    words = Counter(word for line in lines for word in _WORD.findall(line.replace(" ", SPACE)))
    spelled = {word: tuple(word) for word in sorted(words)}
    known = set(tokens)
    merges: list[tuple[str, str]] = []
    while len(tokens) < size:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in spelled.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelled = {word: _merge_all(parts, best) for word, parts in spelled.items()}
        if (merged := "".join(best)) not in known:
            known.add(merged)
            tokens.append(merged)
    return Vocabulary(tuple(tokens), tuple(merges))


def _fixed_tokens() -> list[str]:
    tokens = [f"<unused{i}>" for i in range(FIRST_BYTE)]
    for token_id, text in {**CONTROL_TOKENS, **VISIBLE_TOKENS, **NEWLINES}.items():
        tokens[token_id] = text
    return tokens + [f"<0x{value:02X}>" for value in range(256)]


def _merge_all(parts: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for part in parts:
        # A part that was itself just merged is longer than the pair's left side, so never reused.
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return tuple(merged)


class Tokenizer:
    """Text to token ids and back, as llama.cpp does it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Index the tokens and the ranks of the merges."""
        self.vocabulary = vocabulary
        self._ids = {text: i for i, text in enumerate(vocabulary.tokens)}
        self._ranks = {pair: rank for rank, pair in reversed([*enumerate(vocabulary.merges)])}
        self._line = lru_cache(maxsize=None)(self._encode_line)

    def encode(self, text: str) -> list[int]:
        """Tokenize text, special tokens in it included; no BOS is added."""
        ids: list[int] = []
        start = 0
        for match in _SPECIAL.finditer(text):
            ids += self._encode_plain(text[start : match.start()])
            ids.append(self._ids[match.group()])
            start = match.end()
        return ids + self._encode_plain(text[start:])

    def decode(self, ids: Sequence[int]) -> str:
        """Write out tokens, special ones too."""
        pieces = (self.vocabulary.tokens[i] for i in ids)
        raw = b"".join(
            bytes([i - FIRST_BYTE]) if FIRST_BYTE <= i < FIRST_BYTE + 256 else piece.encode()
            for i, piece in zip(ids, pieces, strict=True)
        )
        return raw.decode(errors="replace").replace(SPACE, " ")

    def _encode_plain(self, text: str) -> list[int]:
        lines = _LINE.findall(text.replace(" ", SPACE))
        return [token_id for line in lines for token_id in self._line(line)]

    def _encode_line(self, line: str) -> tuple[int, ...]:
        parts = [line] if line[0] == "\n" and line in self._ids else list(line)
        while len(parts) > 1:
            ranked = [
                (rank, i)
                for i, pair in enumerate(pairwise(parts))
                if (rank := self._ranks.get(pair)) is not None
            ]
            if not ranked:
                break
            _, i = min(ranked)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        return tuple(token_id for part in parts for token_id in self._part_ids(part))

    def _part_ids(self, part: str) -> list[int]:
        if part in self._ids:
            return [self._ids[part]]
        return [FIRST_BYTE + value for value in part.encode()]
