"""Asking a hub what a repository holds, through huggingface_hub.

Only questions go this way, one request a model; the bytes come by the download engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from setup_manager.catalog import COMMIT
from setup_manager.errors import SetupError, UsageError
from setup_manager.net import failures
from setup_manager.net.client import checked_endpoint, http_error, trust
from setup_manager.net.failures import Question

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

_PAUSES_SECONDS = (0.5, 2.0)
_TRANSIENT = {408, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a commit.

    Attributes:
        path: Path inside the repository.
        size_bytes: Length.
        sha256: Digest of the content, None for a small file that git holds itself.
        git_sha1: Git's name for the blob.
    """

    path: str
    size_bytes: int
    sha256: str | None
    git_sha1: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository at one commit.

    Attributes:
        repository: ``org/name`` as the hub spells it.
        commit: 40 hexadecimal digits.
        files: By path.
    """

    repository: str
    commit: str
    files: tuple[RemoteFile, ...]


class HubMetadata:
    """A hub, or a mirror of one, that answers questions about repositories.

    Nothing is imported and no socket is opened before the first question.

    Args:
        endpoint: Base URL, e.g. ``"https://huggingface.co"``; an http or https address.
        token: Sent to this endpoint only, or None.
        offline: Refuse every question.
        timeout_seconds: For connecting, and for every pause in an answer.
        ca_bundle: File or folder of certificates to trust instead of the system's.
        known_repositories: Names to suggest for a mistyped one.
        sleep: Waits between attempts, in seconds.
    """

    def __init__(
        self,
        endpoint: str,
        token: str | None = None,
        *,
        offline: bool = False,
        timeout_seconds: float = 10.0,
        ca_bundle: Path | None = None,
        known_repositories: tuple[str, ...] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.endpoint = checked_endpoint(endpoint)
        self._token = token
        self._offline = offline
        self._timeout_seconds = timeout_seconds
        self._ca_bundle = ca_bundle
        self._known_repositories = known_repositories
        self._sleep = sleep

    def __repr__(self) -> str:
        """Show the endpoint only: a token must never reach a log."""
        return f"HubMetadata({self.endpoint!r})"

    def look_up(self, repository: str, revision: str = "main") -> Snapshot:
        """Ask what a revision is and holds, in one request.

        Args:
            repository: ``org/name``; the hub forgives another letter case.
            revision: A branch, tag or commit.

        Raises:
            AccessDeniedError: If the repository or revision cannot be had.
            DownloadFailedError: If the hub cannot be asked.
        """
        question = Question(self.endpoint, repository, revision, self._token is not None)
        info = self._ask(question)
        if not COMMIT.fullmatch(info.sha or ""):
            raise failures.no_hub(question, ValueError(f"{info.sha!r} is no commit"))
        files = (
            RemoteFile(
                path=sibling.rfilename,
                size_bytes=sibling.size or 0,
                sha256=sibling.lfs.sha256 if sibling.lfs else None,
                git_sha1=sibling.blob_id,
            )
            for sibling in info.siblings or ()
        )
        in_order = sorted(files, key=lambda file: file.path)
        return Snapshot(info.id, str(info.sha), tuple(in_order))

    def resolve_revision(self, repository: str, revision: str = "main") -> str:
        """Ask which commit a branch, tag or short commit means; see `look_up`."""
        return self.look_up(repository, revision).commit

    def list_files(self, repository: str, commit: str) -> tuple[RemoteFile, ...]:
        """Ask what a commit holds, by path; see `look_up`."""
        return self.look_up(repository, commit).files

    def _ask(self, question: Question) -> ModelInfo:
        """Ask, again after a transient failure, and turn a failure into one for people."""
        if self._offline:
            raise failures.offline(question)
        from huggingface_hub import HfApi

        trust(self._ca_bundle)
        # token=False keeps huggingface_hub from looking for one by itself.
        api = HfApi(endpoint=self.endpoint, token=self._token or False)
        pauses = iter(_PAUSES_SECONDS)
        while True:
            try:
                return api.model_info(
                    question.repository,
                    revision=question.revision,
                    files_metadata=True,
                    timeout=self._timeout_seconds,
                )
            except (http_error(), OSError, ValueError, TypeError, KeyError) as error:
                pause = next(pauses, None)
                if pause is None or not _is_transient(error):
                    raise self._explained(error, question) from error
            self._sleep(pause)

    def _explained(self, error: Exception, question: Question) -> SetupError:
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            OfflineModeIsEnabled,
            RevisionNotFoundError,
        )

        if isinstance(error, HFValidationError):
            return UsageError(
                f"{question.repository!r} cannot be a repository.",
                code="bad-model",
                hint="Write it as org/name; `gemma-setup list` shows those of Gemma 4.",
            )
        if isinstance(error, OfflineModeIsEnabled):
            return failures.offline(question)
        if isinstance(error, HfHubHTTPError):
            close = (
                self._branches(question)
                if isinstance(error, RevisionNotFoundError)
                else get_close_matches(question.repository, self._known_repositories, n=2)
            )
            response = error.response
            return failures.refused(question, response.status_code, response.headers, close)
        if isinstance(error, (http_error(), OSError)):
            return failures.unreachable(question, error)
        return failures.no_hub(question, error)

    def _branches(self, question: Question) -> list[str]:
        """Ask for the branches and tags, as a help only: no answer is an answer too."""
        from huggingface_hub import get_session

        url = f"{self.endpoint}/api/models/{question.repository}/refs"
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            refs = get_session().get(url, headers=headers, timeout=self._timeout_seconds).json()
            return [ref["name"] for kind in ("branches", "tags") for ref in refs[kind]]
        except (http_error(), OSError, ValueError, TypeError, KeyError):
            return []


def _is_transient(error: Exception) -> bool:
    """Tell whether asking again at once may help; a timeout has taken long enough."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _TRANSIENT
    if isinstance(error, OfflineModeIsEnabled) or not isinstance(error, (http_error(), OSError)):
        return False
    return "Timeout" not in type(error).__name__ and "CERTIFICATE" not in str(error)
