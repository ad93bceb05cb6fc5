"""Is the hub there, and is this machine's clock right? Asked once, within a time limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from setup_manager.errors import DownloadFailedError
from setup_manager.net import failures
from setup_manager.net.client import checked_endpoint, http_error, trust
from setup_manager.net.failures import Question


@dataclass(frozen=True, slots=True)
class HubReachability:
    """What a probe of the hub found.

    Attributes:
        endpoint: The hub.
        seconds: How long the answer took, or the probe waited.
        clock_skew_seconds: How far this machine's clock is ahead of the hub's; None if the hub
            did not say. Its header counts whole seconds (RFC 9110, 6.6.1).
        problem: What is wrong if it cannot be used, else ``""``.
        hint: What to do about it.
    """

    endpoint: str
    seconds: float
    clock_skew_seconds: float | None = None
    problem: str = ""
    hint: str = ""

    @property
    def reachable(self) -> bool:
        """Whether it answered as a hub may."""
        return not self.problem


def probe_hub(
    endpoint: str,
    *,
    offline: bool = False,
    ca_bundle: Path | None = None,
    timeout_seconds: float = 4.0,
    now: Callable[[], float] = time.time,
) -> HubReachability:
    """Ask the hub for its front page's headers, without a token.

    Runs in a thread of its own that is left behind when time is up: a name server that does not
    answer can hold a request for far longer than any timeout of the HTTP client.

    Args:
        endpoint: Base URL.
        offline: Do not ask.
        ca_bundle: File or folder of certificates to trust instead of the system's.
        timeout_seconds: For everything together.
        now: The clock that is compared, in seconds since 1970.

    Raises:
        UsageError: If the endpoint is no address.
    """
    question = Question(checked_endpoint(endpoint), "", "", has_token=False)
    if offline:
        return _failed(question, failures.offline(question), 0.0)
    # Importing takes its time on a cold machine; the limit is for the hub.
    from huggingface_hub import get_session

    try:
        trust(ca_bundle)
    except DownloadFailedError as error:
        return _failed(question, error, 0.0)
    found: list[HubReachability] = []
    started = time.monotonic()
    asking = threading.Thread(
        target=lambda: found.append(_ask(get_session(), question, timeout_seconds, now)),
        daemon=True,
    )
    asking.start()
    asking.join(timeout_seconds)
    if found:
        return found[0]
    late = failures.unreachable(question, TimeoutError(f"no answer in {timeout_seconds:g} s"))
    return _failed(question, late, time.monotonic() - started)


def _ask(
    client: Any, question: Question, timeout_seconds: float, now: Callable[[], float]
) -> HubReachability:
    started = time.monotonic()
    try:
        answer = client.head(question.endpoint, timeout=timeout_seconds, follow_redirects=False)
    except (http_error(), OSError, ValueError) as error:
        return _failed(question, failures.unreachable(question, error), time.monotonic() - started)
    seconds = time.monotonic() - started
    if elsewhere := _leads_elsewhere(question.endpoint, answer.headers):
        login = failures.no_hub(question, ValueError(f"it sends to {elsewhere}"))
        return _failed(question, login, seconds)
    skew = _clock_skew(answer.headers, now() - seconds / 2)
    return HubReachability(question.endpoint, seconds, skew)


def _failed(question: Question, error: DownloadFailedError, seconds: float) -> HubReachability:
    facts = "; ".join(error.context)
    problem = f"{error.message.rstrip('.')} ({facts})"
    return HubReachability(question.endpoint, seconds, None, problem, error.hint)


def _leads_elsewhere(endpoint: str, headers: Mapping[str, str]) -> str | None:
    """Return the other host that a redirect leads to: the login page of a network, most likely."""
    location = headers.get("location")
    host = urlsplit(urljoin(endpoint, location)).hostname if location else None
    return host if host != urlsplit(endpoint).hostname else None


def _clock_skew(headers: Mapping[str, str], now: float) -> float | None:
    try:
        return round(now - parsedate_to_datetime(headers.get("date", "")).timestamp(), 1)
    except ValueError:
        return None
