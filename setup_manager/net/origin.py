"""Who is asked: hubs and mirrors, what decided them, and whom a token belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from setup_manager.errors import AccessDeniedError
from setup_manager.net.faults import DEFAULT_ENDPOINT, Asked, shown
from setup_manager.net.options import is_true
from setup_manager.net.protocol import origin_of

if TYPE_CHECKING:
    from setup_manager.catalog import Artifact
    from setup_manager.net.origin_file import OriginFile
    from setup_manager.net.transport import Transport


@dataclass(frozen=True, slots=True)
class Origin:
    """A hub or a mirror of one.

    Attributes:
        endpoint: Base URL, e.g. ``"https://huggingface.co"``.
        token: Bearer token for exactly this scheme, host and port, or None.
        file_url: Where the file is asked for, on a server that is no hub; None for the hub's form.
        variable: What decided the endpoint (an environment variable, an option), or ``""``.
    """

    endpoint: str
    token: str | None = field(default=None, repr=False)
    file_url: str | None = None
    variable: str = ""

    def __repr__(self) -> str:
        """Show the endpoint only: neither token nor password may reach a log."""
        return f"Origin({shown(self.endpoint)!r})"

    def token_for(self, url: str) -> dict[str, str]:
        """Return the header with the token for this origin's own addresses, none for others."""
        if self.token is None or origin_of(url) != origin_of(self.endpoint):
            return {}
        return {"Authorization": f"Bearer {self.token}"}

    def asked(self, repository: str = "", revision: str = "main", path: str = "") -> Asked:
        """Say what is asked of it, for an error."""
        return Asked(
            endpoint=shown(self.endpoint),
            variable=self.variable,
            repository=repository,
            revision=revision,
            path=path,
            has_token=self.token is not None,
        )

    def file(self, artifact: Artifact, transport: Transport) -> OriginFile:
        """Return a file as this origin has it; nothing is asked yet."""
        from setup_manager.net.origin_file import OriginFile

        return OriginFile(self, artifact, transport)


@dataclass(frozen=True, slots=True)
class HubAccess:
    """How the hub is reached.

    Attributes:
        endpoint: Base URL.
        token: Bearer token for that endpoint alone, or None.
        mirrors: Base URLs of others that have the same files.
        variable: The environment variable that decided the endpoint, or ``""``.
    """

    endpoint: str = DEFAULT_ENDPOINT
    token: str | None = field(default=None, repr=False)
    mirrors: tuple[str, ...] = ()
    variable: str = ""

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str], hub_home: Path, mirrors: tuple[str, ...] = ()
    ) -> HubAccess:
        """Read HF_ENDPOINT and the token that `hf` would send.

        Args:
            environ: The environment variables.
            hub_home: What HF_HOME means.
            mirrors: Base URLs of others.

        Raises:
            AccessDeniedError: If what was found cannot be a token.
        """
        endpoint = environ.get("HF_ENDPOINT", "").strip().rstrip("/")
        return cls(
            endpoint=endpoint or DEFAULT_ENDPOINT,
            token=_find_token(environ, hub_home),
            mirrors=tuple(mirror.rstrip("/") for mirror in mirrors),
            variable="HF_ENDPOINT" if endpoint else "",
        )

    @property
    def origins(self) -> tuple[Origin, ...]:
        """The hub, then its mirrors; only the hub gets the token."""
        hub = Origin(self.endpoint, self.token, variable=self.variable)
        return (hub, *(Origin(mirror, variable="--mirror") for mirror in self.mirrors))


def _find_token(environ: Mapping[str, str], hub_home: Path) -> str | None:
    """Find the token that `hf` would send: HF_TOKEN, else the file that `hf auth login` wrote."""
    if is_true(environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN")):
        return None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := _clean_token(environ.get(name, ""), name):
            return token
    path = Path(environ.get("HF_TOKEN_PATH") or hub_home / "token").expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return _clean_token(text, str(path))


def _clean_token(text: str, source: str) -> str | None:
    token = "".join(text.split("\n")).strip()
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise AccessDeniedError(
            "The hub token cannot be used.",
            code="bad-token",
            context=[f"{source} holds characters that no token has"],
            hint="Set HF_TOKEN to a token (it starts with hf_), or run `hf auth login` again.",
        )
    return token or None
