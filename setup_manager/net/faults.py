"""What can go wrong with a request, as kinds, and what each kind means for people.

A fault is told by its kind, never by the words of a message. One table serves the hub's answers
about repositories, the transfer of files, and servers on this machine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum

from setup_manager.errors import CODES, SetupError
from setup_manager.units import format_duration

DEFAULT_ENDPOINT = "https://huggingface.co"


class Action(Enum):
    """What to do after a request that gave no bytes."""

    RETRY = "ask again after a pause"
    AGAIN = "ask again at once, in another way"
    WAIT = "ask again when the server says so"
    RESOLVE = "ask the hub again where the bytes are"
    DROP = "do not ask this origin again"


class Fault(StrEnum):
    """Why a request gave nothing; decides which error the user sees."""

    ACCESS = "access"
    GATED = "gated"
    TOKEN = "token"  # noqa: S105  the name of a kind
    REPOSITORY = "repository"
    REVISION = "revision"
    MISSING = "missing"
    IDENTITY = "identity"
    CONTENT = "content"
    PORTAL = "portal"
    FOREIGN = "foreign"
    PROXY = "proxy"
    CERTIFICATE = "certificate"
    INSECURE = "insecure"
    OFFLINE = "offline"
    ADDRESS = "address"
    QUOTA = "quota"
    SERVER = "server"
    NETWORK = "network"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a request that gave no bytes means.

    Attributes:
        action: What to do.
        reason: Why, for people; holds no secret.
        fault: What is wrong if it stays so.
        wait_seconds: How long to wait when the server said so.
        variable: The environment variable that decided what failed, or ``""``.
    """

    action: Action
    reason: str
    fault: Fault = Fault.NETWORK
    wait_seconds: float | None = None
    variable: str = ""

    def error(self, asked: Asked, facts: Sequence[str] = ()) -> SetupError:
        """Make the error that people see.

        Args:
            asked: What was asked of whom.
            facts: What shows it; the endpoint and the reason by default.
        """
        row = _TABLE[self.fault]
        context = [*(facts or (f"{asked.endpoint}: {self.reason}",))]
        if row.fact_of_token:
            context.append(row.fact_of_token[asked.has_token])
        words = self._words(asked)
        hint = row.hint_for(has_token=asked.has_token, has_variable=bool(words["variable"]))
        hint = hint.format(**words)
        if asked.close and self.fault is Fault.REVISION:
            context.append(f"it has: {', '.join(asked.close)}")
        elif asked.close:
            hint = f"Did you mean {' or '.join(asked.close)}? {hint}"
        message = row.message.format(**words)
        return CODES[row.code].error(message, code=row.code, context=context, hint=hint)

    def _words(self, asked: Asked) -> dict[str, str]:
        """What the table's texts may name."""
        # What a proxy or a certificate is, was decided elsewhere than where the hub is.
        own = self.fault in {Fault.PROXY, Fault.CERTIFICATE}
        wait = "five minutes" if self.wait_seconds is None else format_duration(self.wait_seconds)
        return {
            "what": asked.path or asked.repository or "the hub's answer",
            "endpoint": asked.endpoint,
            "repository": asked.repository,
            "revision": asked.revision,
            "search": asked.repository.rpartition("/")[2],
            "variable": self.variable if own else asked.variable,
            "wait": wait,
            "default": DEFAULT_ENDPOINT,
        }


class RequestError(Exception):
    """A request that gave no bytes, or bytes that broke off.

    Attributes:
        verdict: What it means and what to do about it.
    """

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict


class BadAnswerError(RequestError):
    """A local server answered, but not what was asked for.

    Attributes:
        status: HTTP status, 200 if the body was wrong.
        detail: What it said, shortened.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(Verdict(Action.DROP, f"HTTP {status}: {detail}", Fault.SERVER))
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of whom.

    Attributes:
        endpoint: Base URL of the server, as it may be shown.
        variable: What decided the endpoint (an environment variable, an option), ``""`` for the
            default.
        repository: ``org/name``, or ``""``.
        revision: Branch, tag or commit.
        path: File inside the repository, or ``""``.
        has_token: Whether a token was sent.
        close: Similar names that do exist.
    """

    endpoint: str
    variable: str = ""
    repository: str = ""
    revision: str = "main"
    path: str = ""
    has_token: bool = False
    close: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    """What one kind of fault means for people.

    Attributes:
        code: Key of `errors.CODES`; decides the class and the exit code.
        message: What is wrong.
        hint: What to do.
        hint_with_token: The same where a token was sent.
        hint_with_variable: The same where a variable decided what failed.
        fact_of_token: What to add to the facts without a token, and with one.
    """

    code: str
    message: str
    hint: str
    hint_with_token: str = ""
    hint_with_variable: str = ""
    fact_of_token: tuple[str, str] | None = None

    def hint_for(self, *, has_token: bool, has_variable: bool) -> str:
        """Choose among the hints."""
        if has_variable and self.hint_with_variable:
            return self.hint_with_variable
        return self.hint_with_token if has_token and self.hint_with_token else self.hint


_AGAIN = "Run the same command again: it continues from here."
_OTHER_CONTENT = "Try another --mirror; if the hub itself has newer content, add --latest."
_TABLE: dict[Fault, _Row] = {
    Fault.ACCESS: _Row(
        "forbidden",
        "The server refuses to send {what}.",
        "Open {endpoint}/{repository} in a browser for the reason; `hf auth whoami` shows "
        "whose token is sent.",
    ),
    Fault.GATED: _Row(
        "gated",
        "{repository} is gated: accept its licence first.",
        "Accept it at {endpoint}/{repository}, then run `hf auth login` or set HF_TOKEN.",
        "Accept it at {endpoint}/{repository} with the account that the token belongs to, "
        "then run it again.",
        fact_of_token=("no token was sent", "the token that was sent has no access to it"),
    ),
    Fault.TOKEN: _Row(
        "bad-token",
        "The hub does not accept the token.",
        "Create a new one at {endpoint}/settings/tokens, or unset HF_TOKEN and run "
        "`hf auth logout`: public repositories need none.",
    ),
    Fault.REPOSITORY: _Row(
        "no-repository",
        "There is no repository {repository}, or it is private.",
        "Check the spelling at {endpoint}/models?search={search}",
        fact_of_token=(
            "a private one is shown only to a token (`hf auth login` or HF_TOKEN)",
            "the token that was sent does not show it either",
        ),
    ),
    Fault.REVISION: _Row(
        "no-revision",
        "{repository} has no revision {revision!r}.",
        "Leave out @REVISION for the current state.",
    ),
    Fault.MISSING: _Row(
        "file-missing",
        "The server has no {what}.",
        "Check the file's name and revision; for a model of the catalogue, try --latest.",
    ),
    Fault.IDENTITY: _Row(
        "verification-failed", "The server has different content for {what}.", _OTHER_CONTENT
    ),
    Fault.CONTENT: _Row(
        "verification-failed", "The server sent something other than {what}.", _OTHER_CONTENT
    ),
    Fault.PORTAL: _Row(
        "login-page",
        "A web page came instead of {what}.",
        "Open any page in a browser on this network, log in there, and run the same command again.",
        hint_with_variable="Open any page in a browser on this network and log in there if it asks "
        "for that; otherwise check {variable}: {endpoint} may not be a hub.",
    ),
    Fault.FOREIGN: _Row(
        "not-a-hub",
        "The server is not a model hub.",
        "Log in to the network in a browser if it asks for that; check HF_ENDPOINT.",
        hint_with_variable="Check {variable}, or unset it to ask {default}.",
    ),
    Fault.PROXY: _Row(
        "proxy",
        "The proxy blocked this request.",
        "Check HTTPS_PROXY (http://user:password@host:port) and NO_PROXY.",
        hint_with_variable="Check {variable} (http://user:password@host:port), unset it, or name "
        "the host in NO_PROXY.",
    ),
    Fault.CERTIFICATE: _Row(
        "certificate",
        "The server's certificate is not trusted on this machine.",
        "Set SSL_CERT_FILE or REQUESTS_CA_BUNDLE to the CA bundle of your company's proxy if "
        "there is one; otherwise check the clock with `date`.",
        hint_with_variable="Add your company's CA to the file that {variable} names, or unset "
        "{variable}; otherwise check the clock with `date`.",
    ),
    Fault.INSECURE: _Row(
        "insecure-redirect",
        "The server redirects from https to an unencrypted address.",
        "Use another --mirror or HF_ENDPOINT.",
    ),
    Fault.OFFLINE: _Row(
        "offline",
        "Offline mode is on, so the hub cannot be asked.",
        "Unset HF_HUB_OFFLINE, or name an installed model.",
    ),
    Fault.ADDRESS: _Row(
        "bad-endpoint",
        "{endpoint!r} is not the address of a hub.",
        "Write HF_ENDPOINT and --mirror as https://host, then run the same command again.",
    ),
    Fault.QUOTA: _Row(
        "rate-limited",
        "The hub is rate-limiting this address: too many requests.",
        "Wait {wait} and run it again; with a token (`hf auth login`) the limit is higher.",
        "Wait {wait} and run it again.",
    ),
    Fault.SERVER: _Row(
        "hub-unavailable",
        "The server failed: {what} could not be downloaded.",
        "Run the same command again in a few minutes: it continues from here. If it persists, use "
        "another --mirror.",
    ),
    Fault.NETWORK: _Row(
        "download-failed",
        "The connection broke before {what} was complete.",
        f"Check the network and the proxy settings. {_AGAIN}",
    ),
    Fault.UNREACHABLE: _Row(
        "no-route",
        "The hub cannot be reached.",
        "Check the network, the proxy settings (HTTPS_PROXY, NO_PROXY) and HF_ENDPOINT. What is "
        "already here is kept; `gemma-setup check` works without the hub.",
        hint_with_variable="{variable} names {endpoint}: correct it, leave it out to ask "
        "{default}, or add another hub with --mirror.",
    ),
}

_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?", re.IGNORECASE)


def shown(address: str) -> str:
    """Return the address of a server as it may be shown: no user, password, query or fragment.

    A password may hold any character, unescaped too: all that stands before the last ``@`` goes.
    """
    scheme = _SCHEME.match(address)
    start = scheme.end() if scheme else 0
    rest = address[start:].rpartition("@")[2]
    return address[:start] + re.split(r"[?#]", rest, maxsplit=1)[0]
