"""huggingface_hub's HTTP client: its errors, the certificates it trusts, the addresses it takes."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from setup_manager.errors import DownloadFailedError, UsageError


def checked_endpoint(endpoint: str) -> str:
    """Return the endpoint without a slash at its end.

    Raises:
        UsageError: If it is no http or https address.
    """
    try:
        url = urlsplit(endpoint)
        good = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        good = False
    if not good:
        raise UsageError(
            f"{endpoint!r} is not the address of a hub.",
            code="bad-endpoint",
            hint="Write it as https://host; HF_ENDPOINT and --mirror take such addresses.",
        )
    return endpoint.rstrip("/")


def http_error() -> type[Exception]:
    """Return what the HTTP client raises: huggingface_hub 1.x speaks httpx, 2.x httpx2."""
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError.__bases__[0]


def trust(ca_bundle: Path | None) -> None:
    """Have huggingface_hub's one client trust the given certificates instead of the system's.

    Args:
        ca_bundle: A file or folder of certificates, or None to change nothing.

    Raises:
        DownloadFailedError: If the file cannot be used.
    """
    if ca_bundle is None:
        return
    import ssl

    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    try:
        folder = ca_bundle.is_dir()
        context = ssl.create_default_context(
            cafile=None if folder else str(ca_bundle), capath=str(ca_bundle) if folder else None
        )
    except OSError as error:
        raise DownloadFailedError(
            "The trusted certificates cannot be used.",
            code="certificate",
            context=[f"{ca_bundle}: {error.strerror or error}"],
            hint="Set REQUESTS_CA_BUNDLE or SSL_CERT_FILE to a PEM file, or unset it.",
        ) from error
    plain = default_client_factory()
    client, hooks = type(plain), plain.event_hooks
    plain.close()
    set_client_factory(
        lambda: client(verify=context, event_hooks=hooks, follow_redirects=True, timeout=None)
    )
