"""Names from the hub become paths on this disk: only harmless ones do."""

from __future__ import annotations

import re

from setup_manager.catalog.artifact import Artifact
from setup_manager.errors import VerificationFailedError

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Most file systems take 255 bytes for one name; the hub allows no longer path than this.
_NAME_LIMIT_BYTES = 255
_PATH_LIMIT_BYTES = 1024
# Windows gives these names to devices, whatever the suffix, and forbids these characters and a dot
# or space at the end: learn.microsoft.com/windows/win32/fileio/naming-a-file. They are refused
# everywhere, so that a folder of models can be carried to any machine.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE
)
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')


def check_names(artifact: Artifact) -> None:
    """Make sure that repository, commit, digest and path are what they should be.

    Raises:
        VerificationFailedError: If one of them could lead out of its folder, or cannot be a name.
    """
    what = {
        "repository": _wrong_repository(artifact.repository),
        "commit": None if COMMIT.fullmatch(artifact.commit) else "is not 40 hexadecimal digits",
        "sha256": None if _SHA256.fullmatch(artifact.sha256) else "is not 64 hexadecimal digits",
        "path": wrong_path(artifact.path),
    }
    for field, problem in what.items():
        if problem is not None:
            raise VerificationFailedError(
                f"The {field} of a file cannot be used: it {problem}.",
                code="unsafe-name",
                context=[f"repository {artifact.repository!r}", f"path {artifact.path!r}"],
                hint="Take another repository, or report this one to its owner; nothing was "
                "written.",
            )


def _wrong_repository(name: str) -> str | None:
    if not _REPOSITORY.fullmatch(name) or len(name) > 200:
        return "is not of the form org/name"
    # "--" stands for "/" in the cache's folder names; the hub forbids both pairs in names.
    return "has '--' or '..' in it" if "--" in name or ".." in name else None


def wrong_path(path: str) -> str | None:
    """Say why a path inside a repository must not be used on disk, or None if it may.

    Args:
        path: With ``/`` between folders.
    """
    if not path or path.startswith("/"):
        return "is empty or absolute"
    if len(path.encode(errors="surrogatepass")) > _PATH_LIMIT_BYTES:
        return f"is longer than {_PATH_LIMIT_BYTES} bytes"
    return next(filter(None, map(_wrong_part, path.split("/"))), None)


def _wrong_part(part: str) -> str | None:
    if part in {"", ".", ".."}:
        return "climbs out of its folder or has an empty part"
    if _FORBIDDEN.search(part) or any("\ud800" <= c <= "\udfff" for c in part):
        return "has characters that a file name cannot have"
    if _DEVICE.fullmatch(part):
        return "names a device of Windows"
    if part[-1] in ". ":
        return "has a part that ends with a dot or a space"
    if len(part.encode()) > _NAME_LIMIT_BYTES:
        return f"has a part longer than {_NAME_LIMIT_BYTES} bytes"
    return None
