"""The hub's settings that come from the environment: the token, and whether to stay offline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from setup_manager.errors import AccessDeniedError

_TRUE = {"1", "ON", "YES", "TRUE"}


def is_true(value: str | None) -> bool:
    """Read a switch as huggingface_hub does."""
    return (value or "").upper() in _TRUE


def is_offline(environment: Mapping[str, str]) -> bool:
    """Tell whether HF_HUB_OFFLINE, or its older name, forbids asking the hub."""
    return is_true(environment.get("HF_HUB_OFFLINE") or environment.get("TRANSFORMERS_OFFLINE"))


def find_token(environment: Mapping[str, str], hub_home: Path) -> str | None:
    """Find the token that `hf` would send: HF_TOKEN, else the file that `hf auth login` wrote.

    Args:
        environment: The environment variables.
        hub_home: What HF_HOME means.

    Raises:
        AccessDeniedError: If what was found cannot be a token.
    """
    if is_true(environment.get("HF_HUB_DISABLE_IMPLICIT_TOKEN")):
        return None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := _clean(environment.get(name, ""), name):
            return token
    path = Path(environment.get("HF_TOKEN_PATH") or hub_home / "token").expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return _clean(text, str(path))


def _clean(text: str, source: str) -> str | None:
    token = "".join(text.split("\n")).strip()
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise AccessDeniedError(
            "The hub token cannot be used.",
            code="bad-token",
            context=[f"{source} holds characters that no token has"],
            hint="Set HF_TOKEN to a token (it starts with hf_), or run `hf auth login` again.",
        )
    return token or None
