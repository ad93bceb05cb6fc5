"""What identifies a file on the hub; only harmless names become paths on this disk."""

from __future__ import annotations

import re

from setup_manager.catalog.artifact import Artifact
from setup_manager.errors import VerificationFailedError
from setup_manager.fs import wrong_path

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


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
