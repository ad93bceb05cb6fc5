"""From what huggingface_hub raises to errors that say what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from setup_manager.errors import AccessDeniedError, DownloadFailedError, SetupError
from setup_manager.units import format_duration


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked of the hub.

    Attributes:
        endpoint: The hub.
        repository: ``org/name``.
        revision: Branch, tag or commit.
        has_token: Whether a token was sent.
    """

    endpoint: str
    repository: str
    revision: str
    has_token: bool


def refused(
    question: Question, status: int, headers: Mapping[str, str], close: Sequence[str] = ()
) -> SetupError:
    """Make the error for a status that the hub answered.

    Args:
        question: What was asked.
        status: HTTP status, 400 or above.
        headers: Of the answer; names in any case.
        close: Similar names that do exist.
    """
    fields = {name.lower(): value for name, value in headers.items()}
    code, message = fields.get("x-error-code", ""), fields.get("x-error-message", "")
    if code == "GatedRepo":
        return _gated(question)
    if message == "Invalid credentials in Authorization header":
        return _bad_token(question)
    if code == "RevisionNotFound":
        return _no_revision(question, close)
    if code == "RepoNotFound" or status in {401, 404}:
        return _no_repository(question, close)
    if status == 429:
        return _rate_limited(question, fields)
    facts = [f"{question.endpoint} answered {status}", *([message] if message else [])]
    if status in {403, 451}:
        return AccessDeniedError(
            f"The hub does not hand out {question.repository}.",
            code="forbidden",
            context=facts,
            hint=f"Look at {question.endpoint}/{question.repository} in a browser for the reason.",
        )
    return DownloadFailedError(
        "The hub has a problem of its own.",
        code="hub-unavailable",
        context=facts,
        hint="Run the same command again in a few minutes; what came is kept.",
    )


def unreachable(question: Question, error: BaseException) -> DownloadFailedError:
    """Make the error for a hub that gave no answer at all."""
    facts = [f"{question.endpoint}: {_first_line(error)}"]
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return DownloadFailedError(
            "The hub's certificate is not trusted on this machine.",
            code="certificate",
            context=facts,
            hint="Set SSL_CERT_FILE to the CA bundle of your company's proxy if there is one; "
            "otherwise check the clock.",
        )
    return DownloadFailedError(
        "The hub cannot be reached.",
        code="no-route",
        context=facts,
        hint="Check the network, the proxy settings (HTTPS_PROXY, NO_PROXY) and HF_ENDPOINT. "
        "`gemma-setup check` works without the hub.",
    )


def offline(question: Question) -> DownloadFailedError:
    """Make the error for a question that offline mode forbids."""
    return DownloadFailedError(
        "The hub may not be asked: offline mode is on.",
        code="offline",
        context=[f"{question.repository} at {question.revision} has to be looked up on the hub"]
        if question.repository
        else ["HF_HUB_OFFLINE is set"],
        hint="Unset HF_HUB_OFFLINE, or name a model of the catalogue that is already here.",
    )


def no_hub(question: Question, error: BaseException) -> DownloadFailedError:
    """Make the error for an answer that no hub gives, e.g. the login page of a hotel."""
    return DownloadFailedError(
        "What answers is not a model hub.",
        code="not-a-hub",
        context=[f"{question.endpoint}: {_first_line(error)}"],
        hint="Log in to the network in a browser if it asks for that; check HF_ENDPOINT.",
    )


def wait_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Read how long a 429 or 503 wants to be left alone.

    Args:
        headers: With lower-case names. The hub sends ``RateLimit: "api";r=0;t=55``
            (draft-ietf-httpapi-ratelimit-headers), others Retry-After (RFC 9110, 10.2.3).
        now: The present, for a Retry-After that is a date; the clock's if None.
    """
    for part in headers.get("ratelimit", "").replace(" ", "").split(";"):
        if part.startswith("t=") and part[2:].isdigit():
            return float(part[2:])
    text = headers.get("retry-after", "").strip()
    if text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def _gated(question: Question) -> AccessDeniedError:
    page = f"{question.endpoint}/{question.repository}"
    accept = f"Accept the terms at {page}"
    login = "then run `hf auth login` or set HF_TOKEN."
    same = "with the account that the token belongs to, then run it again."
    return AccessDeniedError(
        f"{question.repository} is gated: its terms must be accepted first.",
        code="gated",
        context=[
            "the token that was sent has no access to it"
            if question.has_token
            else "no token was sent"
        ],
        hint=f"{accept} {same if question.has_token else login}",
    )


def _bad_token(question: Question) -> AccessDeniedError:
    return AccessDeniedError(
        "The hub does not accept the token.",
        code="bad-token",
        context=[f"{urlsplit(question.endpoint).netloc} calls it invalid; it may have expired"],
        hint=f"Make a new one at {question.endpoint}/settings/tokens, or unset HF_TOKEN and run "
        "`hf auth logout`: public repositories need none.",
    )


def _no_repository(question: Question, close: Sequence[str]) -> AccessDeniedError:
    meant = f"Did you mean {' or '.join(close)}? " if close else ""
    private = (
        "the token that was sent does not show it either"
        if question.has_token
        else "a private one is shown only to a token (`hf auth login` or HF_TOKEN)"
    )
    return AccessDeniedError(
        f"There is no repository {question.repository}, or it is private.",
        code="no-repository",
        context=[f"asked {question.endpoint}", private],
        hint=f"{meant}Check the spelling at {question.endpoint}/models?search="
        f"{question.repository.rsplit('/', 1)[-1]}",
    )


def _no_revision(question: Question, close: Sequence[str]) -> AccessDeniedError:
    return AccessDeniedError(
        f"{question.repository} has no revision {question.revision!r}.",
        code="no-revision",
        context=[f"it has: {', '.join(close)}"] if close else [],
        hint="Leave out @REVISION for the current state.",
    )


def _rate_limited(question: Question, headers: Mapping[str, str]) -> DownloadFailedError:
    wait = wait_seconds(headers)
    when = f"Wait {format_duration(wait)}" if wait is not None else "Wait five minutes"
    more = "" if question.has_token else "; with a token (`hf auth login`) the limit is higher"
    return DownloadFailedError(
        "The hub answers no more questions for now: too many came from this address.",
        code="rate-limited",
        context=[f"{question.endpoint} answered 429"],
        hint=f"{when} and run it again{more}.",
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
