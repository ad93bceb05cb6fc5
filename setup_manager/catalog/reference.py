"""Reading a MODEL argument, in every form of the command line.

The forms are ``e4b``, ``e4b:Q4_K_M``, ``org/repo:QUANT`` and ``org/repo/path/name.gguf@REVISION``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from setup_manager.errors import UsageError

_NAME = r"[A-Za-z0-9][\w.-]{0,95}"
_VARIANT = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?::([\w.-]+))?")
_REPOSITORY = re.compile(rf"({_NAME}/{_NAME})(?::([\w.-]+))?")
_FILE = re.compile(rf"({_NAME}/{_NAME})/([^@\s]+\.gguf)(?:@([\w./-]+))?", re.IGNORECASE)
_WEB_PREFIX = re.compile(r"(?:https?://)?(?:huggingface\.co|hf\.co)/", re.IGNORECASE)
_WEB_FILE = re.compile(rf"({_NAME}/{_NAME})/(?:blob|resolve)/([^/]+)/([^?#]+)(?:[?#].*)?")
_SIZE = re.compile(r"(\d{1,4})b\b")


@dataclass(frozen=True, slots=True)
class VariantReference:
    """A variant, and a quantization of it or None for its default."""

    variant: str
    quantization: str | None


@dataclass(frozen=True, slots=True)
class HubReference:
    """A GGUF repository on the hub, or one file of it.

    Attributes:
        repository: ``org/name``.
        quantization: A quantization of it, None for the best 4-bit one.
        path: One file inside it instead, None to go by the quantization.
        revision: A branch, tag or commit.
    """

    repository: str
    quantization: str | None = None
    path: str | None = None
    revision: str = "main"


def parse_model(text: str, variants: Iterable[str]) -> VariantReference | HubReference:
    """Read a MODEL argument; addresses pasted from the hub's web pages are understood too.

    Args:
        text: What was typed.
        variants: Known variant keys, lower case.

    Returns:
        What it refers to. Whether that exists is another question.

    Raises:
        UsageError: If it has none of the forms, or names a variant that does not exist.
    """
    name = _without_web_address(text.strip())
    if match := _FILE.fullmatch(name):
        return HubReference(match[1], None, match[2], match[3] or "main")
    if match := _REPOSITORY.fullmatch(name):
        _refuse_original(match[1], tuple(variants))
        return HubReference(match[1], match[2])
    if match := _VARIANT.fullmatch(name):
        return _variant_reference(match[1], match[2], text, tuple(variants))
    raise UsageError(
        f"{text!r} is not a model.",
        code="bad-model",
        context=[
            "a model is a variant (e4b), a variant and a quantization (e4b:Q4_K_M),",
            "a repository and a quantization (org/repo:Q4_K_M), or a file (org/repo/name.gguf)",
        ],
        hint="Run `gemma-setup list` to see the catalogue, or `gemma-setup recommend` to let "
        "this machine choose.",
    )


def _without_web_address(text: str) -> str:
    prefix = _WEB_PREFIX.match(text)
    if prefix is None:
        return text
    rest = text[prefix.end() :].rstrip("/")
    if match := _WEB_FILE.fullmatch(rest):
        return f"{match[1]}/{match[3]}@{match[2]}"
    return rest


def _refuse_original(repository: str, variants: tuple[str, ...]) -> None:
    """Refuse Google's own repository of a variant: it has the weights before their conversion.

    Raises:
        UsageError: If it is one, with the variant to name instead.
    """
    owner, _, name = repository.lower().partition("/")
    key = _variant_key(name, variants)
    if owner == "google" and name.endswith("-it") and key is not None:
        raise UsageError(
            f"{repository} has no GGUF files: it is what they are converted from.",
            code="no-gguf",
            context=[f"converted, it is the variant {key}"],
            hint=f"Run `gemma-setup install {key}`.",
        )


def _variant_reference(
    typed: str, quantization: str | None, text: str, variants: tuple[str, ...]
) -> VariantReference:
    key = _variant_key(typed, variants)
    if key is not None:
        return VariantReference(key, quantization)
    meant = " or ".join(m for m in _meant(typed, quantization, variants) if m != text)
    raise UsageError(
        f"There is no Gemma 4 variant {typed!r}.",
        code="unknown-variant",
        context=[f"variants: {', '.join(variants)}"],
        hint=f"Did you mean {meant}? `gemma-setup list` shows them all."
        if meant
        else "`gemma-setup list` shows them all; other models are written org/repo:QUANT.",
    )


def _variant_key(typed: str, variants: tuple[str, ...]) -> str | None:
    """Find the variant for common spellings: ``E4B``, ``26b-a4b``, ``gemma-4-12b-it``."""
    key = re.sub(r"^gemma-?4-", "", typed.lower())
    key = re.sub(r"-it$", "", key)
    key = re.sub(r"-a\d+b$", "", key)
    return key if key in variants else None


def _meant(typed: str, quantization: str | None, variants: tuple[str, ...]) -> list[str]:
    """List the variants that a wrong one may have stood for, the likeliest first."""
    words = {"gemma4": quantization or "", "gemma": quantization or ""}
    word = words.get(typed.lower(), typed.lower())
    if word in variants:
        return [word]
    if size := _SIZE.search(word):
        return _nearest(int(size[1]), variants)
    return get_close_matches(word, variants, n=1, cutoff=0.5)


def _nearest(billions: int, variants: tuple[str, ...]) -> list[str]:
    """List the variant nearest in size, and the next one if that is near too."""
    sizes = {key: int(size[1]) for key in variants if (size := _SIZE.search(key))}
    distances = {key: abs(size - billions) for key, size in sizes.items()}
    first, *others = sorted(distances, key=distances.__getitem__) or [""]
    if not first or not distances[first]:
        return [first] if first else []
    return [first, *(key for key in others[:1] if distances[key] <= billions / 4)]
